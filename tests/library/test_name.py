from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tropa.library.errors import ModelNotFound
from tropa.library.library import Library
from tropa.library.name import MISSING, InvalidName, Name, Source, resolve, source, split, stub

VALID = {
    "llama3": "registry.ollama.ai/library/llama3:latest",
    "user/model:7b": "registry.ollama.ai/user/model:7b",
    "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M": "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
    "hf.co/a/b": "hf.co/a/b:latest",
    "https://hf.co/a/b": "hf.co/a/b:latest",
    "localhost:5000/ns/x": "localhost:5000/ns/x:latest",
    "a..b": "registry.ollama.ai/library/a..b:latest",
    "_x:_": "registry.ollama.ai/library/_x:_",
    "m" * 80: f"registry.ollama.ai/library/{'m' * 80}:latest",
    f"{'h' * 350}/{'n' * 80}/m": f"{'h' * 350}/{'n' * 80}/m:latest",
}
INVALID = [
    "", " ", "model:", ":tag", "/a", "a/", "a//b", "localhost:5000/x", "hf.co/a.b/c", "hf.co/a/b/c",
    "x@sha256:abc", "a b", "-x", "x:.t", "../x", "model:a:b", "..", ".", "../../etc/passwd", "/etc/passwd",
    "a/../b", "a/b/..", "x:..", "x:../../y", "\\windows", "c:\\x", "x\0y", "x\n", "\nx", "ll\u0430ma",
    "\uff4clama", "x\u200b", "é", "m" * 81, f"x:{'t' * 81}", f"{'n' * 81}/x", f"{'h' * 351}/n/m",
    "http:///a/b", "://a/b", "a/b/c:d/e", "x" * 1_000_000, "\ud800", ".tropa-x", "~", "~root/x",
]  # fmt: skip


@pytest.mark.parametrize(("text", "full"), VALID.items())
def test_valid_names_get_their_defaults(text: str, full: str) -> None:
    assert Name.parse(text).full == full


@pytest.mark.parametrize("text", INVALID, ids=lambda text: ascii(text[:20]))
def test_what_breaks_the_rules_is_no_name(text: str) -> None:
    with pytest.raises(InvalidName, match="invalid model name"):
        Name.parse(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("", f"registry.ollama.ai/library/{''}:latest"),
        ("model:", f"registry.ollama.ai/library/model:{MISSING}"),
        (":tag", f"registry.ollama.ai/library/{MISSING}:tag"),
        ("/a", f"registry.ollama.ai/{MISSING}/a:latest"),
        ("a/", f"registry.ollama.ai/a/{MISSING}:latest"),
        ("a//b", f"a/{MISSING}/b:latest"),
        ("/a/b", f"{MISSING}/a/b:latest"),
    ],
)
def test_an_invalid_name_shows_what_is_missing(text: str, full: str) -> None:
    with pytest.raises(InvalidName) as caught:
        Name.parse(text)
    assert caught.value.full == full


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("llama3", "llama3:latest"),
        ("library/llama3:8b", "llama3:8b"),
        ("me/x", "me/x:latest"),
        ("registry.ollama.ai/me/x", "me/x:latest"),
        ("hf.co/a/b", "hf.co/a/b:latest"),
        ("other.host/library/x", "other.host/library/x:latest"),
    ],
)
def test_the_shortest_form_leaves_out_defaults_but_never_the_tag(text: str, short: str) -> None:
    assert Name.parse(text).short == short


PIECES = st.sampled_from(
    ["a", "B", "..", ".", "/", ":", "-", "_", "\\", "\0", " ", "%2e", "é", "://", "~", "@", "latest"]
)
HOSTILE = st.text() | st.lists(PIECES, max_size=12).map("".join)
ALPHABET = "abzABZ019_"
PART = st.text(ALPHABET, min_size=1, max_size=20)
NAMES = st.builds(Name, PART, PART, PART, PART)


