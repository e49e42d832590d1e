"""Thinking, tool calls and forms, from a model that says what the test wants, over HTTP, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.service.talking import CALL, TOOL, chat, generate, user
from tests.support.models import llama
from tests.support.places import short_folder
from tests.support.scripted import scripted
from tests.support.server import Server

GO = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ if .ToolCalls }}"
    "{{ range .ToolCalls }}<tool_call>{{ .Function }}</tool_call>{{ end }}{{ end }}{{ .Content }}{{ end }}"
    "{{ if .Tools }}{{ end }}"
)
BARE = (
    "{{ range .Messages }}{{ .Content }}{{ if .ToolCalls }}{ {{ end }}{{ end }}{{ if .Tools }}{{ end }}<go>"
)
JINJA = (
    "{% if tools %}<|im_start|>system\nYou may call: {% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    '<tool_call>{"name": <function-name>, "arguments": <args-json-object>}</tool_call><|im_end|>\n{% endif %}'
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    '{% if message.role == "assistant" and message.reasoning_content %}'
    "<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}{{ message.content }}"
    "{% if message.tool_calls %}{% for tool_call in message.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ tool_call.function.name }}", "arguments": {{ tool_call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SAID_CALL = ['{"name": "now", ', '"arguments": {"zone": "UTC"}}']
LINES = {SAID_CALL[0]: "\n" + SAID_CALL[0], SAID_CALL[1]: SAID_CALL[1] + "\n"}
"""As the Jinja template has it: the engine's own parser is strict about line breaks."""
TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
SCRIPTS: dict[str, Sequence[str]] = {
    "thinks": ["<think>", "hm", "m", "</think>", "\n\n", "Yes", "."],
    "calls": ["<tool_call>", *SAID_CALL, "</tool_call>"],
    "says-and-calls": ["Let me see. ", "<tool_call>", *SAID_CALL, "</tool_call>", " Done"],
    "thinks-and-calls": ["<think>", "hmm", "</think>", "<tool_call>", *SAID_CALL, "</tool_call>"],
    "says": ["Hel", "lo", "."],
    "half": ["<tool_call>", '{"name": "now", ', '"argu'],
    "unknown": ["<tool_call>", '{"name": "never", "arguments": {}}', "</tool_call>"],
    "only-thinks": ["<think>", "hm"],
}
NO = {"enum": ["no"]}


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    """Each script as a model with a Go template, and as one with the Jinja in its GGUF."""
    with short_folder() as folder:
        for name, pieces in SCRIPTS.items():
            go = scripted(folder / f"{name}.gguf", {"<go>": pieces}, special=TAGS)
            server.create(name, go, template=GO + "<go>")
            lines = [LINES.get(piece, piece) for piece in pieces]
            jinja = scripted(
                folder / f"{name}-jinja.gguf",
                {"<|im_start|>assistant\n": lines},
                special=[*TAGS, "<|im_end|>"],
                template=JINJA,
            )
            server.create(f"{name}-jinja", jinja)
        bare = scripted(folder / "bare.gguf", {"<go>": SAID_CALL})
        server.create("bare", bare, template=BARE)
        text = scripted(folder / "text.gguf", {"<go>": ["{", "a json ", "text }"]})
        server.create("text", text, template=BARE)
        opened = scripted(folder / "opened.gguf", {"<think>\n": ["hm", "</think>", "Yes"]})
        server.create("opened", opened, template=GO + "<think>\n")
    return server


BOTH = pytest.mark.parametrize("kind", ["", "-jinja"], ids=["go", "jinja"])


@BOTH
def test_thinking_is_told_from_the_answer(models: Server, kind: str) -> None:
    said = chat(models, f"thinks{kind}", "Hi")
    assert (said.thinking, said.text) == ("hmm", "Yes.")
    assert len(said.pieces) == 2, "as it comes"
    assert (said.end["done_reason"], said.end["eval_count"]) == ("stop", 8)


