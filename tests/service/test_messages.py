from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.library.model import Message, Model
from tropa.service.constraint import check_think, effective, schema, told
from tropa.service.errors import BadFormat, InvalidRequest, NotCapable
from tropa.service.messages import as_openai, conversation, in_dialect

USER: Mapping[str, Any] = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Library(tmp_path_factory.mktemp("models"), packaged()).find("tiny")


def test_a_plain_conversation_stays_as_it_is(tiny: Model) -> None:
    assert conversation(tiny, [USER]) == [USER]


def test_the_models_own_messages_come_first_and_its_system_before_them(tiny: Model) -> None:
    model = replace(tiny, system="Be kind.", messages=(Message("user", "A?"), Message("assistant", "B.")))
    roles = [(each["role"], each["content"]) for each in conversation(model, [USER])]
    assert roles == [("system", "Be kind."), ("user", "A?"), ("assistant", "B."), ("user", "Hi")]


@pytest.mark.parametrize("role", ["system", "SYSTEM", "System"])
def test_a_system_message_of_the_request_replaces_the_models(tiny: Model, role: str) -> None:
    model = replace(tiny, system="Be kind.")
    told = conversation(model, [{"role": role, "content": "Be brief."}, USER])
    assert [each["content"] for each in told] == ["Be brief.", "Hi"]
    assert told[0]["role"] == "system"


def test_a_later_system_message_replaces_nothing(tiny: Model) -> None:
    told = conversation(replace(tiny, system="Be kind."), [USER, {"role": "system", "content": "x"}])
    assert [each["content"] for each in told] == ["Be kind.", "Hi", "x"]


def test_an_empty_message_is_a_message(tiny: Model) -> None:
    assert as_openai({}) == {"role": "", "content": ""}


def test_tool_calls_get_their_arguments_as_text() -> None:
    said = as_openai(
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "x", "function": {"name": "f", "arguments": {"ort": "Köln"}}},
                {"function": {"name": "g"}},
            ],
        }
    )
    first, second = said["tool_calls"]
    assert (first["id"], first["type"], first["function"]["name"]) == ("x", "function", "f")
    assert json.loads(first["function"]["arguments"]) == {"ort": "Köln"}
    assert second["function"] == {"name": "g", "arguments": "{}"}


def test_an_answer_of_a_tool_names_it() -> None:
    said = as_openai({"role": "tool", "content": "4", "tool_name": "add", "tool_call_id": "x"})
    assert said == {"role": "tool", "content": "4", "name": "add", "tool_call_id": "x"}


def called(*names: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name}, **fields} for name in names]}


def answered(text: str, **fields: str) -> dict[str, str]:
    return {"role": "tool", "content": text, **fields}


def links(*messages: Any) -> list[tuple[str, str]]:
    """Of each call its name and id; of each answer its text and the id that it is for."""
    found = []
    for message in in_dialect(messages):
        found += [(call["function"]["name"], call["id"]) for call in message.get("tool_calls", ())]
        if message["role"] == "tool":
            found.append((message["content"], message["tool_call_id"]))
    return found


def test_calls_and_answers_without_ids_are_linked_by_name_and_order() -> None:
    first, second, third = "call00001", "call00002", "call00003"
    assert all(len(each) == 9 and each.isalnum() for each in (first, second)), (
        "as Mistral's templates want them"
    )
    told = links(
        called("f", "g"), answered("of g", tool_name="g"), answered("of f"), called("f"), answered("again")
    )
    assert told == [
        *[("f", first), ("g", second), ("of g", second), ("of f", first)],
        *[("f", third), ("again", third)],
    ]


def test_ids_of_the_client_are_kept() -> None:
    assert links(called("f", id="x"), answered("1")) == [("f", "x"), ("1", "x")]
    assert links(called("f", id="x"), answered("1", tool_call_id="y")) == [("f", "x"), ("1", "y")]
    both = called("f", "f")
    both["tool_calls"][1]["id"] = "b"
    assert links(both, answered("1", tool_call_id="b"), answered("2"))[2:] == [("1", "b"), ("2", "call00001")]


