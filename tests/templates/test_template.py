"""What a template tells about its model without being executed."""

from __future__ import annotations

import pytest

from tests.templates import families
from tropa.templates.errors import TemplateSyntaxError
from tropa.templates.template import Template


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ .Prompt }}", {"prompt"}),
        ("{{ .Function.Name }}", {"function", "name"}),
        ("{{ $x := .A }}{{ $x.B }}{{ $.C }}", {"$x", "a", "b", "$", "c"}),
        ("{{ if .A }}{{ else if .B }}{{ else }}{{ .C }}{{ end }}", {"a", "b", "c"}),
        ("{{ range $i, $m := .A }}{{ else }}{{ with .B }}{{ end }}{{ end }}", {"$i", "$m", "a", "b"}),
        (
            '{{ define "t" }}{{ .A }}{{ end }}{{ template "t" .B }}{{ block "u" .C }}{{ .D }}{{ end }}',
            set("abcd"),
        ),
        ("{{ print (len .A) (print (print .B)) }}", {"a", "b"}),
        ("{{ (index .Messages 0).Role }}", {"messages", "role"}),
        ('.A {{ "{{ .B }}" }}{{/* .C */}}{{ `.D` }}', set()),
    ],
)
def test_the_names_that_it_uses(text: str, names: set[str]) -> None:
    assert Template.parse(text).variables == names


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("x", "xR"),
        ("{{ .Prompt }}", "PR"),
        ("{{ .Prompt }}{{ .Response }}!", "PR!"),
        ('{{ define "t" }}{{ .Response }}{{ end }}x', "x"),
        ("{{ range .Messages }}{{ end }}x", "x"),
        ("{{ .Other.Response }}", "<no value>"),
    ],
)
def test_an_answer_has_its_place_in_every_template(text: str, output: str) -> None:
    data = {"Prompt": "P", "Response": "R", "Other": {}}
    assert Template.parse(text).execute(data) == output


def test_a_template_called_without_an_argument_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError, match="undefined template specified") as raised:
        Template.parse('a\n {{ template "x" }}')
    assert (raised.value.line, raised.value.column) == (2, 13)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (
            "{{ range .Messages }}{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}",
            ("<t>", "</t>"),
        ),
        ("{{ range .Messages }}<a>\n{{ .Thinking }}\n</a>{{ end }}", ("<a>", "</a>")),
        ("{{ range $i, $m := .Messages }}<a>{{ .Thinking }}</a>{{ end }}", ("<a>", "</a>")),
        ("{{ range (slice .Messages 1) }}<a>{{ .Thinking }}</a>{{ end }}", ("<a>", "</a>")),
        (
            "{{ range .Messages }}{{ with .A }}<a>{{ print (.Thinking) }}</a>{{ end }}{{ end }}",
            ("<a>", "</a>"),
        ),
        (
            "{{ range .Messages }}<a>{{ .Thinking }}</a>{{ end }}{{ range .Messages }}<b>{{ .Thinking }}</b>{{ end }}",
            ("<b>", "</b>"),
        ),
        ("{{ range .Messages }}<a>{{ .Thinking }}</a>{{/* end */}}\n{{ end }}", ("<a>", "</a>")),
        ("<a>{{ .Thinking }}</a>{{ .Messages }}", None),
        ("{{ range $.Messages }}<a>{{ .Thinking }}</a>{{ end }}", None),
        ("{{ range $m := .Messages }}<a>{{ $m.Thinking }}</a>{{ end }}", None),
        ("{{ range .Messages }}{{ range .Other }}<a>{{ .Thinking }}</a>{{ end }}{{ end }}", None),
        ("{{ range .Messages }}<a>{{ .Thinking }}{{ end }}", None),
        ("{{ range .Messages }}{{ .Thinking }}</a>{{ end }}", None),
        ("{{ range .Messages }} {{ .Thinking }}</a>{{ end }}", None),
        ("{{ range .Messages }}<a>{{ .M.Thinking }}</a>{{ end }}", None),
    ],
)
def test_the_tags_around_thoughts(text: str, tags: tuple[str, str] | None) -> None:
    template = Template.parse(text)
    assert template.thinking == tags
    assert ("thinking" in template.capabilities) == (tags is not None)


CALLS = "{{ if .ToolCalls }}%s{{ end }}"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{{ .Prompt }}", "{"),
        (CALLS % "<tool_call>\n", "<tool_call>"),
        (CALLS % '{{ range .ToolCalls }}<call>{"name": "{{ .Function.Name }}"}{{ end }}', "<call>"),
        (CALLS % '[TOOL_CALLS] [{{ range .ToolCalls }}{"name": 1}{{ end }}]', "[TOOL_CALLS] ["),
        (CALLS % '{"name"', "{"),
        (CALLS % " [ { x", "["),
        (CALLS % "  {{ with .A }} \n{{ else }}<b>{{ end }}", "<b>"),
        (CALLS % "{{ .Content }}<x>", "{"),
        (CALLS % "{{ if .A }}{{ end }}<x>", "{"),
        ("{{ range .Messages }}{{ if .A }}{{ else }}%s{{ end }}{{ end }}" % (CALLS % "<x>"), "<x>"),
        ("{{ if and .Content .ToolCalls }}<x>{{ end }}", "<x>"),
        ("{{ if .M.ToolCalls }}<x>{{ end }}", "<x>"),
        ("{{ if .A }}a{{ else if .ToolCalls }}<x>{{ else }}<y>{{ end }}", "<x>"),
        ("{{ if (.ToolCalls) }}<x>{{ end }}", "{"),
        ("{{ if $.ToolCalls }}<x>{{ end }}", "{"),
        ('{{ define "t" }}%s{{ end }}' % (CALLS % "<x>"), "{"),
        ("{{ with .ToolCalls }}<x>{{ end }}", "{"),
        (CALLS % "" + CALLS % "<x>", "{"),
    ],
)
def test_what_a_tool_call_begins_with(text: str, tag: str) -> None:
    assert Template.parse(text).tool_tag == tag


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ .Prompt }}", set()),
        ("{{ .Tools }}", {"tools"}),
        ("{{ $.Tools }}{{ .Suffix }}", {"tools", "insert"}),
        ("{{ .toolS }}", {"tools"}),
        (families.QWEN3, {"thinking"}),
    ],
)
def test_what_its_model_can_do(text: str, found: set[str]) -> None:
    assert Template.parse(text).capabilities == found


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        (families.MISTRAL, True),
        (families.QWEN2_5, True),
        ("{{ .Tools }}{{ .ToolCalls }}", False),
        ('{{ .Tools }}{{ .ToolCalls }}{{ if eq .Role "tool" }}{{ end }}', True),
        ("{{ .Tools }}tool_response", False),
    ],
)
def test_whether_tool_results_go_back(text: str, takes: bool) -> None:
    assert Template.parse(text).takes_tool_results is takes


def test_a_template_is_a_value() -> None:
    assert Template.parse(families.CHATML) == Template.parse(families.CHATML)
    with pytest.raises(AttributeError):
        Template.parse("x").text = "y"  # type: ignore[misc]
