"""Tools and calls as templates see them and as they are printed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tropa.templates.chat import Conversation, render
from tropa.templates.template import Template

PROPERTIES: dict[str, Any] = {
    "unit": {"type": "string", "enum": ["C", "F", 3]},
    "city": {"type": "string", "description": "a <b>"},
    "when": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    "many": {"type": ["array", "null"], "items": {"type": "string", "a": 1}},
    "nest": {"type": "object", "properties": {"z": {"type": "boolean"}, "a": {}}, "required": ["z"]},
}
CITY = '{"type":"string","description":"a \\u003cb\\u003e"}'
MANY = '{"type":["array","null"],"items":{"a":1,"type":"string"}}'
NEST = '{"type":"object","properties":{"z":{"type":"boolean"},"a":{}},"required":["z"]}'
UNIT = '{"type":"string","enum":["C","F",3]}'
WHEN = '{"anyOf":[{"type":"string"},{"type":"integer"}]}'
WRITTEN = f'{{"city":{CITY},"many":{MANY},"nest":{NEST},"unit":{UNIT},"when":{WHEN}}}'
PARAMETERS = f'{{"type":"object","required":["city"],"properties":{WRITTEN}}}'
FUNCTION = f'{{"name":"get_w","description":"Get w","parameters":{PARAMETERS}}}'
TOOL = f'{{"type":"function","function":{FUNCTION}}}'
GET_W = {
    "type": "function",
    "function": {
        "name": "get_w",
        "description": "Get w",
        "parameters": {"type": "object", "required": ["city"], "properties": PROPERTIES},
    },
}
BARE = {"type": "function", "function": {"name": "f"}}
CALL = {
    "id": "c1",
    "function": {
        "index": 1,
        "name": "f",
        "arguments": {"b": 1000000, "a": ["x", None, 12345678901234567890]},
    },
}
CALLED = '{"a":["x",null,12345678901234567890],"b":1000000}'


def shown(template: str, *, tools: list[Any] | None = None) -> str:
    said = [{"role": "assistant", "tool_calls": [CALL], "tool_call_id": "i", "tool_name": "n"}]
    text = "{{ with .Messages }}{{ end }}" + template
    return render(Template.parse(text), Conversation(said, [GET_W] if tools is None else tools))


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("{{ .Tools }}", f"[{TOOL}]"),
        ("{{ json .Tools }}", f"[{TOOL}]"),
        ("{{ .Tools.String }}", f"[{TOOL}]"),
        ("{{ range .Tools }}{{ . }}{{ end }}", TOOL),
        ('{{ range .Tools }}{{ printf "%s" . }}{{ end }}', TOOL),
        ("{{ range .Tools }}{{ .Type }} {{ .Items }}{{ end }}", "function <no value>"),
        ("{{ range .Tools }}{{ .Function }}{{ end }}", FUNCTION),
        ("{{ range .Tools }}{{ json .Function }}{{ end }}", FUNCTION),
        ("{{ range .Tools }}{{ .Function.Parameters }}{{ end }}", PARAMETERS),
        ("{{ range .Tools }}{{ .Function.Parameters.Properties }}{{ end }}", WRITTEN),
        ("{{ range .Tools }}{{ .Function.Parameters.Required }}{{ end }}", "[city]"),
        ("{{ (index .Tools 0).Function.Name }}", "get_w"),
        ("{{ slice .Tools 0 1 }}", f"[{TOOL}]"),
    ],
)
def test_tools(template: str, want: str) -> None:
    assert shown(template) == want


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("{{ $n }}:{{ .Type }} ", "city:string many:[array null] nest:object unit:string when: "),
        ("{{ json .Type }} ", '"string" ["array","null"] "object" "string" [] '),
        ('{{ eq .Type.String "string" }} ', "true false false true false "),
        (
            "{{ .ToTypeScriptType }}, ",
            "string, any[] | null, Record<string, any>, string, string | number, ",
        ),
        (
            "{{ toTypeScriptType . }}, ",
            "string, any[] | null, Record<string, any>, string, string | number, ",
        ),
        ("{{ .Description }}|{{ .Enum }}|{{ .Required }},", "a <b>|[]|[],|[]|[],|[]|[z],|[C F 3]|[],|[]|[],"),
        (
            "{{ .Properties }} ",
            '<no value> <no value> {"z":{"type":"boolean"},"a":{}} <no value> <no value> ',
        ),
    ],
)
def test_properties(expression: str, want: str) -> None:
    loop = "{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}"
    assert shown(loop + expression + "{{ end }}{{ end }}") == want


def test_a_property_that_is_missing_is_an_empty_one() -> None:
    lookup = (
        "{{ with (index .Tools 0).Function.Parameters.Properties }}{{ .nope }}|{{ index . `x` }}{{ end }}"
    )
    empty = "{[]  <nil>  [] <nil> []}"
    assert shown(lookup) == f"{empty}|{empty}"
    assert shown("{{ toTypeScriptType nil }}") == "any"


def test_a_tool_of_which_nothing_is_said() -> None:
    assert shown("{{ .Tools }}", tools=[BARE]) == (
        '[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"","properties":null}}}]'
    )
    loop = "{{ range .Tools }}{{ range .Function.Parameters.Properties }}x{{ else }}none{{ end }}{{ end }}"
    assert shown(loop, tools=[BARE]) == "none"
    assert shown("{{ range .Tools }}{{ .Function.Parameters.Properties }}{{ end }}", tools=[BARE]) == "{}"


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("{{ .ID }} {{ .Function.Index }} {{ .Function.Name }}", "c1 1 f"),
        ("{{ .Function.Arguments }}", CALLED),
        ("{{ .Function.Arguments.String }}", CALLED),
        ("{{ json .Function.Arguments }}", CALLED),
        ("{{ .Function }}", f'{{"name":"f","arguments":{CALLED}}}'),
        ("{{ . }}", f'{{c1 {{"name":"f","arguments":{CALLED}}}}}'),
        ("{{ json . }}", f'{{"ID":"c1","Function":{{"Index":1,"Name":"f","Arguments":{CALLED}}}}}'),
        (
            "{{ range $k, $v := .Function.Arguments }}{{ $k }}={{ $v }};{{ end }}",
            "a=[x <nil> 1.2345678901234567e+19];b=1e+06;",
        ),
        (
            "{{ .Function.Arguments.b }} {{ .Function.Arguments.q }} {{ index .Function.Arguments `q` }}",
            "1e+06 <no value> <no value>",
        ),
    ],
)
def test_calls(expression: str, want: str) -> None:
    assert shown("{{ range .Messages }}{{ range .ToolCalls }}" + expression + "{{ end }}{{ end }}") == want


def test_a_message_as_json_has_the_names_of_its_fields() -> None:
    assert shown("{{ json .Messages }}") == (
        '[{"Role":"assistant","Content":"","Thinking":"","Images":null,"ToolCalls":[{"ID":"c1","Function":'
        f'{{"Index":1,"Name":"f","Arguments":{CALLED}}}}}],"ToolName":"n","ToolCallID":"i"}}]'
    )


def test_dates() -> None:
    today = dt.datetime.now().astimezone().date()
    assert shown("{{ currentDate }}") in {str(today), str(today + dt.timedelta(days=1))}
    said = Template.parse('{{ currentDate "x" "y" }} {{ yesterdayDate }}{{ .Response }}').execute(
        {"Response": ""}
    )
    day, before = map(dt.date.fromisoformat, said.split())
    assert day - before == dt.timedelta(days=1)


@pytest.mark.parametrize(
    "part", [{"type": 3}, {"function": "x"}, {"function": {"parameters": [1], "name": 4}}]
)
def test_a_tool_of_wrong_types_reads_as_an_empty_one(part: dict[str, Any]) -> None:
    assert '"name":""' in shown("{{ .Tools }}{{ range .Tools }}{{ .Function.Name }}{{ end }}", tools=[part])
