"""Whatever a template says, it costs seconds at most, some memory, and no RecursionError."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tropa.templates import limits
from tropa.templates.errors import TemplateError, TemplateSyntaxError
from tropa.templates.interpreter import execute
from tropa.templates.parser import parse

BIG: dict[str, Any] = {
    "s": "x" * 1_000_000,
    "u": "é" * 500_000,
    "l": ["y"] * 20_000,
    "m": {str(number): number for number in range(9_999)},
}
CALL = "{{ template `a` . }}"
MOST_SECONDS = 20  # a bound for any machine, busy ones too


def endless(body: str) -> str:
    return "{{ range 1000000000 }}" + body + "{{ end }}"


def defined(body: str) -> str:
    return "{{ define `a` }}" + body + "{{ end }}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (defined(CALL) + CALL, "nested too deeply"),
        ("{{ template `` . }}", "nested too deeply"),
        (defined("{{ range 9 }}{{ if true }}" + CALL + "{{ end }}{{ end }}") + CALL, "too deep"),
        (defined("{{ if " + "(" * 90 + "true" + ")" * 90 + " }}" + CALL + "{{ end }}") + CALL, "too deep"),
        (endless(endless("")), "too much work"),
        (endless("a"), "too much work"),
        (endless("some text" * 100), "output too long"),
        (endless("{{ range 3000 }}{{ $x := 1 }}{{ end }}"), "too much work"),
        ("{{ $s := `x` }}" + endless("{{ $s = printf `%s%s` $s $s }}"), "too much work|too long"),
        ("{{ $s := `x` }}" + endless("{{ $s = print $s $s }}"), "too much work|too long"),
        ("{{ $s := `<` }}" + endless("{{ $s = html $s $s }}"), "too much work|too long"),
        (endless("{{ printf `%1000000d` 1 }}"), "too much work|too long"),
        (endless("{{ printf `%*d` 1000000 1 | len }}"), "too much work"),
        (endless("{{ $x := printf `%.1000000f` 1.5 }}"), "too much work"),
        (endless("{{ if eq $.s $.s }}{{ end }}"), "too much work"),
        (endless("{{ $x := len $.u }}"), "too much work"),
        (endless("{{ $x := slice $.u 2 }}"), "too much work"),
        (endless("{{ $x := slice $.l 1 }}"), "too much work"),
        (endless("{{ $x := json $.l }}"), "too much work"),
        (endless("{{ $x := printf `%.0s` $.l }}"), "too much work"),
        (endless("{{ range $.m }}{{ break }}{{ end }}"), "too much work"),
        ("{{ $a := 1 }}" + "{{ $x := 1 }}" * 5000 + endless("{{ $a }}"), "too much work"),
    ],
)
def test_execution_ends_soon(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS", limits.STEPS // 10)  # ten times as soon, to spare the machine
    tree = parse(text)
    start = time.process_time()
    with pytest.raises(TemplateError, match=reason):
        execute(tree, BIG)
    assert time.process_time() - start < MOST_SECONDS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (limits.TEXT + 1), "template too long"),
        ("{{ if true }}" * 20_000, "nested too deeply"),
        ("{{ if true }}{{ else }}" * 10_000, "nested too deeply"),
        ("{{ range .x }}" * 10_000 + "{{ end }}" * 10_000, "nested too deeply"),
        ("{{ " + "(" * 100_000, "nested too deeply"),
        ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", "nested too deeply"),
        ("{{ " + "print (" * 30_000, "nested too deeply"),
        ('{{ block "x" . }}' * 10_000, "nested too deeply"),
        ("{{ $" + "x" * 200_000, "undefined variable"),
        ("{{ `" + "x" * 200_000, "unterminated raw"),
        ("{{/*" * 50_000, "unclosed comment"),
        ("{{ " + " " * 200_000, "unclosed action"),
    ],
    ids=range(12),
)
def test_parsing_ends_soon(text: str, reason: str) -> None:
    start = time.process_time()
    with pytest.raises(TemplateSyntaxError, match=reason):
        parse(text)
    assert time.process_time() - start < MOST_SECONDS


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("{{ if true }}" * 99 + "x" + "{{ end }}" * 99, "x"),
        ("{{ " + "(" * 90 + "print 1" + ")" * 90 + " }}", "1"),
        ("{{ if false }}" + "{{ else if false }}" * 3000 + "{{ else }}x{{ end }}", "x"),
        ("{{ 1" + " | print" * 2000 + " }}", "1"),
        ("{{ range 100000 }}{{ end }}x", "x"),
        ('{{ printf "%100000d" 1 | len }}', "100000"),
        ('{{ printf "%999999999999d" 1 }}', "%!(NOVERB)%!(EXTRA int=1)"),
        (
            defined("{{ if . }}{{ index . 0 }}{{ template `a` (slice . 1) }}{{ end }}")
            + "{{ template `a` (slice .l 0 50) }}",
            "y" * 50,
        ),
    ],
    ids=range(8),
)
def test_what_is_large_but_sane_works(text: str, output: str) -> None:
    tree = parse(text)
    assert execute(tree, BIG) == output
    assert parse(str(tree)) == tree


def test_data_nested_without_end_is_told() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for text in ("{{ .d }}", "{{ json .d }}", '{{ printf "%v" .d }}'):
        with pytest.raises(TemplateError, match="the data is nested too deeply"):
            execute(parse(text), {"d": deep})
