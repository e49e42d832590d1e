"""The typed helpers of the official client, and what agents built on it send."""

from __future__ import annotations

from typing import Any, Literal

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel

from tests.support import models, tooltemplate
from tests.support.scripted import scripted
from tests.support.server import Server

HI: Any = [{"role": "user", "content": "What time is it?"}]
NOW: Any = {"name": "now", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
EXPLAIN: Any = {"extra_body": {"explain": True}}
KEYS = ["queue_ns", "load_ns", "prompt_ns", "cached_tokens", "generation_ns", "runner"]


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    sure: bool


def test_the_tool_runner_goes_round_until_there_is_an_answer(
    client: anthropic.Anthropic, caller: str
) -> None:
    """It asks for a conversation that the server keeps, and has to hear in its own words that there is none."""
    asked: list[str] = []

    @beta_tool
    def now(zone: str) -> str:
        """The time.

        Args:
            zone: Where.
        """
        asked.append(zone)
        return "12:00"

    done = client.beta.messages.tool_runner(
        model=caller, max_tokens=50, messages=HI, tools=[now]
    ).until_done()
    assert asked == ["UTC"]
    assert [block.text for block in done.content if block.type == "text"] == ["It is noon."]


async def test_the_tool_runner_works_without_blocking(aclient: anthropic.AsyncAnthropic, caller: str) -> None:
    @beta_async_tool
    async def now(zone: str) -> str:
        """The time.

        Args:
            zone: Where.
        """
        return "12:00"

    runner = aclient.beta.messages.tool_runner(
        model=caller, max_tokens=50, messages=HI, tools=[now], stream=True
    )
    finals = [await stream.get_final_message() async for stream in runner]
    assert [final.stop_reason for final in finals] == ["tool_use", "end_turn"]


def test_a_kept_conversation_is_refused_by_its_name(client: anthropic.Anthropic) -> None:
    """Before it was ignored, and the model answered the last message alone."""
    thread: Any = {"type": "continue", "previous_message_id": "msg_1"}
    with pytest.raises(anthropic.BadRequestError, match="'thread' is not supported") as caught:
        client.beta.messages.create(model="tiny", max_tokens=3, messages=HI, thread=thread)
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "thread_unsupported_request"


def test_beta_messages(client: anthropic.Anthropic) -> None:
    edits: Any = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    done = client.beta.messages.create(
        model="tiny",
        max_tokens=3,
        messages=HI,
        context_management=edits,
        betas=["context-management-2025-06-27"],
    )
    assert done.content[0].type == "text"
    parsed = client.beta.messages.parse(model="tiny", max_tokens=60, messages=HI, output_format=Mood)
    assert isinstance(parsed.parsed_output, Mood)
    with client.beta.messages.stream(model="tiny", max_tokens=3, messages=HI) as stream:
        assert stream.get_final_message().content
    counted = client.beta.messages.count_tokens(model="tiny", messages=HI)
    assert counted.input_tokens == client.messages.count_tokens(model="tiny", messages=HI).input_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_coding_agents_request_is_answered(client: anthropic.Anthropic, caller: str, stream: bool) -> None:
    """System blocks and tools with marks for a cache, a call and its result, thinking by habit."""
    mark: Any = {"type": "ephemeral"}
    asked: Any = {
        "model": caller,
        "max_tokens": 50,
        "system": [
            {"type": "text", "text": "You are an agent.", "cache_control": mark},
            {"type": "text", "text": "Be brief.", "cache_control": mark},
        ],
        "tools": [{**NOW, "cache_control": mark}, {"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "u"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Time?", "cache_control": mark}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "UTC"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "text", "text": "12:00"}],
                        "cache_control": mark,
                    }
                ],
            },
        ],
    }
    if stream:
        with client.messages.stream(**asked) as events:
            final: Any = events.get_final_message()
    else:
        final = client.messages.create(**asked)
    assert [block.text for block in final.content] == ["It is noon."]
    assert final.stop_reason == "end_turn"


def test_tools_that_models_of_anthropics_know_by_heart_are_explained_to_others(
    client: anthropic.Anthropic, tooly: str
) -> None:
    bare: Any = [{"name": "bash", "input_schema": {"type": "object"}}]
    known: Any = [{"type": "bash_20250124", "name": "bash"}]
    counts = [
        client.messages.count_tokens(model=tooly, messages=HI, tools=tools).input_tokens
        for tools in (bare, known)
    ]
    assert counts[1] > counts[0] + 20


