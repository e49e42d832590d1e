"""What the load client is told, and what it answers. Both travel as one line of JSON between two processes."""

from __future__ import annotations

import random
from typing import Any, Literal

from msgspec import Struct

from tropa.service.options import parse

Route = Literal["/api/chat", "/api/generate", "/v1/chat/completions", "/completion"]
NATIVE: tuple[Route, ...] = ("/api/chat", "/api/generate")
SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


class Plan(Struct, frozen=True):
    """`streams` clients, each asking one question after another. It ends by count or by time, whichever is first."""

    route: Route
    socket: str = ""
    """Of a bare engine; empty: Tropa, at `port`."""
    port: int = 0
    model: str = ""
    options: dict[str, float] = {}
    tokens: int = 128
    """To generate per request."""
    words: int = 8
    """Of the prompt, all different in every request: nothing of a prompt is in a cache."""
    streams: int = 1
    requests: int = 1
    """Per stream, at most."""
    seconds: float = 0.0
    """No stream asks again after this time; 0: no such limit."""
    pause: float = 0.0
    """Between two requests of one stream."""
    timeout: float = 120.0
    """For each request."""
    seed: int = 0
    before: str = ""
    after: str = ""
    """What the chat template puts round a message: for `/completion`, which takes the prompt as it is."""

    def body(self, stream: int, number: int) -> dict[str, Any]:
        """The request's JSON. The bare engine is told just what Tropa would tell it."""
        kind = "chat" if "chat" in self.route else "generate"  # the same on both sides of a comparison
        text = prompt(f"{kind}/{self.streams}/{self.seed}/{stream}/{number}", self.words)
        messages = [{"role": "user", "content": text}]
        sampling = {**self.options, "seed": 1 + abs(self.seed) * 100_000 + stream * 1000 + number}
        if self.route in NATIVE:
            options = {**sampling, "num_predict": self.tokens}
            content = {"messages": messages} if self.route == "/api/chat" else {"prompt": text}
            return {"model": self.model, "options": options, "keep_alive": "1h", **content}
        told = {**parse({}, sampling).sampling(), "n_predict": self.tokens}
        told |= {"stream": True, "return_progress": True, "cache_prompt": True}
        if self.route == "/completion":
            return {**told, "prompt": self.before + text + self.after}
        return {**told, "messages": messages}


class Outcome(Struct, frozen=True):
    """What came of a plan. Times in seconds; gaps are between tokens of one stream as they arrive here."""

    tokens: int
    prompt_tokens: int
    seconds: float
    """From the first request's start to the last one's end."""
    first: list[float]
    """First token of each request, from its start, connecting included."""
    whole: list[float]
    """Each request, from start to end."""
    loads: list[float]
    """What Tropa says of queueing and loading, for each request."""
    gap_p50: float
    gap_p99: float
    gap_most: float
    short: int
    """Requests whose answer ended before it had its tokens."""
    cpu: float
    """CPU seconds of the client itself while it asked."""
    errors: list[str]

    @property
    def rate(self) -> float:
        """Tokens per second, all streams together."""
        return self.tokens / self.seconds


def prompt(seed: str, words: int) -> str:
    """Made-up words, the same for a seed."""
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(SYLLABLES, k=2)) for _ in range(words))
