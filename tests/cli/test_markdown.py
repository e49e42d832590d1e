"""Markdown on a terminal: colours only, not a letter changed, wherever the stream is cut."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.cli.answer import Printer
from tropa.cli.markdown import BOLD, CODE, GREY, ITALIC, MARK, Markdown, Span

SAMPLE = """\
# A *title*
Some **bold words**, *leaning* ones, ***both***, `code * here` and ``a ` tick``.
- an item with 2 * 3 and 2**3
1. first
> said
---
snake_case \\*not\\* bold
```python
def f(x):
    '''A text
    over lines'''
    return x  # why
```
~~~
unknown
~~~
    - deeper
**open
closed**
"""
TRICKY = st.lists(st.sampled_from([*"`*#~>-+ \n\\a1.é日", "```", "**", "python\n", "~~~\n", "'''"])).map(
    "".join
)


def spans(*pieces: str) -> list[Span]:
    markdown = Markdown()
    found = [span for piece in pieces for span in markdown.feed(piece)]
    return found + markdown.finish()


def merged(found: list[Span]) -> list[tuple[str, str]]:
    """Neighbours of one style as one."""
    result: list[tuple[str, str]] = []
    for span in found:
        if result and result[-1][1] == span.style:
            result[-1] = (result[-1][0] + span.text, span.style)
        else:
            result.append((span.text, span.style))
    return result


@given(st.one_of(TRICKY, st.just(SAMPLE)), st.data())
def test_no_letter_changes_and_cuts_make_no_difference(text: str, data: st.DataObject) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    whole = merged(spans(text))
    assert "".join(part for part, _ in whole) == text
    assert merged(spans(*pieces)) == whole


def test_the_sample_letter_by_letter() -> None:
    assert merged(spans(*SAMPLE)) == merged(spans(SAMPLE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", [("plain text", "")]),
        ("a **b c** d", [("a ", ""), ("**b c**", BOLD), (" d", "")]),
        ("a *b* d", [("a ", ""), ("*b*", ITALIC), (" d", "")]),
        ("***b***", [("***b***", f"{BOLD};{ITALIC}")]),
        ("2 * 3 ** 4 and 2**3", [("2 * 3 ** 4 and 2**3", "")]),
        ("`a*b*`.", [("`a*b*`", CODE), (".", "")]),
        ("``a`b`` c", [("``a`b``", CODE), (" c", "")]),
        ("\\*a\\*", [("\\*a\\*", "")]),
        ("## Title\ntext", [("## Title", BOLD), ("\ntext", "")]),
        ("#hashtag", [("#hashtag", "")]),
        ("- one\n", [("- ", MARK), ("one\n", "")]),
        ("* one\n", [("* ", MARK), ("one\n", "")]),
        ("**one** two", [("**one**", BOLD), (" two", "")]),
        ("12. one", [("12. ", MARK), ("one", "")]),
        ("2026 was", [("2026 was", "")]),
        ("> said", [("> ", GREY), ("said", "")]),
        ("**open\nnext", [("**open", BOLD), ("\nnext", "")]),
        ("```\nx ** y\n```\nz", [("```\n", GREY), ("x ** y\n", CODE), ("```\n", GREY), ("z", "")]),
        ("```nosuchlanguage\nx\n", [("```nosuchlanguage\n", GREY), ("x\n", CODE)]),
        ("````\n```\n````\n", [("````\n", GREY), ("```\n", CODE), ("````\n", GREY)]),
    ],
)
def test_what_is_coloured(text: str, expected: list[tuple[str, str]]) -> None:
    assert merged(spans(text)) == expected


def test_code_is_read_from_its_beginning() -> None:
    found = merged(spans("```python\n'''one\ndef two\n'''\ndef f(): pass\n```\n"))
    assert found[1][0].startswith("'''one\ndef two\n'''")
    assert ("def", "35") in found


def test_long_code_stays_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    from tropa.cli import markdown

    read = 0
    before = markdown._coloured

    def counted(lexer: object, block: str, line: str) -> list[tuple[str, str]]:
        nonlocal read
        read += len(block) + len(line)
        return before(None, block, line)

    monkeypatch.setattr(markdown, "_coloured", counted)
    line = "x = 1  # a line of code\n"
    spans("```python\n", *[line] * 5000)
    assert read < 5000 * (markdown._BLOCK + 2 * len(line))


class Screen(io.StringIO):
    """A terminal without a size: 80 columns."""

    def isatty(self) -> bool:
        return True


def shown(text: str, *, raw: bool = False, wrap: bool = True) -> str:
    screen = Screen()
    printer = Printer(screen, wrap=wrap, hide_thinking=False, raw=raw)
    for at in range(0, len(text), 3):
        printer.text(text[at : at + 3])
    printer.finish()
    return screen.getvalue()


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TROPA_PLAIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colours_end_with_the_answer() -> None:
    assert shown("a **b") == "a \x1b[0m\x1b[1m**b\x1b[0m"


def test_a_word_that_moves_keeps_its_colours() -> None:
    text = "x" * 70 + " **bold**"
    assert shown(text) == (
        "x" * 70 + " \x1b[0m\x1b[1m**bo\x1b[0m\x1b[4D\x1b[K\n\x1b[0m\x1b[1m**bold**\x1b[0m"
    )


def test_a_text_without_blanks_stays_cheap_and_whole() -> None:
    text = "日本語" * 2000
    assert shown(text).replace("\n", "") == text
    text = "0123456789abcdef" * 1000
    assert shown(text).replace("\n", "") == text


def test_code_is_never_wrapped() -> None:
    line = "word " * 40 + "\n"
    assert line in shown(f"```\n{line}```\n")


def test_colours_aside_it_is_the_text() -> None:
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown(SAMPLE, wrap=False)) == SAMPLE


@pytest.mark.parametrize("way", ["raw", "TROPA_PLAIN", "NO_COLOR"])
def test_raw_if_wanted(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "raw":
        monkeypatch.setenv(way, "1")
    assert shown(SAMPLE, raw=way == "raw", wrap=False) == SAMPLE
