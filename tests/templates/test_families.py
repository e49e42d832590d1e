"""What the templates of well-known models make of a conversation, and what they tell about their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.templates import families
from tropa.library.modelfile.syntax import parse as parse_modelfile
from tropa.templates.chat import Conversation, render, render_suffix
from tropa.templates.template import Template

MODELFILES = Path(__file__).parents[2] / "docs/modelfiles"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at <place>",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"unit": {"type": "string", "enum": ["C", "F"]}, "city": {"type": "string"}},
        },
    },
}
DESCRIBED = (
    '{"name":"weather","description":"The weather at \\u003cplace\\u003e","parameters":{"type":"object",'
    '"required":["city"],"properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["C","F"]}}}}'
)


def said(role: str, content: str = "", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


SYSTEM, USER, ANSWER, AGAIN = (
    said("system", "S"),
    said("user", "U"),
    said("assistant", "A"),
    said("user", "V"),
)
CALL = said(
    "assistant", tool_calls=[{"function": {"name": "weather", "arguments": {"city": "Rom", "days": 2}}}]
)
RESULT = said("tool", "sunny", tool_name="weather")


def prompt(text: str, *messages: dict[str, Any], tools: bool = False, think: bool | None = None) -> str:
    return render(Template.parse(text), Conversation(messages, [WEATHER] if tools else [], think))


def shipped(family: str) -> str:
    """The template in a Modelfile of the documentation."""
    found = [*parse_modelfile((MODELFILES / family / "Modelfile").read_text()).of("template")]
    assert len(found) == 1
    return found[0].value


def test_chatml() -> None:
    assert prompt(families.CHATML, SYSTEM, USER, ANSWER, AGAIN) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
        "<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"
    )


def test_llama3() -> None:
    assert prompt(families.LLAMA3, SYSTEM, USER) == (
        "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_mistral_with_tools() -> None:
    assert prompt(families.MISTRAL, SYSTEM, USER, CALL, RESULT, AGAIN, tools=True) == (
        '[INST] U[/INST][TOOL_CALLS] [{"name": "weather", "arguments": {"city":"Rom","days":2}}]</s>'
        '[TOOL_RESULTS] {"content": sunny}[/TOOL_RESULTS][AVAILABLE_TOOLS] '
        f'[{{"type":"function","function":{DESCRIBED}}}][/AVAILABLE_TOOLS][INST] S\n\nV[/INST]'
    )
    template = Template.parse(families.MISTRAL)
    assert template.tool_tag == "[TOOL_CALLS] ["
    assert template.takes_tool_results
    assert template.capabilities == {"tools"}


def test_qwen2_5_with_tools() -> None:
    assert prompt(families.QWEN2_5, USER, CALL, RESULT, tools=True) == (
        f'<|im_start|>system\n\n\n# Tools\n\n<tools>\n{{"type": "function", "function": {DESCRIBED}}}\n</tools>'
        "<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city":"Rom","days":2}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )
    template = Template.parse(families.QWEN2_5)
    assert template.tool_tag == "<tool_call>"
    assert template.capabilities == {"tools", "insert"}
    assert render_suffix(template, "a", "b") == "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"


def test_an_answer_begun_is_gone_on_with() -> None:
    assert prompt(families.QWEN2_5, USER, ANSWER).endswith("<|im_start|>assistant\nA")


def test_hermes_with_tools() -> None:
    assert prompt(families.HERMES, SYSTEM, USER, CALL, RESULT, tools=True) == (
        f'<|im_start|>system\nS\n<tools>[{{"type":"function","function":{DESCRIBED}}}]</tools><|im_end|>\n'
        '<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"city":"Rom","days":2} for weather\n'
        "</tool_call><|im_end|>\n<|im_start|>tool\n<tool_response>\nsunny\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert Template.parse(families.HERMES).tool_tag == "<tool_call>"


@pytest.mark.parametrize(
    ("think", "ends"),
    [
        (None, "U<|im_end|>\n<|im_start|>assistant\n"),
        (True, "U /think<|im_end|>\n<|im_start|>assistant\n"),
        (False, "U /no_think<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    ],
)
def test_qwen3_is_told_whether_to_think(think: bool | None, ends: str) -> None:
    assert prompt(families.QWEN3, USER, think=think).endswith(ends)
    assert Template.parse(families.QWEN3).thinking == ("<think>", "</think>")


def test_glm4() -> None:
    text = shipped("glm4")
    assert prompt(text, SYSTEM, USER, ANSWER, AGAIN) == (
        "[gMASK]<sop><|system|>\nS<|user|>\nU<|assistant|>\nA<|user|>\nV<|assistant|>\n"
    )
    assert prompt(text, USER) == "[gMASK]<sop><|user|>\nU<|assistant|>\n"
    assert prompt(text, USER, ANSWER) == "[gMASK]<sop><|user|>\nU<|assistant|>\nA"


def test_glm4_with_tools() -> None:
    text = shipped("glm4")
    assert prompt(text, SYSTEM, USER, CALL, RESULT, tools=True) == (
        f"[gMASK]<sop><|system|>\nS\n\n# Tools\n\n## weather\n\n{DESCRIBED}\n\n"
        "To call one of these tools, answer with a JSON object and nothing else: "
        '{"name": <its name>, "arguments": <its arguments as an object>}'
        '<|user|>\nU<|assistant|>\n{"name": "weather", "arguments": {"city":"Rom","days":2}}'
        "<|observation|>\nsunny<|assistant|>\n"
    )
    template = Template.parse(text)
    assert template.capabilities == {"tools"}
    assert template.takes_tool_results
    assert template.tool_tag == "{"


def test_codegeex4() -> None:
    text = shipped("codegeex4")
    assert prompt(text, SYSTEM, USER, ANSWER, AGAIN) == (
        "[gMASK]<sop><|system|>\nS<|user|>\nU<|assistant|>\nA<|user|>\nV<|assistant|>\n"
    )
    template = Template.parse(text)
    assert template.capabilities == {"insert"}
    assert render_suffix(template, "def add(a, b):\n", "\nprint(add(1, 2))") == (
        "[gMASK]<sop><|user|>\n###LANGUAGE:\n###MODE:BLOCK\n<|code_suffix|>\nprint(add(1, 2))"
        "<|code_prefix|>def add(a, b):\n<|code_middle|><|assistant|>\n"
    )


def test_gemma2_puts_the_system_text_into_the_first_user_turn() -> None:
    text = shipped("gemma2")
    assert prompt(text, SYSTEM, USER, ANSWER, AGAIN) == (
        "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
        "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n"
    )
    assert prompt(text, USER, ANSWER) == "<start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\nA"


@pytest.mark.parametrize("family", sorted(path.name for path in MODELFILES.iterdir()))
def test_every_modelfile_of_the_documentation_stops_where_a_turn_ends(family: str) -> None:
    modelfile = parse_modelfile((MODELFILES / family / "Modelfile").read_text())
    stops = [command.value for command in modelfile.of("parameter") if command.key == "stop"]
    assert stops
    written = prompt(shipped(family), SYSTEM, USER, ANSWER, AGAIN)
    assert any(stop in written for stop in stops)
    assert parse_modelfile(str(modelfile)) == modelfile
