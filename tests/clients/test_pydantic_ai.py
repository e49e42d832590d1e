"""`pydantic-ai`, unmodified, with a server of ours: chat completions, responses and messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support import models, tooltemplate
from tests.support.bundled import questions
from tests.support.server import Server

HELLO = questions()[0]
GREEDY: Any = {"extra_body": {"temperature": 0}, "max_tokens": 300}


class Place(BaseModel):
    colour: Literal["red", "blue"]


class Trip(BaseModel):
    start: Place
    end: Place


@pytest.fixture(scope="module")
def tooly(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says nonsense, and whose template knows tools."""
    path = tmp_path_factory.mktemp("tooly") / "tooly.gguf"
    server.create("tooly", models.llama(path, template=tooltemplate.TOOLS))
    return "tooly"


@pytest.fixture(params=["chat", "responses", "messages"])
async def kind(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Any]:
    """What makes a model of a name, for each way to ask."""
    if request.param == "messages":
        there = AnthropicProvider(base_url=server.url, api_key="none")
        yield lambda name: AnthropicModel(name, provider=there)
        await there.client.close()
        return
    provider = OpenAIProvider(base_url=f"{server.url}/v1", api_key="none")
    made = OpenAIChatModel if request.param == "chat" else OpenAIResponsesModel
    yield lambda name: made(name, provider=provider)
    await provider.client.close()


async def test_an_answer_whole_and_streamed(kind: Any) -> None:
    model: Model = kind("tiny")
    agent = Agent(model, model_settings=GREEDY)
    assert (await agent.run(HELLO.question)).output == HELLO.answer
    async with agent.run_stream(HELLO.question) as stream:
        assert await stream.get_output() == HELLO.answer


async def test_an_answer_of_a_type(kind: Any, tooly: str) -> None:
    """By way of a tool that has to be called."""
    model: Model = kind(tooly)
    assert isinstance(
        (await Agent(model, output_type=Trip, model_settings=GREEDY).run("Where to?")).output, Trip
    )
