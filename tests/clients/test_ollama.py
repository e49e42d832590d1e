"""The official `ollama` client, unmodified, with a server of ours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import ollama
import pytest

from tests.support import models
from tests.support.bundled import Question, long_question, questions
from tests.support.processes import until
from tests.support.server import Server

SAMPLE = questions()[:: max(1, len(questions()) // 6)]
GREEDY = {"temperature": 0.0}


@pytest.fixture
def client(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(server.url) as client:
        yield client


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(server.url) as client:
        yield client


def user(text: str) -> list[ollama.Message]:
    return [ollama.Message(role="user", content=text)]


@pytest.fixture(scope="module")
def bert(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedding model, made as the client makes one of a file."""
    path: Path = models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf")
    with ollama.Client(server.url) as client:
        digest = client.create_blob(path)
        assert client.create("bert", files={"bert.gguf": digest}).status == "success"
    return "bert"


def test_list(client: ollama.Client) -> None:
    found = {entry.model: entry for entry in client.list().models}
    tiny = found["tiny:latest"]
    assert tiny.size is not None
    assert tiny.size > 1_000_000
    assert tiny.digest is not None
    assert len(tiny.digest) == 64
    assert tiny.modified_at is not None
    assert tiny.details is not None
    assert (tiny.details.format, tiny.details.family) == ("gguf", "llama")


def test_show(client: ollama.Client) -> None:
    shown = client.show("tiny")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelfile
    assert shown.template
    assert shown.modified_at is not None


@pytest.mark.parametrize("question", SAMPLE, ids=lambda question: question.question[:30])
def test_generate(client: ollama.Client, question: Question) -> None:
    answer = client.generate("tiny", question.question, options=GREEDY)
    assert answer.response == question.answer
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert answer.context
    assert answer.eval_count


def test_generate_streamed(client: ollama.Client) -> None:
    *pieces, last = client.generate("tiny", long_question().question, stream=True, options=GREEDY)
    assert "".join(piece.response or "" for piece in pieces) == long_question().answer
    assert not any(piece.done for piece in pieces)
    assert last.done
    assert last.total_duration


def test_chat(client: ollama.Client) -> None:
    answer = client.chat("tiny", user(questions()[0].question), options=GREEDY)
    assert answer.message.role == "assistant"
    assert answer.message.content == questions()[0].answer
    assert answer.done_reason == "stop"


def test_chat_streamed(client: ollama.Client) -> None:
    pieces = list(client.chat("tiny", user(long_question().question), stream=True, options=GREEDY))
    assert "".join(piece.message.content or "" for piece in pieces) == long_question().answer
    assert [piece.done for piece in pieces] == [*(len(pieces) - 1) * [False], True]


def test_options_by_type_format_and_logprobs(client: ollama.Client) -> None:
    answer = client.chat(
        "tiny",
        user("Hello!"),
        options=ollama.Options(temperature=0, num_predict=3, num_ctx=512, seed=1),
        logprobs=True,
        top_logprobs=2,
    )
    assert (answer.eval_count, answer.done_reason) == (3, "length")
    assert answer.logprobs is not None
    assert len(answer.logprobs) == 3
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    assert (client.generate("tiny", "Hello!", format=schema).response or "").lstrip().startswith("{")


def test_ps_and_unloading(client: ollama.Client) -> None:
    client.generate("tiny", "", keep_alive="5m")
    (entry,) = [each for each in client.ps().models if each.model == "tiny:latest"]
    assert entry.context_length
    assert entry.size
    assert entry.size_vram is not None
    assert entry.expires_at is not None
    assert client.generate("tiny", "", keep_alive=0).done_reason == "unload"
    until(lambda: "tiny:latest" not in [each.model for each in client.ps().models], "it is unloaded")


def test_embed(client: ollama.Client, bert: str) -> None:
    found = client.embed(bert, ["ba be", "do"], dimensions=16)
    assert found.prompt_eval_count
    assert [len(vector) for vector in found.embeddings] == [16, 16]
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in found.embeddings)
    assert len(client.embeddings(bert, "ba").embedding) == 128


