"""The official `openai` client, unmodified, with a server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tests.support import models
from tests.support.server import Server


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def bert(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    server.create("bert", models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf"))
    return "bert"
