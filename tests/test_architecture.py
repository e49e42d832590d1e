"""docs/architecture.md as a test: who may know whom, and that every error is known at the edge."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tropa
from tropa.errors import TropaError
from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Refused
from tropa.scheduler.actions import Refusal
from tropa.server.errors import REFUSED, STATUS, status_of

PACKAGE = Path(tropa.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
BASE = {"errors", "text"}

# From the top: what each part may import besides itself. Nothing names a part that stands above it.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"client", "registry", "library", "quantize", "settings", "server", "__init__", *BASE},
    "client": {"settings", "__init__", *BASE},
    "server": {
        *("service", "runners", "scheduler", "engines", "devices", "registry", "library", "gguf", "settings"),
        *("quantize", "templates", "schema", "__init__", *BASE),
    },
    "service": {"runners", "scheduler", "library", "templates", "schema", "settings", *BASE},
    "runners": {"scheduler", "engines", "devices", "gguf", "settings", *BASE},
    "scheduler": set(),
    "registry": {"library", "settings", "__init__", *BASE},
    "settings": {"devices", *BASE},
    "engines": set(BASE),
    "devices": set(BASE),
    "library": {"quantize", "templates", "gguf", "__init__", *BASE},
    "quantize": {"gguf", *BASE},
    "templates": set(BASE),
    "schema": set(BASE),
    "gguf": set(BASE),
    "text": set(),
    "errors": set(),
}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, at its top or late."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{path.name}: a relative import hides where it leads"
                assert module is not None
                yield from (f"{module}.{alias.name}" for alias in names)


def parts_imported(path: Path) -> set[str]:
    found = set()
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "tropa":
            found.add(rest[0] if rest and rest[0] in MAY_IMPORT else "__init__")
    return found


@pytest.mark.parametrize("name", sorted({part(path) for path in MODULES}))
def test_imports_go_down(name: str) -> None:
    for path in MODULES:
        if part(path) == name:
            wrong = parts_imported(path) - MAY_IMPORT[name] - {name}
            assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_the_table_has_no_way_round() -> None:
    """Whoever reads it from the top never meets a part that was imported further up."""
    order = [*MAY_IMPORT]
    for name, below in MAY_IMPORT.items():
        up = {other for other in below if other in order and order.index(other) < order.index(name)}
        assert up <= {"__init__"}, f"{name} imports {up}"


def test_the_command_line_reaches_the_server_only_to_start_it() -> None:
    """`doctor` looks at what a server would meet if one were started."""
    users = {path.name for path in MODULES if part(path) == "cli" and "server" in parts_imported(path)}
    assert users <= {"serve.py", "ownserver.py", "doctor.py"}


def test_only_the_edge_knows_http() -> None:
    for path in MODULES:
        web = {name.split(".")[0] for name in imported(path)} & {"starlette", "uvicorn"}
        assert not web or part(path) == "server", f"{path.relative_to(PACKAGE)} imports {web}"


def test_the_page_names_every_part() -> None:
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text()
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    named = {name.removesuffix(".py") for name in re.findall(r"`([a-z]+(?:\.py)?)`", table)}
    assert {name for name in MAY_IMPORT if not name.startswith("__")} <= named


def test_nothing_speaks_of_a_particular_machine() -> None:
    for path in MODULES:
        found = re.findall(r"/(?:root|work|home/\w+|Users/\w+|tmp/\w+)\b", path.read_text())
        assert not found, f"{path.relative_to(PACKAGE)} mentions {found}"


def test_no_module_has_grown_a_second_noun() -> None:
    for path in MODULES:
        lines = len(path.read_text().splitlines())
        assert lines <= 500, f"{path.relative_to(PACKAGE)} has {lines} lines"


def errors() -> list[type[TropaError]]:
    """Every error there is, all modules having been imported."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "tropa."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[TropaError]] = []
    waiting = TropaError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__.startswith("tropa.")]


def test_every_error_that_can_reach_a_client_has_a_status() -> None:
    for kind in errors():
        if kind.__module__.startswith(("tropa.cli.", "tropa.client.")):
            continue  # these are told to a user at a terminal
        bare = kind.__new__(kind)
        if isinstance(bare, Refused):
            bare.refusal = Refusal.TOO_BIG
        if isinstance(bare, EngineRefused):
            bare.status = 502
        assert set(kind.__mro__) & set(STATUS), f"{kind.__module__}.{kind.__name__} is not in the table"
        assert 400 <= status_of(bare) < 600


def test_every_refusal_has_a_status() -> None:
    assert set(REFUSED) == set(Refusal)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = Counter(kind.__dict__.get("code") for kind in errors())
    assert None not in codes, [kind.__name__ for kind in errors() if "code" not in kind.__dict__]
    assert [code for code, count in codes.items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", str(code)) for code in codes), codes
    assert "error" not in codes