def test_create_copy_and_delete(client: ollama.Client) -> None:
    statuses = [
        step.status
        for step in client.create(
            "mine", from_="tiny", system="Be brief.", parameters={"temperature": 0}, stream=True
        )
    ]
    assert statuses[-2:] == ["writing manifest", "success"]
    assert client.copy("mine", "yours").status == "success"
    assert client.generate("yours", questions()[0].question).response
    for name in ("mine", "yours"):
        assert client.delete(name).status == "success"
    assert not {"mine:latest", "yours:latest"} & {each.model for each in client.list().models}


NOT_FOUND = (404, "model 'nosuch' not found")
CALLS: list[tuple[Callable[[ollama.Client], object], int, str]] = [
    (lambda client: client.chat("nosuch", user("Hi")), *NOT_FOUND),
    (lambda client: list(client.chat("nosuch", user("Hi"), stream=True)), *NOT_FOUND),
    (lambda client: client.generate("nosuch", "Hi"), *NOT_FOUND),
    (lambda client: client.show("nosuch"), 404, "model 'nosuch:latest' not found"),
    (lambda client: client.copy("nosuch", "x"), 404, 'model "nosuch" not found'),
    (lambda client: client.delete("nosuch"), 404, "model 'nosuch' not found"),
    (lambda client: client.generate("tiny", "Hi", think=True), 400, '"tiny" does not support thinking'),
    (lambda client: client.embed("nosuch", "x"), 404, 'model "nosuch" not found, try pulling it first'),
    (lambda client: client.create("x"), 400, "neither 'from' or 'files' was specified"),
]


@pytest.mark.parametrize(("call", "status", "error"), CALLS)
def test_errors_have_their_status_and_text(
    client: ollama.Client, call: Callable[[ollama.Client], object], status: int, error: str
) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        call(client)
    assert (caught.value.status_code, caught.value.error) == (status, error)


def test_without_a_server_the_client_says_so() -> None:
    with ollama.Client("http://127.0.0.1:9") as client, pytest.raises(ConnectionError):
        client.list()


async def test_async_list_show_and_ps(aclient: ollama.AsyncClient) -> None:
    assert "tiny:latest" in [each.model for each in (await aclient.list()).models]
    assert (await aclient.show("tiny")).capabilities == ["completion"]
    await aclient.generate("tiny", "")
    assert "tiny:latest" in [each.model for each in (await aclient.ps()).models]


async def test_async_answers_at_the_same_time_are_each_their_own(aclient: ollama.AsyncClient) -> None:
    async def chat(text: str) -> str | None:
        return (await aclient.chat("tiny", user(text), options=GREEDY)).message.content

    async def stream(text: str) -> str:
        pieces = await aclient.generate("tiny", text, stream=True, options=GREEDY)
        return "".join([piece.response or "" async for piece in pieces])

    asked = [each.question for each in SAMPLE]
    answers = [each.answer for each in SAMPLE]
    assert await asyncio.gather(*map(chat, asked), *map(stream, asked)) == answers * 2


async def test_async_chat_streamed(aclient: ollama.AsyncClient) -> None:
    pieces = [
        piece
        async for piece in await aclient.chat(
            "tiny", user(long_question().question), stream=True, options=GREEDY
        )
    ]
    assert "".join(piece.message.content or "" for piece in pieces) == long_question().answer
    assert pieces[-1].done_reason == "stop"


async def test_async_embed_create_copy_and_delete(aclient: ollama.AsyncClient, bert: str) -> None:
    found = await aclient.embed(bert, "ba be")
    assert math.isclose(math.hypot(*found.embeddings[0]), 1, rel_tol=1e-5)
    assert (await aclient.create("amine", from_="tiny")).status == "success"
    assert (await aclient.copy("amine", "ayours")).status == "success"
    for name in ("amine", "ayours"):
        assert (await aclient.delete(name)).status == "success"


async def test_async_errors_have_their_status(aclient: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        await aclient.generate("nosuch", "Hi")
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as caught:
        async for _ in await aclient.chat("nosuch", user("Hi"), stream=True):
            pass
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nosuch' not found")


async def test_an_async_client_that_leaves_a_stream_frees_its_slot(server: Server) -> None:
    async with ollama.AsyncClient(server.url) as client:
        wild = {"temperature": 0.0, "num_predict": 1500}
        form = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
        pieces = await client.generate("tiny", "Count.", stream=True, options=wild, format=form)
        assert not (await anext(aiter(pieces))).done
    until(lambda: server.busy("tiny:latest") == 0, "the slot is free", within=1.0)
