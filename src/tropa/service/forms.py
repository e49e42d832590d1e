"""What holds an answer to a form: the grammar of `format`.

Tropa makes the grammar itself (`tropa.schema`) and gives it to the engine in the engine's own words, with a prompt that
is text. What the engine would make of a schema leaves out what it does not know and says nothing of it; and it makes it
in the process that serves everybody, so a schema could keep all others waiting, or end them.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tropa.schema.compile import grammar as compiled
from tropa.schema.errors import BadSchema
from tropa.service.constraint import schema

KEPT = 16 << 20
"""Characters of grammars that are kept, with their schemas; the oldest go first."""
FORM = "grammar"
"""The field that holds an answer to a form."""


class Kept:
    """Grammars by the text of their schemas. Whoever asks for one that is being made waits for it."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._grammars: dict[str, str] = {}
        self._making: dict[str, asyncio.Future[str]] = {}
        self._size = 0

    async def grammar(self, wanted: Any) -> str:
        """Raises BadSchema."""
        key = json.dumps(wanted)
        if (found := self._grammars.get(key)) is not None:
            return found
        making = self._making.get(key)
        if making is None or making.get_loop() is not asyncio.get_running_loop():
            making = asyncio.ensure_future(asyncio.to_thread(compiled, wanted))
            self._making[key] = making
            making.add_done_callback(lambda done: self._keep(key, done))
        # Whoever leaves must not take it from the others.
        return await asyncio.shield(making)

    def _keep(self, key: str, done: asyncio.Future[str]) -> None:
        if self._making.get(key) is done:
            del self._making[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._grammars[key] = done.result()
        self._size += len(key) + len(done.result())
        while self._size > self._most:
            old = next(iter(self._grammars))
            self._size -= len(old) + len(self._grammars.pop(old))


_kept = Kept()


async def form(wanted: Any) -> str | None:
    """The grammar of a request's `format`; None: any text. Raises BadFormat, BadSchema."""
    asked = schema(wanted)
    if asked is None:
        return None
    try:
        # A schema that says nothing leaves any value: an object is one, and what was meant.
        return await _kept.grammar(asked or {"type": "object"})
    except BadSchema as exc:
        raise type(exc)(f"an answer can't be held to this schema: {exc}") from exc
