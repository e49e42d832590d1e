"""How many small questions a second the server answers: `/api/version` and `/api/tags`, on connections that stay open.

Programs poll these, so they must cost next to nothing. The bare engine's `/health`, asked by the same client in the
same run, says what client and machine allow.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

from benchmarks.support.bare import bare_engine
from benchmarks.support.figures import Spread
from benchmarks.support.home import home
from benchmarks.support.models import TINY
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import tropa_server

PATHS = ("/api/version", "/api/tags")
CONNECTIONS = 4
AIM = 2000.0  # requests per second

Connect = Callable[[], socket.socket]


def main() -> None:
    args = arguments(__doc__, rounds=5, quick=2)
    amount = 500 if args.quick else 3000
    report = Report("rates", {"rounds": args.rounds, "requests": amount, "connections": CONNECTIONS})
    with home() as place, tropa_server(place) as server:
        server.load(TINY)
        launch, environment = server.launch(place.path / "bare.sock")
        with bare_engine(launch, environment) as bare:
            for path in PATHS:
                ours, theirs = [], []
                for _ in range(args.rounds):
                    ours.append(_rate(partial(_tcp, server.port), path, amount))
                    theirs.append(_rate(partial(_unix, bare.socket), "/health", amount))
                rates, limit = Spread.of(ours), Spread.of(theirs)
                report.say(f"{path}: {rates.text()} requests/s; the engine's /health: {limit.text()}")
                report.figure(path, {"tropa_per_s": rates.record(), "bare_health_per_s": limit.record()})
                report.aim(f"{path}: requests per second", rates.median, least=AIM)
    report.finish()


def _rate(connect: Connect, path: str, amount: int) -> float:
    share = amount // CONNECTIONS
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(lambda _: _ask(connect, path, share), range(CONNECTIONS)):
            pass
    return share * CONNECTIONS / (time.perf_counter() - began)


def _ask(connect: Connect, path: str, times: int) -> None:
    """One request after another; a connection that the other side closed between two is opened again."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    left = times
    while left:
        with connect() as connection, connection.makefile("rb") as answers:
            for done in range(left):
                connection.sendall(request)
                if not _answered(answers):
                    assert done, "closed at once"
                    break
                left -= 1


def _answered(answers: BinaryIO) -> bool:
    """Read one whole answer; False: the connection was closed instead."""
    status = answers.readline()
    if not status:
        return False
    assert b" 200 " in status, status
    length = 0
    while (line := answers.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    assert len(answers.read(length)) == length > 0
    return True


def _tcp(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


if __name__ == "__main__":
    main()
