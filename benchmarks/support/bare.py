"""The engine without Tropa: the same wheel, the same start-up parameters, spoken to over its own socket."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.support import http
from tropa.engines.engine import QUIET_THREADS
from tropa.engines.launch import Launch
from tropa.engines.wheel import WheelEngine

READY_WITHIN = 60.0
STOP_WITHIN = 5.0
LOOK = 0.002  # seconds between two looks at a loading engine
PROBE_MARK = "benchmarkmark"


class Bare:
    """A running engine. `started` and `ready` are by the clock of time.perf_counter."""

    def __init__(
        self, process: subprocess.Popen[bytes], launch: Launch, started: float, ready: float
    ) -> None:
        assert launch.address.socket
        self._process = process
        self.launch = launch
        self.socket = launch.address.socket
        self.started = started
        self.ready = ready

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the engine something."""
        return http.call(self.socket, method, path, body)

    def frame(self) -> tuple[str, str]:
        """What the model's chat template puts before and after a user's one message."""
        messages = [{"role": "user", "content": PROBE_MARK}]
        prompt: str = self.call("POST", "/apply-template", {"messages": messages})["prompt"]
        before, _, after = prompt.partition(PROBE_MARK)
        return before, after


@contextmanager
def bare_engine(launch: Launch, environment: dict[str, str], *, spinning: bool = False) -> Iterator[Bare]:
    """Start an engine, wait until it serves; end it with the block.

    `environment` is that of Tropa's own engine process. `spinning` takes out what keeps its threads quiet.
    """
    command = WheelEngine().command(launch)
    variables = environment | command.environment
    if spinning:
        variables = {name: value for name, value in variables.items() if name not in QUIET_THREADS}
    assert launch.address.socket
    log = launch.address.socket.with_suffix(".log")
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables
        )
    try:
        yield Bare(process, launch, started, _until_ready(process, launch.address.socket, log))
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        launch.address.socket.unlink(missing_ok=True)


def _until_ready(process: subprocess.Popen[bytes], socket: Path, log: Path) -> float:
    deadline = time.perf_counter() + READY_WITHIN
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            http.call(socket, "GET", "/health", timeout=2.0)
        except (http.NoAnswer, http.Refused):  # no socket yet; 503 while it loads
            time.sleep(LOOK)
        else:
            return time.perf_counter()
    raise RuntimeError(f"the bare engine did not come up:\n{log.read_text(errors='replace')[-2000:]}")
