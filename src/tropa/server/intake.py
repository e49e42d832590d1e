"""What a client may send: how much, and how slowly. Who dawdles, or sends without end, holds nothing here."""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive, Scope

from tropa.errors import TropaError

MOST_BODY = 256 << 20  # bytes of a body; a file that is uploaded may have any number
MOST_BODIES = 1 << 30  # bytes of all bodies together whose requests have not ended
LARGE = 4 << 20  # bytes of a body, from which on those that are whole are handed out one after the other
PAUSE = 0.02  # seconds between them
SLOWEST = 500  # bytes a second, of a body that takes longer than the patience lasts


class TooSlow(TropaError):
    """The next piece of the body did not come in time."""

    code = "too-slow"


class TooLarge(TropaError):
    """The body is larger than any that is taken."""

    code = "too-large"


class TooMuch(TropaError):
    """The bodies of all requests together are larger than what is held in memory."""

    code = "too-much"


def declared(scope: Scope) -> int:
    """The length of the body, as far as the client told it beforehand."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


class Hold:
    """How many bytes of bodies are in memory, of all requests together."""

    def __init__(self, limit: int = MOST_BODIES) -> None:
        self._limit = limit
        self.size = 0
        self._turns = asyncio.Lock()

    def take(self, size: int) -> None:
        """Raises TooMuch."""
        if self.size + size > self._limit:
            raise TooMuch("server busy with other large requests, please try again")
        self.size += size

    def give(self, size: int) -> None:
        self.size -= size

    async def turn(self) -> None:
        """Wait for the turn of a large body: reading one takes a second, and everybody else waits for it. The next turn
        comes only when the others had theirs."""
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_later, PAUSE, self._turns.release)


class Intake:
    """`receive`, held to a size and a pace. Once the body is whole it is `receive` and nothing else.

    `limit` is None where the body is not kept but goes somewhere, piece by piece. Whoever made it closes it when
    the request has ended: until then its body, or what was made of it, is in memory.
    """

    def __init__(
        self,
        receive: Receive,
        limit: int | None,
        patience: float | None,
        hold: Hold | None = None,
        declared: int = 0,
    ) -> None:
        """`declared`: the length that the client told beforehand."""
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._hold = hold if limit is not None else None
        self._declared = declared
        self._size = 0
        self._held = 0
        self._whole = False
        self._began = time.monotonic()

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        self._check(max(self._size, self._declared))
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the request body stopped coming for {self._patience:g} seconds") from None
        self._whole = not message.get("more_body", False)
        size = len(message.get("body", b""))
        self._size += size
        self._check(self._size)
        if self._hold is not None:
            self._hold.take(size)
            self._held += size
        if self._whole and self._hold is not None and self._size > LARGE:
            await self._hold.turn()
        if not self._whole and self._patience is not None:
            late = time.monotonic() - self._began - self._patience
            if late * SLOWEST > self._size:
                raise TooSlow(
                    f"the request body comes too slowly: at least {SLOWEST} bytes a second are expected"
                )
        return message

    def close(self) -> None:
        """The request has ended."""
        if self._hold is not None:
            self._hold.give(self._held)
            self._held = 0

    def _check(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise TooLarge(f"the request body is larger than {self._limit >> 20} MiB")
