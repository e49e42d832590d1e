"""What every engine must do, whatever it is."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import models
from tests.support.bundled import TINY, long_question, questions
from tests.support.processes import descendants
from tropa.engines.engine import Engine
from tropa.engines.launch import Address, Launch
from tropa.runners.errors import ContextExceeded, EngineRefused, LoadFailed
from tropa.runners.exchange import connect, request
from tropa.runners.runner import Runner


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, **more}


async def answer(runner: Runner, question: str) -> Any:
    reply = await runner.call("POST", "/v1/chat/completions", chat(question))
    return reply["choices"][0]["message"]["content"]


async def test_a_loaded_engine_answers(load: Callable[..., Any]) -> None:
    runner = await load()
    asked = questions()[0]
    assert await answer(runner, asked.question) == asked.answer


async def test_ready_means_that_the_model_is_loaded(load: Callable[..., Any]) -> None:
    runner = await load()
    assert await runner.call("GET", "/health") == {"status": "ok"}


async def test_an_engine_goes_by_the_name_it_was_given(load: Callable[..., Any]) -> None:
    runner = await load()
    assert (await runner.call("GET", "/props"))["model_alias"] == runner.launch.alias


async def test_that_name_is_in_its_arguments(load: Callable[..., Any]) -> None:
    """A later server knows by it that a process is an engine of ours (`RunDir.sweep`)."""
    runner = await load()
    assert any(runner.launch.alias in word for word in psutil.Process(runner.child.pid).cmdline())


async def test_an_answer_streams_in_pieces(load: Callable[..., Any]) -> None:
    runner = await load()
    asked = long_question()
    pieces: list[str] = []
    async for record in runner.stream("/v1/chat/completions", chat(asked.question, stream=True)):
        pieces.extend(choice["delta"].get("content") or "" for choice in json.loads(record)["choices"])
    assert "".join(pieces) == asked.answer
    assert len(list(filter(None, pieces))) > 3


@pytest.mark.parametrize(("slots", "context"), [(1, 512), (3, 256)])
async def test_every_slot_has_the_whole_context(load: Callable[..., Any], slots: int, context: int) -> None:
    runner = await load(slots=slots, context=context)
    found = await runner.call("GET", "/slots")
    assert [slot["n_ctx"] for slot in found] == [context] * slots


async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(load: Callable[..., Any]) -> None:
    runner = await load(context=256)
    tokens = (await runner.call("POST", "/tokenize", {"content": "word " * 500}))["tokens"]
    with pytest.raises(ContextExceeded) as caught:
        await runner.call("POST", "/completion", {"prompt": tokens})
    assert (caught.value.prompt, caught.value.context) == (len(tokens), 256)


async def test_a_refusal_carries_the_engines_words(load: Callable[..., Any]) -> None:
    runner = await load()
    with pytest.raises(EngineRefused) as caught:
        await runner.call("POST", "/v1/chat/completions", {"messages": 5})
    assert caught.value.status in (400, 500)
    assert "messages" in str(caught.value)


async def test_an_embedding_model_embeds(load: Callable[..., Any], tmp_path: Path) -> None:
    runner = await load(model=models.bert(tmp_path / "bert.gguf"), embedding=True, context=256, batch=256)
    found = await runner.call("POST", "/v1/embeddings", {"input": ["ba be", "bi"]})
    assert [len(each["embedding"]) for each in found["data"]] == [128, 128]


async def test_a_rerank_model_scores(load: Callable[..., Any], tmp_path: Path) -> None:
    model = models.bert(tmp_path / "ranker.gguf", pooling=4)
    runner = await load(model=model, embedding=True, rerank=True, context=256, batch=256)
    found = await runner.call("POST", "/v1/rerank", {"query": "ba", "documents": ["ba be", "bi"]})
    assert sorted(each["index"] for each in found["results"]) == [0, 1]
    assert all(isinstance(each["relevance_score"], float) for each in found["results"])


async def test_on_tcp_the_key_is_asked_for(load: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    runner = await load(address=Address(port=port, api_key="only-we-know"))
    assert await answer(runner, questions()[1].question) == questions()[1].answer
    address = Address(port=port)
    stranger = await connect(address, request(address, "POST", "/completion", {"prompt": "Hello"}))
    assert await stranger.status() == 401
    stranger.abort()


async def test_the_key_is_no_argument_that_everyone_could_read(load: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    runner = await load(address=Address(port=port, api_key="only-we-know"))
    assert "only-we-know" not in " ".join(psutil.Process(runner.child.pid).cmdline())


# Loads that fail.


async def fails(engine: Engine, launch: Launch) -> LoadFailed:
    before = descendants()
    with pytest.raises(LoadFailed) as caught:
        await Runner.load(engine, launch, stall=60)
    assert not descendants() - before
    assert launch.address.socket is None or not launch.address.socket.exists()
    return caught.value


async def test_a_missing_file_is_named(engine: Engine, launch: Callable[..., Launch], tmp_path: Path) -> None:
    failure = await fails(engine, launch(model=tmp_path / "absent.gguf"))
    assert str(failure).startswith("llama-server process has terminated: exit status 1: ")
    assert "No such file" in str(failure)
    assert "absent.gguf" in str(failure)
    assert not failure.out_of_memory


async def test_what_is_no_gguf_is_called_so(
    engine: Engine, launch: Callable[..., Launch], tmp_path: Path
) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("once upon a time")
    assert "invalid magic" in str(await fails(engine, launch(model=path)))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
async def test_a_gguf_cut_short_is_refused_with_a_reason(
    engine: Engine, launch: Callable[..., Launch], tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.gguf"
    whole = TINY.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    failure = str(await fails(engine, launch(model=path)))
    assert "gguf" in failure or "tensor" in failure, failure


async def test_an_unknown_architecture_is_named(
    engine: Engine, launch: Callable[..., Launch], tmp_path: Path
) -> None:
    path = tmp_path / "alien.gguf"
    key = b"general.architecture"
    header = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + struct.pack("<IQ", 8, 5) + b"alien"
    path.write_bytes(header.ljust(4096, b"\0"))
    assert "unknown model architecture: 'alien'" in str(await fails(engine, launch(model=path)))


async def test_an_address_that_cannot_be_had_is_a_failed_load(
    engine: Engine, launch: Callable[..., Launch], place: Path
) -> None:
    failure = await fails(engine, launch(address=Address(socket=place / "no" / "such" / "folder.sock")))
    assert "bind" in str(failure)


async def test_someone_elses_engine_at_our_address_is_noticed(
    engine: Engine, launch: Callable[..., Launch], load: Callable[..., Any]
) -> None:
    other = await load()
    with pytest.raises(LoadFailed, match="something else than our engine answers"):
        await Runner.load(engine, launch(address=other.launch.address), stall=60)


# The end.


async def test_stop_leaves_neither_process_nor_socket(
    engine: Engine, launch: Callable[..., Launch], no_child_left: None
) -> None:
    runner = await Runner.load(engine, launch())
    process = psutil.Process(runner.child.pid)
    await runner.stop()
    assert not psutil.pid_exists(process.pid)
    assert runner.launch.address.socket is not None
    assert not runner.launch.address.socket.exists()


async def test_stop_may_be_called_twice(load: Callable[..., Any]) -> None:
    runner = await load()
    await runner.stop()
    await runner.stop()


async def test_log_lines_are_kept_and_passed_on(
    engine: Engine, launch: Callable[..., Launch], no_child_left: None
) -> None:
    passed: list[str] = []
    runner = await Runner.load(engine, launch(), on_line=passed.append)
    await runner.call("POST", "/completion", {"prompt": "Hello", "n_predict": 1})
    await runner.stop()
    assert any("loading model" in line for line in passed)
    assert passed == list(runner.child.lines)
