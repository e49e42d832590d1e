"""A model that has to call a tool: its answer is held to the form of a call, and read as one.

The engine's own `required` only asks for a call somewhere behind any amount of text, which a model can put off until
its last token. Here the first thing it says, after any thinking, is the call. How its template writes calls does not
matter then, and models whose template is not the engine's have the same promise.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from tropa.schema.errors import BadSchema, TooLarge
from tropa.schema.references import check_size
from tropa.service.asks import ChatAsk
from tropa.service.events import End, Event, Piece, call_id

WIDEST = 500
"""Members of one object in the schema of a tool: an engine's work grows with their square."""


def forced(ask: ChatAsk) -> ChatAsk:
    """The ask whose answer, whatever the model, is the JSON text of one call; of several, if they were asked for."""
    several = ask.parallel_tool_calls is True
    return replace(ask, parallel_tool_calls=None, format=schema(ask.tools, several=several))


def schema(tools: Sequence[Mapping[str, Any]], *, several: bool) -> dict[str, Any]:
    """What a call of one of these tools looks like."""
    root = "#/items" if several else "#"
    found = []
    for number, tool in enumerate(tools):
        where = root if len(tools) == 1 else f"{root}/anyOf/{number}"
        function = tool.get("function", {})
        arguments = function.get("parameters") or {"type": "object"}
        found.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": function.get("name", "")},
                    "arguments": _moved(arguments, f"{where}/properties/arguments"),
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    one = found[0] if len(found) == 1 else {"anyOf": found}
    return {"type": "array", "items": one, "minItems": 1} if several else one


def _moved(schema: Any, root: str) -> Any:
    """A schema that stands somewhere else now: what it says of itself refers to `root`."""
    match schema:
        case dict():
            return {
                key: root + value[1:]
                if key == "$ref" and isinstance(value, str) and value.startswith("#")
                else _moved(value, root)
                for key, value in schema.items()
            }
        case list():
            return [_moved(item, root) for item in schema]
        case _:
            return schema


def check(tools: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what would keep an engine busy for seconds, with all who wait for it: it makes grammars of tools, too.

    Raises TooLarge, which names the tool.
    """
    for number, tool in enumerate(tools):
        try:
            check_size(tool.get("function"), WIDEST)
        except TooLarge as exc:
            raise TooLarge(f"tools[{number}]: {exc}", placed=True) from exc


async def called(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events of a forced ask with its text as calls. A call that was cut off in the middle is none.

    Raises BadSchema, which names the tool.
    """
    said: list[str] = []
    try:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Piece(text=text) if text:
                        said.append(text)
                        if event.thinking or event.tool_calls or event.dropped:
                            yield msgspec.structs.replace(event, text="", logprobs=())
                    case End():
                        if calls := _read("".join(said)):
                            yield Piece(tool_calls=calls)
                        yield event
                    case _:
                        yield event
    except BadSchema as exc:
        raise type(exc)(_OWN_PLACE.sub(_place, str(exc))) from exc


_OWN_PLACE = re.compile(r"#(?:/items)?(?:/anyOf/(\d+))?/properties/arguments")


def _place(found: re.Match[str]) -> str:
    """Where it stands in the request, for a place in the schema that was made of it."""
    return f"tools[{found[1] or 0}].function.parameters"


def _read(text: str) -> tuple[dict[str, Any], ...]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return ()
    return tuple(
        {"id": call_id(), "function": {"index": index, "name": call["name"], "arguments": call["arguments"]}}
        for index, call in enumerate(value if isinstance(value, list) else [value])
        if isinstance(call, dict) and isinstance(call.get("arguments"), dict) and "name" in call
    )


async def single(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events with one call at most: what `parallel_tool_calls: false` asks for, and not every template's
    grammar can promise."""
    called = False
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece) and event.tool_calls:
                calls = () if called else event.tool_calls[:1]
                called = True
                event = msgspec.structs.replace(event, tool_calls=calls)
            yield event
