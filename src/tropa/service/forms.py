"""What holds an answer to a form: the grammar of `format`.

Tropa makes the grammar itself (`tropa.schema`) and gives it to the engine in the engine's own words, with a prompt that
is text. What the engine would make of a schema leaves out what it does not know and says nothing of it; and it makes it
in the process that serves everybody, so a schema could keep all others waiting, or end them.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tropa.schema.errors import BadSchema
from tropa.service.constraint import schema

KEPT = 16 << 20
"""Characters of grammars that are kept, with their schemas; the oldest go first."""
FORM = "grammar"
"""The field that holds an answer to a form."""


@dataclass(slots=True)
class _Making:
    done: asyncio.Future[str]
    waiting: int = 0


def _compiled(wanted: Any) -> str:
    from tropa.schema.compile import grammar  # read when the first form is asked for, in its thread

    return grammar(wanted)


class Kept:
    """Grammars by the text of their schemas. Whoever asks for one that is being made waits for it."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._grammars: dict[str, str] = {}
        self._making: dict[str, _Making] = {}
        self._size = 0
        # One at a time: more would only take the interpreter from everybody else for longer.
        self._thread = ThreadPoolExecutor(1, "schemas")

    async def grammar(self, wanted: Any) -> str:
        """Raises BadSchema."""
        key = json.dumps(wanted)
        if (found := self._grammars.get(key)) is not None:
            return found
        making = self._making.get(key)
        if making is None:
            making = _Making(asyncio.get_running_loop().run_in_executor(self._thread, _compiled, wanted))
            self._making[key] = making
        making.waiting += 1
        try:
            grammar = await asyncio.shield(making.done)  # who leaves must not take it from the others
        finally:
            making.waiting -= 1
            if not making.waiting:
                self._making.pop(key, None)
                making.done.cancel()  # and nobody makes what nobody waits for
        self._keep(key, grammar)
        return grammar

    def _keep(self, key: str, grammar: str) -> None:
        if key in self._grammars:
            return
        self._grammars[key] = grammar
        self._size += len(key) + len(grammar)
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
