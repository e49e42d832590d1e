"""Put a load on a server or an engine, from a process of its own, and get the figures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.support.bare import Bare
from benchmarks.support.plan import Outcome, Plan, Route
from benchmarks.support.server import Server

ROOT = Path(__file__).resolve().parents[2]
WARMING = -1  # the seed of what is not measured
SLACK = 30.0  # seconds beyond what the plan itself allows


class LoadFailed(Exception):
    """Requests failed; the message has the first reasons."""


class Running:
    """A load client at work."""

    def __init__(self, plan: Plan, process: subprocess.Popen[bytes]) -> None:
        self._plan = plan
        self._process = process

    def outcome(self, *, tolerant: bool = False) -> Outcome:
        """Wait for the end. Raises LoadFailed if a request failed, unless `tolerant`."""
        limit = (self._plan.seconds or self._plan.timeout * self._plan.requests) + self._plan.timeout + SLACK
        output, _ = self._process.communicate(timeout=limit)
        if self._process.returncode:
            raise LoadFailed(f"the load client ended with status {self._process.returncode}")
        found = msgspec.json.decode(output, type=Outcome)
        if found.errors and not tolerant:
            raise LoadFailed(f"{len(found.errors)} requests failed: {'; '.join(found.errors[:3])}")
        return found


@contextmanager
def loading(plan: Plan) -> Iterator[Running]:
    """A load in the background; if the block ends early, it ends with it."""
    command = [sys.executable, "-m", "benchmarks.support.loader"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdin
        process.stdin.write(msgspec.json.encode(plan) + b"\n")
        process.stdin.flush()
        yield Running(plan, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run(plan: Plan, *, tolerant: bool = False) -> Outcome:
    """Perform a plan. Raises LoadFailed."""
    with loading(plan) as load:
        return load.outcome(tolerant=tolerant)


@dataclass(frozen=True, slots=True)
class Charged:
    """An outcome, and what it cost the server's own process."""

    outcome: Outcome
    cpu: float

    @property
    def per_token(self) -> float:
        """Microseconds of CPU per token."""
        return self.cpu / self.outcome.tokens * 1e6


def charged(server: Server, plan: Plan) -> Charged:
    """Perform a plan against Tropa and take the server's CPU time before and after."""
    before = server.cpu()
    outcome = run(plan)
    time.sleep(0.05)  # what it does after the last byte is part of the cost
    return Charged(outcome, server.cpu() - before)


def first_token(plan: Plan) -> float:
    """Seconds to the first token of a plan of one request. Raises LoadFailed."""
    found = run(plan).first
    if not found:
        raise LoadFailed("the answer has no text")
    return found[0]


def warm(*plans: Plan) -> None:
    """Perform each once, with prompts that no round has."""
    for plan in plans:
        run(seeded(plan, WARMING))


def to_tropa(server: Server, plan: Plan) -> Plan:
    """The same plan, addressed to a server."""
    return msgspec.structs.replace(plan, socket="", port=server.port)


def to_bare(bare: Bare, plan: Plan) -> Plan:
    """The same plan for the engine itself: its own route, and for a plain prompt the template already applied."""
    route: Route = "/v1/chat/completions" if plan.route == "/api/chat" else "/completion"
    before, after = bare.frame()
    return msgspec.structs.replace(
        plan, route=route, socket=str(bare.socket), port=0, before=before, after=after
    )


def seeded(plan: Plan, number: int) -> Plan:
    """The same plan with other prompts."""
    return msgspec.structs.replace(plan, seed=number)


def of_model(plan: Plan, model: str) -> Plan:
    """The same plan for another model."""
    return msgspec.structs.replace(plan, model=model)


def shorter(plan: Plan) -> Plan:
    """One request per stream: to load, and to warm."""
    return msgspec.structs.replace(plan, requests=1)


def for_seconds(plan: Plan, seconds: float) -> Plan:
    """The same plan with another limit in time."""
    return msgspec.structs.replace(plan, seconds=seconds)


def patient(plan: Plan, timeout: float) -> Plan:
    """The same plan with more or less time for each request."""
    return msgspec.structs.replace(plan, timeout=timeout)
