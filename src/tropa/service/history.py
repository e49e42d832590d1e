"""Which messages of a conversation stay when not all of them fit. Pure: how long a prompt gets is asked by others.

The oldest go first, system messages never, and the answers of tools together with the message that called them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
Count = Callable[[Sequence[Message]], Awaitable[int]]


def role(message: Message) -> str:
    """In lower case."""
    found = message.get("role", "")
    return found.lower() if isinstance(found, str) else ""


def starts(messages: Sequence[Message]) -> list[int]:
    """Where the kept part may begin, from the mildest cut to the hardest. Nothing, if nothing may be dropped.

    It never begins with a tool's answer, whose call would be gone, nor where nothing but system messages would have
    been dropped since the start before.
    """
    found = []
    drops = False
    for at in range(1, len(messages)):
        drops = drops or role(messages[at - 1]) != "system"
        if drops and role(messages[at]) != "tool":
            found.append(at)
            drops = False
    return found


def kept(messages: Sequence[Message], start: int) -> list[Message]:
    """The messages from `start` on, and in front of them the system messages of the dropped part."""
    return [*(each for each in messages[:start] if role(each) == "system"), *messages[start:]]


def dropped(messages: Sequence[Message], start: int) -> int:
    """How many messages go."""
    return sum(role(each) != "system" for each in messages[:start])


async def fit(messages: Sequence[Message], limit: int, count: Count) -> tuple[int, int]:
    """The first start whose prompt has at most `limit` tokens, and how many it has.

    If none has, the hardest cut and its number, which is beyond `limit`. There must be a start at all. A prompt gets
    no longer when messages go, so the search is by halves.
    """
    places = starts(messages)
    low, high = 0, len(places) - 1
    best = places[-1], await count(kept(messages, places[-1]))
    if best[1] > limit:
        return best
    while low < high:
        middle = (low + high) // 2
        tokens = await count(kept(messages, places[middle]))
        if tokens <= limit:
            best = places[middle], tokens
            high = middle
        else:
            low = middle + 1
    return best