def test_an_answer_to_no_call_has_an_id_too() -> None:
    ((_, ident),) = links(answered("1"))
    assert len(ident) == 9
    assert links(called("f"), answered("1", tool_name="g"))[1] == ("1", "call00002")


def test_an_answer_without_a_name_gets_that_of_its_call() -> None:
    _, answer = in_dialect([called("f"), answered("1")])
    assert answer["name"] == "f"
    assert "name" not in in_dialect([answered("1")])[0]


def test_thinking_goes_back_under_the_engines_name() -> None:
    assert as_openai({"role": "assistant", "content": "4", "thinking": "2+2"})["reasoning_content"] == "2+2"


def test_images_stand_before_the_text() -> None:
    picture, text = as_openai({"role": "user", "content": "What?", "images": ["QUJD"]})["content"]
    assert picture["image_url"]["url"].endswith(";base64,QUJD")
    assert text == {"type": "text", "text": "What?"}


def test_a_family_that_knows_no_more_than_high(tiny: Model) -> None:
    model = replace(tiny, capabilities=("thinking",), details=replace(tiny.details, family="gptoss"))
    assert [effective(model, "m", level) for level in ("max", "low", True)] == ["high", "low", True]


THOUGHT = "<think>2+2 is...</think>\n\n4"


@pytest.mark.parametrize(
    ("family", "name", "forgets"),
    [("qwen3", "tiny", True), ("llama", "tiny", False), ("qwen2", "deepseek-r1", True)],
)
def test_old_thoughts_are_left_out_where_a_family_was_trained_so(
    tiny: Model, family: str, name: str, forgets: bool
) -> None:
    model = replace(tiny, details=replace(tiny.details, family=family), name=replace(tiny.name, model=name))
    said = {"role": "assistant", "content": THOUGHT}
    old, _, latest = conversation(model, [said, USER, said])
    assert old["content"] == ("4" if forgets else THOUGHT)
    assert latest["content"] == THOUGHT


def test_text_and_images_in_the_order_in_which_they_are_read() -> None:
    parts = as_openai({"role": "user", "content": "A [img] b [img-7]", "images": ["QQ==", "Qg=="]})["content"]
    kinds = [part.get("text") or part["image_url"]["url"][-4:] for part in parts]
    assert kinds == ["Qg==", "A ", "QQ==", " b ", "[img-7]"]


# What the answer must look like.


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (None, None),
        ("", None),
        ("json", {"type": "object"}),
        ({"type": "string"}, {"type": "string"}),
    ],
)
def test_formats(form: Any, found: Any) -> None:
    assert schema(form) == found


@pytest.mark.parametrize("form", ["xml", "JSON", 5, True, ["json"]])
def test_no_formats(form: Any) -> None:
    with pytest.raises(BadFormat, match='expected "json" or a valid JSON Schema object'):
        schema(form)


@pytest.mark.parametrize("level", [None, True, False, "low", "medium", "high", "max"])
def test_think_levels(level: Any) -> None:
    assert check_think(level) == level


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("", 'invalid think value: "" (must be "high", "medium", "low", "max", true, or false)'),
        ("High", 'invalid think value: "High" (must be'),
        (1, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
        ([], "think must be a boolean or string"),
    ],
)
def test_no_think_levels(level: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_think(level)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("level", [True, "low"])
def test_a_model_that_does_not_think_says_so(tiny: Model, level: Any) -> None:
    with pytest.raises(NotCapable, match='"Tiny" does not support thinking'):
        effective(tiny, "Tiny", level)
    assert effective(tiny, "Tiny", False) is effective(tiny, "Tiny", None) is None
    assert told(None) == {}


@pytest.mark.parametrize(("level", "on"), [(None, True), (True, True), ("low", True), (False, False)])
def test_a_model_that_thinks_does_so_unless_told_not_to(tiny: Model, level: Any, on: bool) -> None:
    thinker = replace(tiny, capabilities=("completion", "thinking"))
    think = effective(thinker, "t", level)
    assert bool(think) is on
    arguments = told(think)["chat_template_kwargs"]
    assert arguments["enable_thinking"] is on
    assert arguments.get("reasoning_effort") == ("low" if level == "low" else None)
