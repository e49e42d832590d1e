"""One answer, from a conversation that may not fit: what is dropped for it, and the saying so.

The engine is simply asked. It refuses a prompt that is too long at no cost, so a conversation that fits, as nearly
all do, pays nothing for those that don't.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from tropa.runners.errors import ContextExceeded
from tropa.runners.herd import Slot
from tropa.service import history, relay
from tropa.service.clock import Clock
from tropa.service.errors import StillTooLong
from tropa.service.events import Dropped, End, Piece
from tropa.service.history import Message
from tropa.service.messages import size
from tropa.service.wording import Wording


async def converse(
    slot: Slot,
    wording: Wording,
    messages: Sequence[Message],
    body: dict[str, Any],
    clock: Clock,
    *,
    truncate: bool | None,
) -> AsyncGenerator[Piece | End, None]:
    """Pieces and the end. Unless `truncate` is False, the oldest messages are left out if all don't fit, and the first
    event and the end say how much that was. Raises ContextExceeded, with both numbers, before the first event."""
    dropped: Dropped | None = None
    may_drop = truncate is not False and bool(history.starts(messages))
    if may_drop and slot.context < slot.runner_context and size(messages) >= slot.context:
        # In a runner with more room it is we who refuse, after a first batch: better to ask before.
        tokens = await wording.count(slot, messages)
        if tokens >= slot.context:
            messages, dropped = await shortened(slot, wording, messages, tokens)
    while True:
        begun = False
        run = wording.run(slot, messages, body)
        try:
            async with aclosing(run if body["n_predict"] else relay.mute(run)) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        if dropped is not None and not begun:
                            event = msgspec.structs.replace(event, dropped=dropped)
                        begun = True
                        yield event
                    else:
                        begun = True
                        counts = clock.counts(event.timings)
                        slot.run.entered = True
                        yield End(event.reason, counts, dropped=dropped, stopped_by=event.stop)
            return
        except ContextExceeded as exc:
            if begun or dropped is not None or not may_drop:
                # An engine rounds its context up: what the request may use is what counts.
                raise ContextExceeded(exc.prompt, min(exc.context, slot.context)) from exc
            messages, dropped = await shortened(slot, wording, messages, exc.prompt)


async def shortened(
    slot: Slot, wording: Wording, messages: Sequence[Message], tokens: int
) -> tuple[list[Message], Dropped | None]:
    """What is kept of a conversation of so many tokens, so that there is room for an answer of one at least.

    Raises StillTooLong if not even the last message fits.
    """

    async def count(some: Sequence[Message]) -> int:
        return await wording.count(slot, some)

    start, left = await history.fit(messages, slot.context - 1, count)
    if left >= slot.context:
        raise StillTooLong(left, slot.context)
    return history.kept(messages, start), Dropped(history.dropped(messages, start), max(tokens - left, 0))
