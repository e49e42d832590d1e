"""Short questions share connections; whatever an engine does with these, each question gets its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.runners.test_runner import Script
from tests.support.processes import soon
from tropa.engines.launch import Launch
from tropa.runners.child import Child
from tropa.runners.errors import EngineRefused, RunnerDied
from tropa.runners.runner import Runner

STAYS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
LEAVES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_REFUSAL = b'{"error":{"message":"no no"}}'
REFUSES = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL)


class Engine:
    """Gives the answers it was told, in order, and then those that stay. `hang_up`: after each it closes the
    connection, whatever it said."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.hang_up = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n{}"):
                await self.hold.wait()
                writer.write(self.answers.pop(0) if self.answers else STAYS)
                await writer.drain()
                if self.hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def runner(launch: Callable[..., Launch], engine: Engine) -> AsyncIterator[Runner]:
    started = launch()
    child = await Child.start(Script("exec sleep 600").command(started))
    runner = Runner(started, child)
    server = await asyncio.start_unix_server(engine.serve, started.address.socket)
    async with server:
        yield runner
        await runner.stop()
    await soon(lambda: engine.open == 0, "the end of all connections")


async def ask(runner: Runner) -> Any:
    return await runner.call("POST", "/tokenize", {})


async def test_one_question_after_another_goes_over_one_connection(runner: Runner, engine: Engine) -> None:
    assert [await ask(runner) for _ in range(5)] == [{}] * 5
    assert engine.connections == 1


async def test_an_engine_that_says_it_will_close_is_believed(runner: Runner, engine: Engine) -> None:
    engine.answers = [LEAVES, LEAVES]
    assert [await ask(runner) for _ in range(3)] == [{}] * 3
    assert engine.connections == 3


async def test_a_connection_that_has_gone_meanwhile_costs_nothing_but_a_new_one(
    runner: Runner, engine: Engine
) -> None:
    engine.hang_up = True
    assert [await ask(runner) for _ in range(3)] == [{}] * 3
    assert engine.connections == 3


async def test_a_refusal_leaves_the_connection_usable(runner: Runner, engine: Engine) -> None:
    engine.answers = [REFUSES]
    with pytest.raises(EngineRefused, match="no no"):
        await ask(runner)
    assert await ask(runner) == {}
    assert engine.connections == 1


async def test_who_leaves_takes_the_connection_along(runner: Runner, engine: Engine) -> None:
    await ask(runner)
    engine.hold.clear()
    leaving = asyncio.create_task(ask(runner))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    engine.hold.set()
    assert await ask(runner) == {}
    assert engine.connections == 2


async def test_of_many_at_once_few_connections_stay(runner: Runner, engine: Engine) -> None:
    assert await asyncio.gather(*(ask(runner) for _ in range(20))) == [{}] * 20
    assert engine.connections == 20
    await soon(lambda: engine.open <= 2, "the end of the others")


async def test_an_engine_that_dies_under_a_kept_connection_is_told_of(runner: Runner, engine: Engine) -> None:
    await ask(runner)
    engine.hold.clear()
    asking = asyncio.create_task(ask(runner))
    await asyncio.sleep(0)
    await runner.child.kill()
    assert runner.launch.address.socket is not None
    runner.launch.address.socket.unlink()
    engine.hang_up = True
    engine.answers = [b""]
    engine.hold.set()
    with pytest.raises(RunnerDied):
        await asking
