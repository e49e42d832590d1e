"""Names that mean harm reach neither the filesystem nor the network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.library.check.reports import found
from tests.library.making import files, write_manifest
from tests.registry.conftest import nobody
from tropa.errors import TropaError
from tropa.library import manifest
from tropa.library.check import Check, Kind
from tropa.library.create import create
from tropa.library.library import Library
from tropa.library.name import InvalidName
from tropa.library.recipe import recipe
from tropa.registry.identity import Identity
from tropa.registry.registry import Registry

HOSTILE = [
    "../../etc/passwd", "..", ".", "/etc/passwd", "a/../../b", "../x:latest", "x:../../y", "x:..", "a/b/../c",
    "a\0b", "x:\0", "~/x", "x/.ssh/y", "..\\..\\x", "C:\\x", "a//b", "x:a/b:c/", "\N{FULLWIDTH FULL STOP}./x",
    "a/b/c/d/e/../f", "x\ny", "%2e%2e/x", "http://../../x", "x" * 5000, "a/" * 2000, "\ud800", "",
]  # fmt: skip
TOUCHING = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.utime",
    "os.truncate",
    "socket.connect",
    "socket.getaddrinfo",
}
_seen: list[str] | None = None


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _seen is not None and event in TOUCHING:
        _seen.extend(str(each) for each in args[:2] if isinstance(each, str | bytes | Path))
        if event.startswith("socket."):
            _seen.append(event)


@contextmanager
def watched() -> Iterator[list[str]]:
    """The paths that are opened, made, renamed or removed. A hook stays for ever; it only listens meanwhile."""
    global _seen
    if not hasattr(sys, "_tropa_watch"):
        sys.addaudithook(_watch)
        sys._tropa_watch = True  # type: ignore[attr-defined]
    touched: list[str] = []
    _seen = touched
    try:
        yield touched
    finally:
        _seen = None


def test_the_watch_sees_what_is_touched(tmp_path: Path) -> None:
    with watched() as touched:
        (tmp_path / "a").write_bytes(b"")
        (tmp_path / "a").rename(tmp_path / "b")
    assert {str(tmp_path / "a"), str(tmp_path / "b")} <= set(touched)


USES: dict[str, Callable[[Library, str], object]] = {
    "show": lambda at, name: at.find(name),
    "rm": lambda at, name: at.delete(name),
    "cp from": lambda at, name: at.copy(name, "new"),
    "cp to": lambda at, name: at.copy("one", name),
    "create": lambda at, name: list(create(at, recipe({"model": name, "from": "one", "system": "x"}))),
    "create from": lambda at, name: list(create(at, recipe({"model": "new", "from": name}))),
    "check": lambda at, name: Check(at, [name]),
}


@pytest.mark.parametrize("use", USES)
def test_a_hostile_name_never_reaches_the_filesystem(full: Library, use: str) -> None:
    before = files(full.store.root)
    for name in HOSTILE:
        with watched() as touched, pytest.raises(TropaError):
            USES[use](full, name)
        # An operation may announce itself before it looks at the name; nothing else.
        own = str(full.store.home)
        assert [path for path in touched if not path.startswith(own)] == [], name[:50]
    assert files(full.store.root) == before


def test_a_hostile_name_of_a_pull_reaches_neither_the_filesystem_nor_the_network(
    full: Library, tmp_path: Path
) -> None:
    registry = Registry(full, identity=Identity(tmp_path / "key"), keyring=nobody(tmp_path))
    try:
        for name in HOSTILE:
            with watched() as touched, pytest.raises(InvalidName):
                list(registry.pull(name))
            assert touched == [], name[:50]
    finally:
        registry.close()


@pytest.mark.parametrize(
    "text", ["sha256:../../x", "sha256-" + "0" * 63 + "/", "../" + "0" * 64, "sha256:" + "٣" * 64]
)
def test_a_hostile_digest_in_a_manifest_never_reaches_the_filesystem(full: Library, text: str) -> None:
    layer = {"mediaType": manifest.MODEL, "digest": text, "size": 1}
    write_manifest(full.store.root, "registry.ollama.ai/library/evil/latest", {"layers": [layer]})
    with watched() as touched, suppress(TropaError):
        full.find("evil")
    assert {Path(path).name for path in touched if "models" in path} <= {"latest"}
    assert (Kind.CORRUPT, ("evil:latest",)) in found(Check(full).run())