def test_what_was_searched_and_found_is_told_to_the_model(client: anthropic.Anthropic, tooly: str) -> None:
    """A conversation that began at a server of Anthropic's."""
    search: Any = {
        "type": "server_tool_use",
        "id": "srv_1",
        "name": "web_search",
        "input": {"query": "llamas"},
    }
    result: Any = {
        "type": "web_search_result",
        "title": "All about llamas",
        "url": "https://llamas.example",
        "encrypted_content": "x",
    }
    found: Any = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [result]}

    def count(*blocks: Any) -> int:
        told: Any = [*HI, {"role": "assistant", "content": [*blocks, {"type": "text", "text": "So."}]}, *HI]
        return client.messages.count_tokens(model=tooly, messages=told).input_tokens

    assert count(search, found) > count(search) > count()


DOCUMENTS: list[Any] = [
    {
        "type": "document",
        "title": "T",
        "source": {"type": "text", "media_type": "text/plain", "data": "word " * 9},
    },
    {"type": "document", "source": {"type": "content", "content": "word " * 9}},
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "word " * 9}]}},
    {
        "type": "search_result",
        "source": "https://x.example",
        "title": "T",
        "content": [{"type": "text", "text": "word " * 9}],
    },
]


@pytest.mark.parametrize("block", DOCUMENTS, ids=str)
@pytest.mark.parametrize("inside", [False, True])
def test_texts_in_any_wrapping_are_read(
    client: anthropic.Anthropic, tooly: str, block: Any, inside: bool
) -> None:
    content: Any = [{"type": "tool_result", "tool_use_id": "x", "content": [block]}] if inside else [block]
    bare = client.messages.count_tokens(model=tooly, messages=HI).input_tokens
    told: Any = [*HI, {"role": "user", "content": content}]
    assert client.messages.count_tokens(model=tooly, messages=told).input_tokens > bare + 9


@pytest.mark.parametrize(("budget", "thoughts"), [(3, "one two "), (100, "one two three four ")])
def test_thoughts_end_with_their_budget(
    client: anthropic.Anthropic,
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    budget: int,
    thoughts: str,
) -> None:
    """The line break in front of them counts too."""
    said: dict[str, list[str | bytes]] = {"\n": ["one ", "two ", "three ", "four ", "</think>", "Yes"]}
    path = tmp_path_factory.mktemp("ponders") / "ponders.gguf"
    scripted(path, said, special=["<think>", "</think>"], template=tooltemplate.THINKING)
    server.create("ponders", path)
    thinking: Any = {"type": "enabled", "budget_tokens": budget}
    done = client.messages.create(
        model="ponders", max_tokens=50, messages=HI, thinking=thinking, extra_body={"temperature": 0}
    )
    thought, word = done.content
    assert thought.type == "thinking"
    assert word.type == "text"
    assert (thought.thinking, word.text) == (thoughts, "Yes")


def test_an_explanation_harms_no_client(client: anthropic.Anthropic) -> None:
    done: Any = client.messages.create(model="tiny", max_tokens=2, messages=HI, **EXPLAIN)
    counted: Any = client.messages.count_tokens(model="tiny", messages=HI, **EXPLAIN)
    with client.messages.stream(model="tiny", max_tokens=2, messages=HI, **EXPLAIN) as stream:
        deltas: list[Any] = [event for event in stream if event.type == "message_delta"]
        assert stream.get_final_message().stop_reason == "max_tokens"
    assert len(deltas) == 1
    for answer in (done, counted, *deltas):
        assert [*answer.explain] == KEYS


def test_a_stream_that_breaks_is_an_error_of_the_client(client: anthropic.Anthropic, server: Server) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    form: Any = {"format": {"type": "json_schema", "schema": schema}}
    events = client.messages.create(
        model="tiny", max_tokens=1500, messages=HI, output_config=form, stream=True
    )
    for event in events:
        if event.type == "content_block_delta":
            break
    for engine in server.children():
        engine.kill()
    with pytest.raises(anthropic.APIError, match="an error was encountered while running the model"):
        list(events)


def test_a_name_with_a_slash_is_a_name(
    client: anthropic.Anthropic, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server.create(
        "who/knows", models.llama(tmp_path_factory.mktemp("who") / "who.gguf", template=tooltemplate.TOOLS)
    )
    assert client.models.retrieve("who/knows").id == "who/knows"
    assert "who/knows:latest" in [model.id for model in client.models.list(limit=1)]
    assert client.messages.create(model="who/knows", max_tokens=2, messages=HI).model == "who/knows"
