"""A tool call that has to come: its form, and how it is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from tropa.service import toolchoice
from tropa.service.asks import ChatAsk
from tropa.service.events import Dropped, End, Event, Piece

TOOL = {
    "function": {
        "name": "paint",
        "parameters": {"type": "object", "properties": {"colour": {"type": "string"}}},
    }
}
NESTED = {
    "function": {
        "name": "plant",
        "parameters": {
            "type": "object",
            "properties": {"tree": {"$ref": "#/$defs/tree"}},
            "$defs": {
                "tree": {"type": "object", "properties": {"$ref": {"type": "string"}, "of": {"$ref": "#"}}}
            },
        },
    }
}


def resolve(schema: Any, ref: str) -> Any:
    assert ref.startswith("#")
    for part in ref[1:].split("/")[1:]:
        schema = schema[int(part)] if isinstance(schema, list) else schema[part]
    return schema


def test_one_tool_is_its_name_and_its_arguments() -> None:
    schema = toolchoice.schema([TOOL], several=False)
    assert [*schema["properties"]] == schema["required"] == ["name", "arguments"]
    assert schema["properties"]["name"] == {"const": "paint"}
    assert schema["properties"]["arguments"] == TOOL["function"]["parameters"]


def test_references_inside_a_schema_still_lead_where_they_led() -> None:
    for several in (False, True):
        for tools, number in (([NESTED], 0), ([TOOL, NESTED], 1)):
            schema = toolchoice.schema(tools, several=several)
            one = schema["items"] if several else schema
            arguments = (one["anyOf"][number] if len(tools) > 1 else one)["properties"]["arguments"]
            tree = resolve(schema, arguments["properties"]["tree"]["$ref"])
            assert tree is arguments["$defs"]["tree"]
            assert resolve(schema, tree["properties"]["of"]["$ref"]) is arguments
            assert tree["properties"]["$ref"] == {"type": "string"}


def test_several_calls_are_a_list_with_one_at_least() -> None:
    schema = toolchoice.schema([TOOL, NESTED], several=True)
    assert (schema["type"], schema["minItems"]) == ("array", 1)
    ask = ChatAsk("m", "c", tools=[TOOL], tool_choice="required", parallel_tool_calls=True)
    assert toolchoice.forced(ask).format["type"] == "array"
    assert toolchoice.forced(ChatAsk("m", "c", tools=[TOOL])).format["type"] == "object"


async def stream(events: Iterable[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def heard(*events: Event) -> list[Event]:
    return [event async for event in toolchoice.called(stream(events))]


async def test_the_text_is_a_call_and_no_text() -> None:
    end = End("stop")
    dropped = Dropped(1, 2)
    thought, call, last = await heard(
        Piece('{"name": "pa', "hm", dropped=dropped), Piece('int", "arguments": {"a": 1}}'), end
    )
    assert thought == Piece(thinking="hm", dropped=dropped)
    assert isinstance(call, Piece)
    (made,) = call.tool_calls
    assert made["function"] == {"index": 0, "name": "paint", "arguments": {"a": 1}}
    assert made["id"]
    assert last is end


async def test_a_call_cut_off_in_the_middle_is_none() -> None:
    end = End("length")
    assert await heard(Piece('{"name": "paint", "argu'), end) == [end]


async def test_a_call_that_was_heard_already_is_passed_on() -> None:
    """Some templates write calls just as bare as ours: then the parser of calls was first."""
    call = Piece(tool_calls=({"id": "x", "function": {"name": "paint", "arguments": {}}},))
    end = End("stop")
    assert await heard(call, end) == [call, end]


async def test_of_several_calls_one_is_left() -> None:
    calls = tuple({"id": name, "function": {"name": name, "arguments": {}}} for name in "ab")
    events: list[Event] = [Piece("So"), Piece(tool_calls=calls), Piece(tool_calls=calls), End("stop")]
    found = [event async for event in toolchoice.single(stream(events))]
    assert [call["id"] for event in found if isinstance(event, Piece) for call in event.tool_calls] == ["a"]
