"""What one request costs, written down while it runs: by the herd what it waited for, by the service what it computed.

Whoever answers a request opens an account in its own context, and reads it at the end. Work that nobody opened an
account for writes into one that nobody reads.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Run:
    """What the work in one slot has cost so far. It is entered in the account only if nobody else does so: when the
    client left, or the engine failed, and its own figures, which come at the end, never came."""

    began: int = field(default_factory=time.monotonic_ns)
    prompted: int = 0
    """When the last of the prompt was known to be done; 0: it was not yet."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    entered: bool = False
    """It is in the account already, with the engine's figures."""

    def prompt(self, total: int, cached: int, done: int) -> None:
        """So many tokens, of which `done` are done. Of several prompts in one slot the first is meant: the next ones
        begin with it."""
        if not self.tokens:
            self.prompt_tokens = min(total, done)
            self.cached_tokens = cached
            self.prompted = time.monotonic_ns()


@dataclass(slots=True)
class Account:
    """Times are integer nanoseconds. A request of several answers has the longest of its waits, and the sum of its
    tokens."""

    model: str = ""
    """As the library names it; empty until a slot was granted, or waited for in vain."""
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
        self.runner = runner
        self.waited(model, queue_ns, load_ns)

    def waited(self, model: str, queue_ns: int, load_ns: int) -> None:
        """For a slot, whether it was granted or not."""
        self.model = model
        self.queue_ns = max(self.queue_ns, queue_ns)
        self.load_ns = max(self.load_ns, load_ns)

    def cut(self, run: Run) -> None:
        """The work in a slot has ended: if it was cut off, enter what is known of it, the times by our own clock."""
        if run.entered or not run.prompt_tokens:
            return
        self.prompt_tokens += run.prompt_tokens
        self.cached_tokens += run.cached_tokens
        self.tokens += run.tokens
        self.prompt_ns += run.prompted - run.began
        if run.tokens:
            self.generation_ns += time.monotonic_ns() - run.prompted


_CURRENT: ContextVar[Account | None] = ContextVar("account", default=None)


def opened() -> Account:
    """A new account, from here on that of everything in this context."""
    account = Account()
    _CURRENT.set(account)
    return account


def current() -> Account:
    """That of this context."""
    return _CURRENT.get() or Account()
