"""Reading server-sent events the plain way."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Frame:
    """One event. `data` is its JSON, or the bare text where that is none."""

    event: str
    data: Any


def frames(body: bytes) -> list[Frame]:
    """All of a body, which ends with a whole one."""
    assert body.endswith(b"\n\n"), body[-80:]
    return [_frame(text) for text in body.decode()[:-2].split("\n\n")]


def _frame(text: str) -> Frame:
    *first, last = text.split("\n")
    assert last.startswith("data: ")
    assert not first or (len(first) == 1 and first[0].startswith("event: "))
    data = last.removeprefix("data: ")
    return Frame("".join(first).removeprefix("event: "), data if data == "[DONE]" else json.loads(data))


async def stream(events: Iterable[T]) -> AsyncGenerator[T, None]:
    """As the service gives them."""
    for event in events:
        yield event


async def joined(pieces: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([piece async for piece in pieces])
