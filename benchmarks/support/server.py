"""A `tropa serve` of our own: on a free port, in a home of its own, ended by the process number that we were given."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.support import http
from benchmarks.support.cpu import cpu_seconds
from benchmarks.support.home import Home
from tropa.engines.launch import Address, Launch

READY_WITHIN = 30.0
STOP_WITHIN = 20.0
LOOK = 0.002  # seconds between two looks at something that is about to happen


class ServerFailed(Exception):
    """It did not come up, or did not do what it was asked; with the last lines of its log."""


def command(*words: str) -> list[str]:
    """`tropa WORDS`, as a user runs it: the script beside this Python, else the module."""
    script = Path(sys.executable).with_name("tropa")
    return [str(script), *words] if script.exists() else [sys.executable, "-m", "tropa", *words]


class Server:
    """A running server."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, log: Path, environment: dict[str, str]
    ) -> None:
        self._process = process
        self.port = port
        self.log = log
        self.environment = environment
        """What a command of the CLI needs to talk to this server."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server something. Raises http.NoAnswer, http.Refused."""
        return http.call(self.port, method, path, body)

    def cpu(self) -> float:
        """Seconds of CPU that the server's own process has used; engines are not in it."""
        return cpu_seconds(self.pid)

    def rss(self) -> int:
        """Resident bytes of the server's own process."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def engines(self) -> list[psutil.Process]:
        """The engine processes, started or starting."""
        found = psutil.Process(self.pid).children()
        return [child for child in found if child.status() != psutil.STATUS_ZOMBIE and _is_engine(child)]

    def create(self, name: str, gguf: Path) -> None:
        """Add a model, as a user does."""
        modelfile = self.log.with_name("Modelfile")
        modelfile.write_text(f"FROM {gguf}\n")
        run(command("create", name, "-f", str(modelfile)), self.environment)

    def load(self, model: str) -> None:
        """Have `model` loaded, and wait for it."""
        self.call("POST", "/api/generate", {"model": model, "keep_alive": "1h"})

    def unload(self, *models: str) -> None:
        """Have models unloaded, and wait until no engine process is left."""
        for model in models:
            self.call("POST", "/api/generate", {"model": model, "keep_alive": 0})
        until(lambda: not self.engines(), f"{', '.join(models)} to leave")

    def launch(self, socket_path: Path) -> tuple[Launch, dict[str, str]]:
        """The start-up parameters of the one engine that runs now, moved to another socket; its environment too.

        Read from the process itself, so that the bare engine cannot differ from Tropa's by a mistake of ours.
        """
        engines = self.engines()
        if len(engines) != 1:
            raise ServerFailed(f"{len(engines)} engines run instead of one")
        told = json.loads(engines[0].cmdline()[-1])
        names = Launch.__dataclass_fields__.keys() & told.keys() - {"address", "alias"}
        values = {name: told[name] for name in names}
        for name in ("model", "projector", "save_dir"):
            values[name] = Path(told[name]) if told[name] else None
        values["adapters"] = tuple(Path(path) for path in told["adapters"])
        values["tensor_split"] = tuple(told["tensor_split"])
        launch = Launch(**values, address=Address(socket=socket_path), alias="bare")
        return launch, engines[0].environ()


@contextmanager
def tropa_server(home: Home, **settings: str) -> Iterator[Server]:
    """Start a server with these settings, wait until it answers and knows its engine; end it with the block."""
    server = start(home, **settings)
    try:
        wait_until_alive(server)
        until((home.path / "state" / "engines.json").exists, "the engine's probe")
        yield server
    except Exception as exc:
        exc.add_note(f"the server's log ends with:\n{server.log.read_text(errors='replace')[-4000:]}")
        raise
    finally:
        stop(server)


def start(home: Home, **settings: str) -> Server:
    """Start the process and return at once. Should we die, it ends: it holds the reading end of a pipe of ours."""
    port = free_port()
    environment = home.environment(**settings, OLLAMA_HOST=f"127.0.0.1:{port}", TROPA_EXIT_WITH_STDIN="1")
    log = home.path / f"serve-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("serve"), stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
        )
    return Server(process, port, log, environment)


def stop(server: Server) -> None:
    """Ask, insist, wait."""
    process = server._process  # noqa: SLF001 - `Server` is what a benchmark sees; ending it is ours
    if process.stdin:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_alive(server: Server) -> float:
    """Returns when `/api/version` answers; by the clock of time.perf_counter."""
    deadline = time.perf_counter() + READY_WITHIN
    while time.perf_counter() < deadline:
        if server._process.poll() is not None:  # noqa: SLF001 - see `stop`
            break
        try:
            server.call("GET", "/api/version")
        except http.NoAnswer:
            time.sleep(LOOK)
        else:
            return time.perf_counter()
    raise ServerFailed("tropa serve did not come up")


def until(true: Any, what: str, within: float = READY_WITHIN) -> None:
    """Wait for a condition. Raises ServerFailed if it does not come."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise ServerFailed(f"waited {within:.0f} s in vain for {what}")
        time.sleep(LOOK)


def run(argv: list[str], environment: dict[str, str], timeout: float = 120.0) -> str:
    """A command's output. Raises ServerFailed with what it said if it fails."""
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise ServerFailed(f"{' '.join(argv)}: exit status {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_engine(process: psutil.Process) -> bool:
    try:
        return "tropa.engines.host" in process.cmdline()
    except psutil.Error:
        return False