@given(HOSTILE)
@example("a/b/c/d")
def test_no_text_becomes_a_path_outside_the_manifests(text: str) -> None:
    try:
        name = Name.parse(text)
    except InvalidName:
        return
    root = Path("/store/manifests")
    path = root.joinpath(*name.parts)
    assert path.parent.parent.parent.parent == root
    assert not any(part.startswith(".") or "/" in part or "\\" in part or "\0" in part for part in name.parts)
    assert all(part.isascii() and part for part in name.parts)


@given(HOSTILE)
def test_splitting_never_fails_and_never_gives_an_empty_tag(text: str) -> None:
    assert split(text)[3]


@given(NAMES)
def test_both_forms_of_a_name_mean_the_same_name(name: Name) -> None:
    assert Name.parse(name.full) == name
    assert Name.parse(name.short) == name


class Untouchable:
    """A store that nobody may ask anything."""

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"the store was asked for its {attribute}")


@given(HOSTILE)
def test_an_invalid_name_never_reaches_the_store(text: str) -> None:
    library = Library(Path("/nowhere"))
    library.store = Untouchable()  # type: ignore[assignment]
    try:
        Name.parse(source(text)[0])
    except InvalidName:
        with pytest.raises((InvalidName, ModelNotFound)):
            library.find(text)
        with pytest.raises(InvalidName):
            library.delete(text)
    try:
        Name.parse(text)
    except InvalidName:
        with pytest.raises(InvalidName):
            library.copy(text, "x")


def test_each_part_takes_the_spelling_that_exists() -> None:
    existing = [Name.parse("Me/Llama3:8B"), Name.parse("hf.co/YOU/x")]
    assert resolve(Name.parse("me/LLAMA3:8b"), existing) == existing[0]
    assert resolve(Name.parse("HF.CO/you/new"), existing).full == "hf.co/YOU/new:latest"
    assert resolve(Name.parse("me/other"), existing).full == "registry.ollama.ai/Me/other:latest"


@given(NAMES, st.lists(NAMES, max_size=5))
def test_resolving_only_ever_changes_letter_case(name: Name, existing: list[Name]) -> None:
    found = resolve(name, existing)
    assert found.folded() == name.folded()
    assert resolve(found, existing) == found
    if name in existing:
        assert found == name


@pytest.mark.parametrize(
    ("text", "base", "where"),
    [
        ("x", "x", Source.ANY),
        (" x:8b ", "x:8b", Source.ANY),
        ("x:local", "x", Source.LOCAL),
        ("x:8b:LOCAL", "x:8b", Source.LOCAL),
        ("x:cloud", "x", Source.CLOUD),
        ("gpt-oss:20b-Cloud", "gpt-oss:20b", Source.CLOUD),
        ("x-cloud", "x-cloud", Source.ANY),
        ("cloud", "cloud", Source.ANY),
        ("localhost:5000/a/x-cloud", "localhost:5000/a/x-cloud", Source.ANY),
        ("", "", Source.ANY),
    ],
)
def test_a_source_suffix_is_taken_off(text: str, base: str, where: Source) -> None:
    assert source(text) == (base, where)


@pytest.mark.parametrize("text", ["x:cloud:local", "x:local:local", "x:8b-cloud:local", "x:8b-cloud:cloud"])
def test_two_source_suffixes_are_refused(text: str) -> None:
    with pytest.raises(InvalidName, match=f'use either :local or :cloud, not both: "{text}"'):
        source(text)


def test_a_cloud_stub_is_stored_under_the_older_spelling() -> None:
    assert (stub("x"), stub("x:8b"), stub("h:1/n/x")) == ("x:cloud", "x:8b-cloud", "h:1/n/x:cloud")


def test_a_whole_name_in_other_case_wins_over_parts_of_others() -> None:
    existing = [Name.parse("me/llava:7b"), Name.parse("LLaVA:7B"), Name.parse("you/x:7b")]
    assert resolve(Name.parse("llava:7b"), existing) == Name.parse("LLaVA:7B")
