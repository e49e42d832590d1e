"""The engine against a golden: the same tokens, the same choices, the same probabilities, the same vectors."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.goldens.golden import Case, Golden, Run
from tests.support.places import short_folder
from tropa.engines.launch import Launch
from tropa.engines.wheel import WheelEngine
from tropa.runners.rundir import RunDir
from tropa.runners.runner import Runner

TOLERANCE = 0.15
"""In nats. The engine calculates with 16-bit activations (0.03 was seen with F16, 0.08 with BF16); a wrong transform is
off by whole nats."""
CLEAR = 0.08
"""In nats: by how much the first token must lead for the engine to have to choose it too."""
SAME_DIRECTION = 0.999


@asynccontextmanager
async def running(gguf: Path, **asked: Any) -> AsyncIterator[Runner]:
    """The wheel's engine with this file, in a process of its own. Raises LoadFailed."""
    with short_folder() as place:
        rundir = RunDir(place / "run")
        rundir.open()
        berth = rundir.berth()
        usual: dict[str, Any] = {"context": 512, "slots": 1, "threads": 2}
        launch = Launch(gguf, berth.address, berth.alias, **usual | asked)
        runner = await Runner.load(WheelEngine(), launch, stall=60)
        try:
            yield runner
        finally:
            await runner.stop()
            rundir.close()


async def answers_like(
    gguf: Path, golden: Golden, *, tolerance: float = TOLERANCE, adapters: Iterable[Path] = ()
) -> None:
    """Asserts that the file generates what the golden says, token for token, with its probabilities; and that it
    makes the same tokens of each prompt's text."""
    async with running(gguf, adapters=tuple(adapters)) as runner:
        await compare_runs(runner, golden.runs, tolerance)


async def compare_runs(runner: Runner, runs: Iterable[Run], tolerance: float = TOLERANCE) -> None:
    """The heart of `answers_like`, on an engine that runs.

    The probabilities are compared along the golden's own continuation: one choice that fell the other way would
    make all that follows incomparable.
    """
    for run in runs:
        assert await tokens_of(runner, run.text) == run.prompt, run.text
        for step, expected in enumerate(run.top):
            found = await probabilities(runner, run.prompt + run.next[:step])
            wanted = expected if step else [*expected, *run.sample]
            wrong = _differences(wanted, found, tolerance)
            assert not wrong, f"step {step} after {run.text!r}: token: (engine, golden) {wrong}"
        steps = clear(run)
        assert not steps or await continuation(runner, run.prompt, steps) == run.next[:steps], run.text


async def embeds_like(
    gguf: Path, golden: Golden, *, least: float = SAME_DIRECTION, context: int = 128
) -> None:
    """Asserts that every text has the golden's vector: the same direction, and the length 1."""
    async with running(gguf, embedding=True, context=context, batch=context) as runner:
        for each in golden.embeddings:
            reply = await runner.call("POST", "/v1/embeddings", {"input": each.text})
            vector = reply["data"][0]["embedding"]
            likeness = cosine(vector, each.vector)
            assert likeness > least, f"{each.text!r}: {likeness}"
            assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-3), each.text


def clear(run: Run) -> int:
    """How many steps there are before a choice that another processor's rounding might turn."""
    leads = [step[0][1] - step[1][1] for step in run.top]
    return next((step for step, lead in enumerate(leads) if lead < CLEAR), len(leads))


async def tokenizes_like(gguf: Path, cases: Iterable[Case]) -> None:
    """Asserts that every text has the golden's tokens."""
    async with running(gguf) as runner:
        wrong = {}
        for case in cases:
            found = await tokens_of(runner, case.text)
            if found != case.ids:
                wrong[case.text] = (found, case.ids)
        assert not wrong, f"(engine, transformers) by text: {wrong}"


async def tokens_of(runner: Runner, text: str) -> list[int]:
    """Special tokens in the text are recognized, none is added."""
    asked = {"content": text, "add_special": False, "parse_special": True}
    reply = await runner.call("POST", "/tokenize", asked)
    return list(reply["tokens"])


async def continuation(runner: Runner, prompt: list[int], steps: int) -> list[int]:
    """What the engine takes for the likeliest, token by token."""
    asked = {"prompt": prompt, "n_predict": steps, "temperature": 0, "return_tokens": True}
    reply = await runner.call("POST", "/completion", asked)
    return list(reply["tokens"])


async def probabilities(runner: Runner, prompt: list[int]) -> dict[int, float]:
    """The logarithm of every token's probability after these."""
    asked = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 1 << 16}
    reply = await runner.call("POST", "/completion", asked)
    # None for a token that is no whole character: no golden has one.
    steps = reply.get("completion_probabilities", [])
    return {each["id"]: each["logprob"] for step in steps for each in step["top_logprobs"]}


def cosine(a: list[float], b: list[float]) -> float:
    """Of two vectors of one length."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def _differences(
    expected: Iterable[tuple[int, float]], found: dict[int, float], tolerance: float
) -> dict[int, tuple[float | None, float]]:
    """Token → (engine, golden) where they differ. Unlikely tokens may differ more: nobody will see them."""
    return {
        token: (found.get(token), value)
        for token, value in expected
        if token not in found or abs(found[token] - value) > tolerance * max(1.0, -value / 4)
    }
