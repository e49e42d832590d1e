"""Several answers to one request, made at the same time in slots of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from tropa.service.events import Event

AHEAD = 16  # events that wait for a slow reader before their makers do


async def merged(
    answers: Sequence[AsyncGenerator[Event, None]],
) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all answers with the number of each, as they come. The first error ends them all."""
    if len(answers) == 1:
        async with aclosing(answers[0]) as events:
            async for event in events:
                yield 0, event
        return
    ready: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue(AHEAD)

    async def pump(number: int, answer: AsyncGenerator[Event, None]) -> None:
        task = asyncio.current_task()
        try:
            async with aclosing(answer) as events:
                async for event in events:
                    await ready.put((number, event))
        finally:
            if task and not task.cancelling():  # else nobody reads any more
                await ready.put((number, None))

    pumps = [asyncio.ensure_future(pump(number, answer)) for number, answer in enumerate(answers)]
    try:
        running = len(pumps)
        while running:
            number, made = await ready.get()
            if made is not None:
                yield number, made
                continue
            running -= 1
            await pumps[number]  # raises what ended it
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
