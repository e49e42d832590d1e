"""`plan`: what would happen if a model were asked for now, as the server's own scheduler sees it."""

from __future__ import annotations

import sys
from typing import Any

from tropa.cli.command import Call
from tropa.cli.listing import processor
from tropa.cli.target import client
from tropa.text.sizes import format_size

_OUTCOMES = {
    "served": "would be answered at once",
    "queued": "would wait for a slot of its runner",
    "loaded": "would be loaded at once",
    "after-others": "would be loaded after others made room",
    "refused": "would be refused",
}


def plan(call: Call) -> int:
    """Exit status 1 if the model would be refused, so that scripts can ask."""
    body: dict[str, Any] = {"model": call.args[0]}
    if (context := call.whole("num-ctx")) is not None:
        body["options"] = {"num_ctx": context}
    if (parallel := call.whole("parallel")) is not None:
        body["num_parallel"] = parallel
    answer = client().post("/api/plan", body)
    sys.stdout.write(report(answer))
    return int(answer.get("outcome") == "refused")


def report(answer: dict[str, Any]) -> str:
    """What `plan` prints for an answer of `POST /api/plan`."""
    outcome = str(answer.get("outcome", ""))
    lines = [
        f"{answer.get('model', '')} {_OUTCOMES.get(outcome, outcome)}",
        f"  why        {answer.get('why', '')}",
    ]
    if place := answer.get("placement"):
        memory: dict[str, int] = place.get("memory") or {}
        size, on_gpu = place.get("size", 0), sum(v for device, v in memory.items() if device != "cpu")
        where = ", ".join(f"{device} {format_size(held)}" for device, held in memory.items() if held)
        lines.append(f"  where      {processor(size, on_gpu)} ({where})")
        lines.append(
            f"  context    {place.get('context_length', 0)} tokens in each of {place.get('slots', 0)} slots"
        )
    lines += [
        f"  leaves     {each.get('name')} ({each.get('condition')})" for each in answer.get("leaving") or []
    ]
    if (wait := answer.get("earliest_seconds")) is not None:
        lines.append(f"  earliest   in {wait:.1f} s, when busy ones stop taking requests")
    if ahead := answer.get("models_ahead"):
        lines.append(f"  ahead      {ahead} models get their turn before")
    return "\n".join(lines) + "\n"