@BOTH
def test_a_generate_tells_it_too(models: Server, kind: str) -> None:
    said = generate(models, f"thinks{kind}", "Hi")
    assert (said.thinking, said.text) == ("hmm", "Yes.")


def test_not_asked_to_think_all_is_content(models: Server) -> None:
    said = chat(models, "thinks", "Hi", think=False)
    assert said.thinking == ""
    assert "hmm" in said.text


def test_a_raw_prompt_of_a_model_that_thinks(models: Server) -> None:
    said = generate(models, "thinks", "<go>", raw=True)
    assert (said.thinking, said.text) == ("hmm", "Yes.")
    assert "context" not in said.end


def test_a_prompt_that_ends_in_a_thought(models: Server) -> None:
    said = chat(models, "opened", "Hi")
    assert (said.thinking, said.text) == ("hm", "Yes")


@BOTH
def test_a_tool_call(models: Server, kind: str) -> None:
    said = chat(models, f"calls{kind}", "Hi", tools=[TOOL])
    assert (said.text, said.thinking) == ("", "")
    (call,) = said.calls
    assert call["function"] == CALL
    assert call["id"]
    assert said.end["done_reason"] == "stop"


@BOTH
def test_a_tool_need_not_say_that_it_is_a_function(models: Server, kind: str) -> None:
    said = chat(models, f"calls{kind}", "Hi", tools=[{"function": TOOL["function"]}])
    assert [call["function"] for call in said.calls] == [CALL]


@BOTH
@pytest.mark.parametrize("tool", [{}, {"function": {"description": "none"}}], ids=str)
def test_a_tool_without_a_name_is_refused(models: Server, kind: str, tool: dict[str, Any]) -> None:
    answer = models.post("/api/chat", model=f"calls{kind}", messages=[user("Hi")], tools=[tool])
    assert (answer.status, answer.error) == (400, "a tool has no function name: no model could call it")


def test_ids_of_our_own(models: Server) -> None:
    (call,) = chat(models, "calls", "Hi", tools=[TOOL]).calls
    assert call["id"].startswith("call_")
    assert len(call["id"]) == len("call_") + 8


@BOTH
def test_text_thinking_and_calls_are_all_sent(models: Server, kind: str) -> None:
    said = chat(models, f"says-and-calls{kind}", "Hi", tools=[TOOL])
    assert said.text.startswith("Let me see.")
    assert [call["function"] for call in said.calls] == [CALL]
    said = chat(models, f"thinks-and-calls{kind}", "Hi", tools=[TOOL])
    assert (said.thinking, said.text) == ("hmm", "")
    assert [call["function"] for call in said.calls] == [CALL]


def test_what_is_said_behind_a_call_is_not_lost(models: Server) -> None:
    assert chat(models, "says-and-calls", "Hi", tools=[TOOL]).text == "Let me see. Done"


def test_a_call_without_a_tag(models: Server) -> None:
    said = chat(models, "bare", "Hi", tools=[TOOL])
    assert (said.text, [call["function"] for call in said.calls]) == ("", [CALL])


def test_a_text_that_begins_as_a_call_is_a_text(models: Server) -> None:
    said = chat(models, "text", "Hi", tools=[TOOL])
    assert (said.text, said.calls) == ("{a json text }", [])


def test_without_tools_a_call_is_text(models: Server) -> None:
    assert chat(models, "bare", "Hi").text == "".join(SAID_CALL)


def test_half_a_call_is_none_and_one_of_an_unknown_tool_is_text(models: Server) -> None:
    said = chat(models, "half", "Hi", tools=[TOOL])
    assert (said.text, said.calls) == ("", [])
    said = chat(models, "unknown", "Hi", tools=[TOOL])
    assert said.calls == []
    assert '{"name": "never", "arguments": {}}' in said.text


def test_logprobs_come_with_tools_and_thinking(models: Server) -> None:
    said = chat(models, "thinks-and-calls", "Hi", tools=[TOOL], logprobs=True)
    assert said.calls
    whole = models.post(
        "/api/chat",
        model="thinks-and-calls-jinja",
        messages=[user("Hi")],
        tools=[TOOL],
        logprobs=True,
        stream=False,
        options={"temperature": 0},
    ).json
    assert any(entry["token"] == "hmm" for entry in whole["logprobs"])


