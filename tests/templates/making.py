"""Templates and data at random: mostly sensible ones, of every construct there is."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "é", "Messages"])
FUNCTIONS = (
    *("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "println"),
    *("printf", "html", "js", "urlquery", "json", "call", "currentDate", "toTypeScriptType"),
)
LITERALS = (
    *(
        '"x"',
        '"%v %d|%5.1f"',
        '"a\\n\\x41é"',
        "`r}}w`",
        "'c'",
        "'\\n'",
        "0",
        "1",
        "-2",
        "0x1F",
        "1_000",
        "010",
    ),
    *("1.5", "-.5", "1e6", "true", "false", "nil", ".", "$", "$x", "$x.a", '""'),
)
TEXTS = st.text(st.sampled_from("ab {}\n\t-é<"), max_size=6).filter(lambda text: "{{" not in text)

fields = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "." + ".".join(names))
operands = st.one_of(fields, st.sampled_from(LITERALS))


def _commands(pipes: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    words = st.one_of(operands, pipes.map(lambda pipe: f"({pipe})"), pipes.map(lambda pipe: f"({pipe}).a"))
    called = st.tuples(st.sampled_from(FUNCTIONS), st.lists(words, max_size=3))
    return st.one_of(operands, called.map(lambda call: " ".join((call[0], *call[1]))))


pipelines = st.recursive(
    operands, lambda inner: st.lists(_commands(inner), min_size=1, max_size=3).map(" | ".join), max_leaves=6
)


def _action(inside: str, left: bool, right: bool) -> str:
    return f"{{{{{'- ' if left else ' '}{inside}{' -' if right else ' '}}}}}"


def actions(insides: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(_action, insides, st.booleans(), st.booleans())


def _block(parts: tuple[str, str, str, str | None, str]) -> str:
    head, body, middle, other, end = parts
    return head + body + (middle + other if other is not None else "") + end


def _blocks(bodies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    head = st.builds(
        lambda word, binds, pipe: f"{word} {binds}{pipe}",
        st.sampled_from(["if", "with", "range"]),
        st.sampled_from(["", "", "$x := "]),
        pipelines,
    )
    ranges = pipelines.map(lambda pipe: f"range $i, $x := {pipe}")
    parts = st.tuples(
        actions(st.one_of(head, ranges)),
        bodies,
        actions(st.just("else")),
        st.none() | bodies,
        actions(st.just("end")),
    )
    return parts.map(_block)


simple = st.one_of(
    TEXTS,
    actions(pipelines),
    actions(pipelines.map(lambda pipe: f"$x := {pipe}")),
    actions(st.sampled_from(["break", "continue", "$x = 1"])),
    actions(pipelines.map(lambda pipe: f'template "t" {pipe}')),
    st.just("{{/* a comment */}}"),
)
bodies = st.recursive(
    st.lists(simple, max_size=4).map("".join),
    lambda inner: st.lists(_blocks(inner) | simple, max_size=3).map("".join),
)
START, DEFINE, END = "{{ $x := 0 }}", '{{ define "t" }}{{ $x := . }}', "{{ end }}"
templates = st.builds(lambda inside, body: START + body + DEFINE + inside + END, bodies, bodies)
CRUMBS = (
    *(
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        "\n",
        "(",
        ")",
        "|",
        ":=",
        "=",
        ",",
        ".",
        "$",
        "$x",
        ".a",
        '"',
        "`",
        "'",
    ),
    *("\\", "if", "else", "end", "range", "with", "define", "template", "block", "break", "nil", "true", "1"),
    *("0x", "1e", "-", "+", "/*", "*/", "print", "é", "²", "\x00", "\ud800", "_", '"t"'),
)
soups = st.lists(st.sampled_from(CRUMBS) | st.text(max_size=3), max_size=25).map("".join)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
data: st.SearchStrategy[dict[str, Any]] = st.dictionaries(NAMES, values, max_size=4)
