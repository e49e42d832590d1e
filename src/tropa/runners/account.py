"""What one request costs, written down while it runs: by the herd what it waited for, by the service what it computed.

Whoever answers a request opens an account in its own context, and reads it at the end. Nothing is written per token.
Work that nobody opened an account for writes into one that nobody reads.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Account:
    """Times are integer nanoseconds. A request of several answers has the longest of its waits, and the sum of its
    tokens."""

    model: str = ""
    """As the library names it; empty until a slot was granted."""
    runner: int | None = None
    queue_ns: int = 0
    """For others' requests to end, or others' models to leave."""
    load_ns: int = 0
    """For its own model to load."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    prompt_ns: int = 0
    generation_ns: int = 0

    def granted(self, model: str, runner: int, queue_ns: int, load_ns: int) -> None:
        """A slot is ours."""
        self.model = model
        self.runner = runner
        self.queue_ns = max(self.queue_ns, queue_ns)
        self.load_ns = max(self.load_ns, load_ns)


_CURRENT: ContextVar[Account | None] = ContextVar("account", default=None)


def opened() -> Account:
    """A new account, from here on that of everything in this context."""
    account = Account()
    _CURRENT.set(account)
    return account


def current() -> Account:
    """That of this context."""
    return _CURRENT.get() or Account()