# Forms.


def form(said: Any) -> Any:
    return json.loads(said.text)


@BOTH
@pytest.mark.parametrize("name", ["thinks", "says"])
def test_the_answer_has_the_form_whether_the_model_thinks_or_not(
    models: Server, name: str, kind: str
) -> None:
    options = {"num_predict": 80}
    said = chat(models, f"{name}{kind}", "Hi", format=NO, options=options)
    assert form(said) == "no"
    if name == "thinks":
        assert said.thinking.startswith("hm")
    assert form(generate(models, f"{name}{kind}", "Hi", format=NO, options=options)) == "no"


BLANKS: dict[str, Any] = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}


@BOTH
def test_a_vocabulary_that_begins_each_text_with_a_blank(models: Server, kind: str) -> None:
    """The wheel's engine let such a model say anything."""
    with short_folder() as folder:
        go = {"template": "{{ .Prompt }}"} if not kind else {}
        models.create(f"blanks{kind}", llama(folder / "m.gguf", seed=3), **go)
    for said in (
        chat(models, f"blanks{kind}", "Hi", format=BLANKS, options={"num_predict": 60}),
        generate(models, f"blanks{kind}", "Hi", format=BLANKS, options={"num_predict": 60}),
        generate(models, f"blanks{kind}", "Hi", format=BLANKS, raw=True, options={"num_predict": 60}),
    ):
        assert form(said)["n"] in (1, 2)


def test_a_jinja_template_that_does_not_work_is_no_matter_to_a_go_template(models: Server) -> None:
    with short_folder() as folder:
        broken = (
            "{% for m in messages %}{% if m.content == 'a' %}{{ raise_exception('never') }}{% endif %}"
            "{{ m.content }}{% endfor %}"
        )
        path = scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template=broken)
        models.create("broken", path, template="{{ .Prompt }}<go>")
    assert chat(models, "broken", "Hi").text == "Yes"
    assert form(chat(models, "broken", "Hi", format=NO)) == "no"


@BOTH
@pytest.mark.parametrize("name", ["says", "thinks"])
def test_a_form_that_is_none_is_refused_before_a_word(models: Server, name: str, kind: str) -> None:
    answer = models.post(
        "/api/chat", model=f"{name}{kind}", messages=[user("Hi")], format={"type": "nonsense"}
    )
    assert answer.status == 400
    assert "nonsense" in answer.error


def test_who_ends_in_the_middle_of_a_thought_has_to_answer_all_the_same(models: Server) -> None:
    said = chat(models, "only-thinks", "Hi", format=NO)
    assert (said.thinking, form(said)) == ("hm", "no")


def test_both_steps_are_counted(models: Server) -> None:
    said = chat(models, "thinks", "Hi", format=NO)
    alone = chat(models, "thinks", "Hi", format=NO, think=False)
    assert said.end["eval_count"] > alone.end["eval_count"]
    assert said.end["prompt_eval_count"] == alone.end["prompt_eval_count"]


def test_a_limit_holds_for_both_steps_together(models: Server) -> None:
    said = chat(models, "thinks", "Hi", format=NO, options={"num_predict": 8})
    assert said.end["done_reason"] == "length"
    assert said.end["eval_count"] <= 8


@BOTH
def test_a_form_leaves_tools_alone(models: Server, kind: str) -> None:
    said = chat(models, f"calls{kind}", "Hi", tools=[TOOL], format=NO)
    assert (said.text, [call["function"] for call in said.calls]) == ("", [CALL])
    said = chat(models, f"thinks-and-calls{kind}", "Hi", tools=[TOOL], format=NO)
    assert (said.thinking, [call["function"] for call in said.calls]) == ("hmm", [CALL])
    said = chat(models, f"says{kind}", "Hi", tools=[TOOL], format=NO)
    assert (form(said), said.calls) == ("no", [])
