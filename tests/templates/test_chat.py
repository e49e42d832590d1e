"""Conversations become prompts: all messages at once, turn by turn, or around a cursor."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tropa.templates.chat import Conversation, collated, render, render_suffix
from tropa.templates.errors import TemplateError
from tropa.templates.template import Template

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def messages(text: str) -> list[dict[str, Any]]:
    """`u:hello a:hi` as messages."""
    pairs = (word.partition(":") for word in text.split())
    return [{"role": ROLES[role], "content": content} for role, _, content in pairs]


def prompt(template: str, said: str, **more: Any) -> str:
    return render(Template.parse(template), Conversation(messages(said), **more))


SYSTEM_AND_TURNS = (
    "{{ if .System }}S:{{ .System }} {{ end }}{{ if .Prompt }}U:{{ .Prompt }} {{ end }}A:{{ .Response }}END"
)
FILL_IN = "{{- if .Suffix }}<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>{{- else }}{{ .Prompt }}{{- end }}"


@pytest.mark.parametrize(
    ("template", "said", "want"),
    [
        (
            "[INST] {{ .Prompt }}[/INST] {{ .Response }}</s>",
            "u:a a:b u:c",
            "[INST] a[/INST] b</s>[INST] c[/INST] ",
        ),
        (SYSTEM_AND_TURNS, "s:s1 u:a a:b s:s2 u:c u:d", "S:s1 U:a A:bENDS:s2 U:c\n\nd A:"),
        (
            "{{ if .System }}{{ .System }}{{ else }}none{{ end }} {{ .Prompt }} -> ",
            "u:a a:b u:c",
            "none a -> bnone c -> ",
        ),
        ("{{ .Prompt }}", "s:sys u:a a:b u:c", "abc"),
        ("{{ .Prompt }}{{ .Response }}<eos>", "a:b u:a", "b<eos>a"),
        ("{{ .Prompt }} {{ .Response }} Z", "u:a a:b", "a b"),
        ("{{ .Prompt }}{{ .Response }}<eos>", "u:a t:t a:b a:c u:d", "ab\n\nc<eos>d"),
        ("{{ .Prompt }}{{ .Response }}", "", ""),
        ("{{ .Prompt }}", "s:only", ""),
        ("{{ .System }}|{{ .Prompt }}{{ .Response }}!", "s:a s:b u:c", "a\n\nb|c"),
        ("{{ .Response }}{{ .Prompt }}", "u:a a:b u:c", "ba"),
    ],
)
def test_turn_by_turn(template: str, said: str, want: str) -> None:
    assert prompt(template, said) == want


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("{{ .Prompt }}<{{ .Response }}>{{ .Prompt }}", "q<"),
        ("{{ if .Prompt }}{{ .Prompt }}:{{ .Response }};{{ end }}!", "q:"),
        ("{{ if .Response }}{{ .Response }}!{{ else }}none{{ end }}!", ""),
        ("{{ if .System }}x{{ else if .Prompt }}{{ .Prompt }}{{ .Response }}y{{ else }}z{{ end }}!", "q"),
        ("{{ if .Response }}b{{ else }}{{ .Prompt }}-{{ .Response }}y{{ end }}!", "q-"),
        ("{{ with .Prompt }}{{ . }}{{ $.Response }}!{{ end }}.{{ .Response }}?", "q!."),
        ("{{ range .None }}{{ .Response }}{{ else }}{{ .Prompt }}{{ end }}x", ""),
        ('{{ printf "%s/%s" .Response .Prompt }}x', "/q"),
        ('{{ .Response | printf "[%s]" }}x', "[]"),
        ('{{ define "t" }}{{ .Response }}!{{ end }}{{ .Prompt }}{{ template "t" . }}?{{ .Response }}', "q!?"),
        ("{{ (print .Response) }}x", ""),
        ("{{ currentDate | len }}{{ .Prompt }}{{ .Response }}x", "10q"),
        ("{{ .Tools.Function }}{{ .Prompt }}{{ .Response }}x", "<no value>q"),
    ],
)
def test_the_last_turn_ends_before_the_answer(template: str, want: str) -> None:
    assert prompt(template, "u:q") == want


def test_all_messages_at_once() -> None:
    text = "{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}{{ .System }}"
    said = [*messages("s:s1 s:s2 u:a"), {"role": "user", "content": ""}, *messages("s:s3")]
    assert render(Template.parse(text), Conversation(said)) == (
        "system:s1\n\ns2;user:a\n\n;system:s3;s1\n\ns2\n\ns3"
    )


def test_there_is_no_prompt_among_messages() -> None:
    assert prompt("{{ range .Messages }}{{ end }}{{ .Prompt }}", "u:a") == "<no value>"


def test_a_template_that_indexes_the_messages_gets_them() -> None:
    assert prompt("{{ (index .Messages 0).Content }}", "u:a") == "a"


def test_tool_results_stay_apart_and_merged_messages_keep_what_they_carry() -> None:
    call = {"function": {"name": "f"}}
    merged = collated(
        [
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
            {"role": "user", "content": "a", "images": ["AA=="]},
            {"role": "user", "content": "b", "images": ["AQ=="]},
            {"role": "assistant", "content": "c", "thinking": "x"},
            {"role": "assistant", "tool_calls": [call], "thinking": "y"},
        ]
    )
    assert merged == [
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "user", "content": "a\n\nb", "images": ["AA==", "AQ=="]},
        {"role": "assistant", "content": "c\n\n", "tool_calls": [call], "thinking": "x\n\ny"},
    ]


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [("def add(", "return x", "<PRE> def add( <SUF>return x <MID>"), ("", "x", ""), ("y", "", "y")],
)
def test_filling_in_needs_text_before_and_after(before: str, after: str, want: str) -> None:
    assert render_suffix(Template.parse(FILL_IN), before, after) == want


@pytest.mark.parametrize(
    ("think", "want"),
    [
        (None, "false||false"),
        (True, "true|medium|true"),
        (False, "false||true"),
        ("high", "true|high|true"),
    ],
)
def test_a_template_knows_whether_to_think(think: bool | str | None, want: str) -> None:
    text = "{{ .Think }}|{{ .ThinkLevel }}|{{ .IsThinkSet }}{{ .Response }}"
    assert prompt(text, "", think=think) == want
    assert render_suffix(Template.parse(text), "a", "b", think) == want


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("{{ .Tools }}|{{ len .Tools }}|{{ if .Tools }}x{{ end }}", "null|0|"),
        ("{{ json .Tools }}", "null"),
    ],
)
def test_no_tools(template: str, want: str) -> None:
    assert prompt("{{ range .Messages }}{{ end }}" + template, "u:a") == want
    assert prompt("{{ .Tools }}", "u:a") == "<no value>"


IMAGE = base64.b64encode(b"hi").decode()


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("{{ len .Images }}", "2"),
        ("{{ range .Images }}{{ len . }} {{ end }}", "2 2 "),
        ("{{ .Images }}", "[[104 105] [104 105]]"),
        ("{{ index .Images 0 }}{{ slice .Images 1 }}", "[104 105][[104 105]]"),
        ("{{ json .Images }}", f'["{IMAGE}","{IMAGE}"]'),
        ("{{ if .ToolCalls }}x{{ end }}{{ len .ToolCalls }}{{ .ToolName }}{{ .ToolCallID }}", "0"),
    ],
)
def test_images(template: str, want: str) -> None:
    text = "{{ range .Messages }}" + template + "{{ end }}"
    said = [{"role": "user", "content": "a", "images": [IMAGE, b"hi"]}]
    if "json" in template:
        said[0]["images"] = [IMAGE, IMAGE]
    assert render(Template.parse(text), Conversation(said)) == want


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        (
            "{{ range .Messages }}{{ .Name }}{{ end }}",
            "can't evaluate field Name in type *template.templateMessage",
        ),
        ("{{ range .Messages }}{{ .Content.X }}{{ end }}", "can't evaluate field X in type string"),
        ("{{ .Messages.X }}", "can't evaluate field X in type interface {}"),
        (
            '{{ range .Messages }}{{ .Role "x" }}{{ end }}',
            "Role has arguments but cannot be invoked as function",
        ),
        ('{{ .Tools.String "x" }}{{ .Messages }}', "wrong number of args for String: want 0 got 1"),
        ("{{ range .Messages }}{{ .__class__ }}{{ end }}", "can't evaluate field __class__"),
        ("{{ range .Messages }}{{ .fields }}{{ end }}", "can't evaluate field fields"),
        ("{{ range .Messages }}{{ .Content.upper }}{{ end }}", "can't evaluate field upper in type string"),
        ("{{ .Messages.append }}", "can't evaluate field append"),
        ("{{ (slice .Messages 0).X }}", "can't evaluate field X in type []*template.templateMessage"),
        (
            "{{ .Tools.METHODS }}{{ .Messages }}",
            "can't evaluate field METHODS in type interface {}",
        ),
    ],
)
def test_nothing_but_the_known_fields_can_be_reached(template: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as raised:
        prompt(template, "u:a")
    assert complaint in str(raised.value)
