"""GLM-4, CodeGeeX4 and Gemma 2 with the Modelfiles of docs/, on tiny random models of their architectures: made as a
user makes them, asked over HTTP, the prompt as the engine gets it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.talking import TOOL, chat, generate, prompted, rendered, user
from tests.support import models
from tests.support.places import short_folder
from tests.support.server import Server
from tropa.library.modelfile.request import request
from tropa.library.modelfile.syntax import parse

DOCS = Path(__file__).parents[2] / "docs/modelfiles"
MAKERS: dict[str, tuple[str, Callable[..., Path]]] = {
    "glm4": ("glm4", models.chatglm),
    "glm4-0414": ("glm4", models.glm4),
    "codegeex4": ("codegeex4", models.chatglm),
    "gemma2": ("gemma2", models.gemma2),
}
TALK = [
    {"role": "system", "content": "Be kind."},
    user("One?"),
    {"role": "assistant", "content": "Two."},
    user("Three?"),
]
GLM = "[gMASK]<sop><|system|>\nBe kind.<|user|>\nOne?<|assistant|>\nTwo.<|user|>\nThree?<|assistant|>\n"
GEMMA = (
    "<start_of_turn>user\nBe kind.\n\nOne?<end_of_turn>\n<start_of_turn>model\nTwo.<end_of_turn>\n"
    "<start_of_turn>user\nThree?<end_of_turn>\n<start_of_turn>model\n"
)
PROMPTS = {"glm4": GLM, "glm4-0414": GLM, "codegeex4": GLM, "gemma2": GEMMA}
FEW = {"num_predict": 8}


@pytest.fixture(scope="module")
def families(server: Server) -> Server:
    with short_folder() as folder:
        for name, (page, make) in MAKERS.items():
            here = folder / name
            here.mkdir()
            make(here / "model.gguf", context=2048)
            shutil.copy(DOCS / page / "Modelfile", here)
            wanted = request(parse((here / "Modelfile").read_text()), here)
            files = {file: server.upload(path) for file, path in wanted.files.items()}
            answer = server.post("/api/create", model=name, files=files, **wanted.fields)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
    return server


FAMILIES = pytest.mark.parametrize("name", MAKERS)


@FAMILIES
def test_the_chat_format(families: Server, name: str) -> None:
    assert rendered(families, name, TALK) == PROMPTS[name]


@FAMILIES
def test_the_engine_gets_just_that(families: Server, name: str) -> None:
    """As many tokens as the text has, and one beginning if the model wants one."""
    said = chat(families, name, TALK, options=FEW)
    raw = generate(families, name, PROMPTS[name], raw=True, options=FEW)
    assert said.end["prompt_eval_count"] == raw.end["prompt_eval_count"]
    assert said.text == raw.text
    assert said.end["eval_count"] > 0


@FAMILIES
def test_a_prompt_is_a_conversation_of_one(families: Server, name: str) -> None:
    said = generate(families, name, "One?", system="Be kind.", options=FEW)
    assert said.text == chat(families, name, TALK[:2], options=FEW).text
    assert prompted(families, name, "One?", system="Be kind.") == rendered(families, name, TALK[:2])


@FAMILIES
def test_an_answer_that_was_begun_goes_on(families: Server, name: str) -> None:
    begun = rendered(families, name, [*TALK, {"role": "assistant", "content": "Four,"}])
    assert begun == PROMPTS[name] + "Four,"


@FAMILIES
def test_history_that_does_not_fit(families: Server, name: str) -> None:
    long = [TALK[0], user("A" * 400), {"role": "assistant", "content": "B" * 400}, TALK[-1]]
    said = chat(families, name, long, options=FEW | {"num_ctx": 256})
    assert said.end["truncated"]["messages"] == 2
    shown = rendered(families, name, long, options={"num_ctx": 256})
    assert "Be kind." in shown
    assert "Three?" in shown
    assert "A" * 10 not in shown


@FAMILIES
def test_what_they_can_do(families: Server, name: str) -> None:
    can = set(families.post("/api/show", model=name).json["capabilities"])
    more = {"glm4": {"tools"}, "glm4-0414": {"tools"}, "codegeex4": {"insert"}, "gemma2": set[str]()}[name]
    assert can == {"completion", *more}


@pytest.mark.parametrize("name", ["glm4", "glm4-0414"])
def test_tools_of_glm(families: Server, name: str) -> None:
    call: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "now"}}]}
    result = {"role": "tool", "content": "noon", "tool_name": "now"}
    shown = rendered(families, name, [user("When?"), call, result], tools=[TOOL])
    assert "## now" in shown
    assert '"description":"The time."' in shown
    assert shown.endswith("<|observation|>\nnoon<|assistant|>\n")
    assert (
        chat(families, name, [user("When?"), call, result], tools=[TOOL], options=FEW).end["eval_count"] > 0
    )


def test_codegeex_fills_in(families: Server) -> None:
    shown = prompted(families, "codegeex4", "def add(", suffix="return a + b")
    assert "<|code_suffix|>return a + b<|code_prefix|>def add(<|code_middle|>" in shown
    assert (
        generate(families, "codegeex4", "def add(", suffix="return a + b", options=FEW).end["eval_count"] > 0
    )
