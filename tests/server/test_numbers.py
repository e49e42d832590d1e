"""Numbers that a client may send and an engine would trip over: each is refused or brought into range, and costs
nobody else anything."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.server import Server

MIB = 1 << 20


@pytest.fixture(autouse=True)
def same_engine(server: Server) -> Any:
    """Whatever is asked, the engine lives on, and has not grown beyond measure."""
    server.post("/api/generate", model="tiny")
    before = server.children()
    yield
    assert server.children() == before
    assert all(child.memory_info().rss < 400 * MIB for child in before)


def ask(server: Server, **options: Any) -> dict[str, Any]:
    options = {"temperature": 0, "num_predict": 5, **options}
    answer = server.post("/api/generate", model="tiny", prompt="Hello!", stream=False, options=options)
    assert answer.status == 200, answer.body
    fields = answer.json
    assert isinstance(fields, dict)
    return fields


@pytest.mark.parametrize("value", [-1, -5, 2_000_000_000, 1 << 40])
def test_penalties_over_all_there_is(server: Server, value: int) -> None:
    """-1 means the whole context. The engine would make room for two thousand million tokens: 8 GB."""
    assert ask(server, repeat_last_n=value, repeat_penalty=1.1)["eval_count"] == 5


@pytest.mark.parametrize("name", ["top_k", "num_keep", "seed"])
@pytest.mark.parametrize("value", [-(1 << 40), 1 << 31, 1 << 40])
def test_more_than_32_bits(server: Server, name: str, value: int) -> None:
    assert ask(server, **{name: value})["eval_count"] == 5


@pytest.mark.parametrize("value", [-5, 1 << 31, 1 << 40])
def test_no_limit_to_the_answer_is_its_own_end(server: Server, value: int) -> None:
    fields = ask(server, num_predict=value)
    assert fields["done_reason"] == "stop"
    assert fields["eval_count"] > 1


@pytest.mark.parametrize("token", [-1, 999_999, 1 << 31, 10**12])
def test_a_context_of_what_is_no_token(server: Server, token: int) -> None:
    answer = server.post("/api/generate", model="tiny", prompt="Hello!", context=[1, token])
    assert answer.status == 400
    assert answer.error.startswith("context holds numbers that are no tokens of this model")


def test_a_great_many_stop_texts(server: Server) -> None:
    assert ask(server, stop=[f"never{n}" for n in range(20_000)])["eval_count"] == 5


@pytest.mark.parametrize("depth", [50, 400])
def test_a_deep_schema(server: Server, depth: int) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    answer = server.post(
        "/api/generate",
        model="tiny",
        prompt="Hello!",
        format=schema,
        options={"num_predict": 5},
        stream=False,
    )
    assert answer.status in (200, 400)
