"""Complaints say what Go says, and where: line from 1, column in bytes from 0."""

from __future__ import annotations

from typing import Any

import pytest

from tropa.templates.errors import TemplateError, TemplateSyntaxError
from tropa.templates.interpreter import execute
from tropa.templates.parser import parse


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "template: :1: unclosed action"),
        ("a\nb{{ .x\n", "template: :3: unclosed action started at :2"),
        ('a\n{{ .x\n "', "template: :3: unterminated quoted string in action started at :2"),
        ("{{ if .x }}\n\n", "template: :3: unexpected EOF"),
        ("\n\n{{ end }}", "template: :3: unexpected {{end}}"),
        ('{{ template "x', "template: :1: unterminated quoted string"),
        ("{{ template x }}", 'template: :1: unexpected "x" in template clause'),
        ('{{ define "x" . }}{{ end }}', "template: :1: unexpected <.> in define clause"),
        ('{{ define "x" }}{{ else }}', "template: :1: unexpected {{else}} in define clause"),
        ("{{ break x }}", 'template: :1: unexpected "x" in {{break}}'),
        ("{{ range .x }}{{ else }}{{ break }}{{ end }}", "template: :1: {{break}} outside {{range}}"),
        ("{{ range $x, 1 := .x }}{{ end }}", "template: :1: range can only initialize variables"),
        ("{{ .a.1 }}", 'template: :1: unexpected ".1" in operand'),
        ("{{ 1.a }}", 'template: :1: bad number syntax: "1.a"'),
        ("{{ true.a }}", 'template: :1: unexpected . after term "true"'),
        ("{{ é! }}", "template: :1: bad character U+0021 '!'"),
        ("{{ \x00 }}", "template: :1: unrecognized character in action: U+0000"),
        ("{{ 'a }}", "template: :1: unterminated character constant"),
        ("{{ '' }}", "template: :1: invalid syntax"),
        ('{{ "\\q" }}', "template: :1: invalid syntax"),
        ("{{ 99999999999999999999 }}", 'template: :1: integer overflow: "99999999999999999999"'),
        ("{{ 1e }}", 'template: :1: illegal number syntax: "1e"'),
        ("{{ 0b }}", 'template: :1: illegal number syntax: "0b"'),
        ("{{ 08 }}", 'template: :1: integer overflow: "08"'),
        ("{{ 0x1p99999 }}", 'template: :1: illegal number syntax: "0x1p99999"'),
        ("{{ 1+2x }}", 'template: :1: bad number syntax: "1+2x"'),
        ("{{ 1+2i }}", "template: :1: complex numbers are not supported: 1+2i"),
        ("{{ 1e999 }}", 'template: :1: illegal number syntax: "1e999"'),
        ("{{ | . }}", 'template: :1: unexpected "|" in command'),
        ("{{ if x }}", 'template: :1: function "x" not defined'),
        ("{{ else if }}", "template: :1: unexpected {{else}}"),
        ("{{ if .a }}{{ else with .b }}{{ end }}", "template: :1: unexpected <with> in input"),
        ("{{ abcdefghijklmnopq }}", 'template: :1: function "abcdefghijklmnopq" not defined'),
        ('{{ if 1 "abcdefghijklmnopq }}', "template: :1: unterminated quoted string"),
        ("{{ end abcdefghijklmnopq }}", 'template: :1: unexpected "abcdefghij"... in end'),
    ],
)
def test_syntax(text: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError) as raised:
        parse(text)
    assert str(raised.value) == message
    assert raised.value.line == int(message.split(":")[2])


@pytest.mark.parametrize(
    ("text", "place", "rest"),
    [
        ("{{ .a.b }}", (1, 5), 'executing "" at <.a.b>: nil pointer evaluating interface {}.b'),
        ("é\n é{{ .s.b }}", (2, 8), "<.s.b>: can't evaluate field b in type interface {}"),
        ("{{ index .l 9 }}", (1, 3), "<index .l 9>: error calling index: index out of range: 9"),
        ("{{ not }}", (1, 3), "<not>: wrong number of args for not: want 1 got 0"),
        ("{{ if (len 3) }}{{ end }}", (1, 7), "<len 3>: error calling len: len of type int"),
        ("{{ $x := .s }}{{ $x.b }}", (1, 19), "<$x.b>: can't evaluate field b in type string"),
        ("{{ (print 1).b }}", (1, 10), "at <1>: can't evaluate field b in type string"),
        ("{{ range .l }}{{ .b }}{{ end }}", (1, 17), "<.b>: can't evaluate field b in type interface {}"),
        ("{{ range $v := .l }}{{ $v.b }}{{ end }}", (1, 25), "can't evaluate field b in type interface {}"),
        ("{{ with .s }}{{ .b }}{{ end }}", (1, 16), "<.b>: can't evaluate field b in type string"),
        ("{{ template `t` . }}", (1, 12), '<{{template "t" .}}>: template "t" not defined'),
        ("{{ printf 3 }}", (1, 10), "<3>: expected string; found 3"),
        ("{{ printf .q }}", (1, 10), "wrong type for value; expected string; got interface {}"),
        ("{{ printf nil }}", (1, 10), "<nil>: cannot assign nil to string"),
        ("{{ lt .l .s }}", (1, 3), "error calling lt: invalid type for comparison"),
        ("{{ eq 1 1.5 }}", (1, 3), "incompatible types for comparison: int and float64"),
        (
            "{{ eq .l .m }}",
            (1, 3),
            "non-comparable types [1 2]: []interface {}, map[string]interface {}: map[]",
        ),
        ("{{ index .m 1 }}", (1, 3), "value has type int; should be string"),
        ("{{ 9223372036854775808 }}", (1, 3), "9223372036854775808 overflows int"),
        ("{{ json (printf `%s` .s | .s) }}", (1, 26), "s is not a method but has arguments"),
    ],
)
def test_execution(text: str, place: tuple[int, int], rest: str) -> None:
    data: dict[str, Any] = {"s": "hi", "l": [1, 2], "m": {}}
    with pytest.raises(TemplateError) as raised:
        execute(parse(text), data)
    assert (raised.value.line, raised.value.column) == place
    assert str(raised.value).startswith("template: :{}:{}: executing".format(*place))
    assert str(raised.value).endswith(rest)


def test_an_error_in_a_called_template_names_it() -> None:
    with pytest.raises(TemplateError) as raised:
        execute(parse('{{ define "x" }}{{ .a.b }}{{ end }}{{ template "x" . }}'), {"a": 1})
    assert 'executing "x" at <.a.b>' in str(raised.value)


def test_a_value_that_no_json_has_is_a_bug_of_ours_and_stays_loud() -> None:
    with pytest.raises(TypeError):
        execute(parse("{{ range .x }}{{ end }}"), {"x": object()})
