"""Which HTTP client a download should use: the choice behind `tropa.registry.transport`.

One blob of a docker-registry on this machine is fetched in parts of 64 MB over four connections, written where it
belongs in a sparse file, and hashed from there behind the writers, as a pull does it. Each client has a process of its
own, in turns. Asynchronous clients run on uvloop; what they spend is spent in the loop, where a server's answers wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.registry.debian import docker_registry, executable

from benchmarks.support.figures import Spread
from benchmarks.support.home import home
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import tropa_server

SIZE, QUICK = 1_000_000_000, 200_000_000
PART, PIECE, STREAMS = 64_000_000, 1 << 20, 4


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(*sys.argv[2:])))
        return
    args = arguments(__doc__, rounds=3, quick=1)
    if executable() is None:
        sys.exit("needs docker-registry")
    size = QUICK if args.quick else SIZE
    report = Report("http_clients", {"rounds": args.rounds, "bytes": size, "streams": STREAMS})
    known = [
        name for name in CLIENTS if args.only in name and importlib.util.find_spec(name.partition(" ")[0])
    ]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in known}
    with home() as place, docker_registry(place.path / "registry") as host, tropa_server(place) as server:
        from benchmarks.registry import Bench

        bench = Bench(place.path, host, server, size)
        bench.push(0)
        url = f"http://{host}/v2/bench/m0/blobs/{bench.digest}"
        for number in range(args.rounds):
            for name in known if number % 2 else reversed(known):
                words = [sys.executable, "-m", "benchmarks.http_clients", "--one", name, url, str(size)]
                done = subprocess.run(
                    [*words, str(place.path / "out")], check=True, capture_output=True, timeout=300
                )
                seconds, processor, digest = json.loads(done.stdout)
                assert digest == bench.digest.hex
                found[name].append((seconds, processor))
    for name, pairs in found.items():
        took, spent = Spread.of(each for each, _ in pairs), Spread.of(each for _, each in pairs)
        report.say(f"{name:12} {took.text(2)} s to the last hash, {spent.text(2)} s of processor time")
        report.figure(f"{name}, s", took.record())
        report.figure(f"{name}, processor s", spent.record())
    report.finish()


def one(name: str, url: str, size: str, out: str) -> tuple[float, float, str]:
    """Seconds, seconds of processor time, and what was fetched."""
    blob = Blob(Path(out), int(size))
    began = time.perf_counter()
    hashing = threading.Thread(target=blob.hash)
    hashing.start()
    CLIENTS[name](blob, url)
    hashing.join()
    return time.perf_counter() - began, time.process_time(), blob.hashed.hexdigest()


class Blob:
    """A sparse file that fills up in parts, and its hash, which follows them."""

    def __init__(self, path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.fd, size)
        self.size = size
        self.hashed = hashlib.sha256()
        self._parts = [(at, min(at + PART, size)) for at in range(0, size, PART)]
        self._at = {start: start for start, _ in self._parts}
        self._waiting = iter(self._parts)
        self._lock = threading.Lock()

    def part(self) -> tuple[int, int] | None:
        with self._lock:
            return next(self._waiting, None)

    def write(self, start: int, data: bytes) -> None:
        os.pwrite(self.fd, data, self._at[start])
        self._at[start] += len(data)

    def hash(self) -> None:
        at = 0
        while at < self.size:
            end = next((self._at[start] for start, end in self._parts if self._at[start] < end), self.size)
            if end == at:
                time.sleep(0.001)
            while at < end:
                data = os.pread(self.fd, min(PIECE, end - at), at)
                self.hashed.update(data)
                at += len(data)


def _range(start: int, end: int) -> dict[str, str]:
    return {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}


def _urllib3(blob: Blob, url: str) -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=STREAMS, retries=False)

    def work() -> None:
        while (part := blob.part()) is not None:
            response = pool.request(
                "GET", url, headers=_range(*part), preload_content=False, decode_content=False
            )
            while data := response.read1(PIECE):
                blob.write(part[0], data)
            response.release_conn()

    threads = [threading.Thread(target=work) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _httpx(blob: Blob, url: str) -> None:
    import httpx

    async def fetch() -> None:
        async with httpx.AsyncClient() as client:

            async def work() -> None:
                while (part := blob.part()) is not None:
                    async with client.stream("GET", url, headers=_range(*part)) as response:
                        async for data in response.aiter_raw():
                            blob.write(part[0], data)

            await asyncio.gather(*(work() for _ in range(STREAMS)))

    _in_loop(fetch)


def _aiohttp(blob: Blob, url: str) -> None:
    import aiohttp

    async def fetch() -> None:
        async with aiohttp.ClientSession(read_bufsize=PIECE, auto_decompress=False) as client:

            async def work() -> None:
                while (part := blob.part()) is not None:
                    async with client.get(url, headers=_range(*part)) as response:
                        async for data in response.content.iter_any():
                            blob.write(part[0], data)

            await asyncio.gather(*(work() for _ in range(STREAMS)))

    _in_loop(fetch)


def _in_loop(fetch: Callable[[], Coroutine[Any, Any, None]]) -> None:
    import uvloop

    uvloop.run(fetch())


CLIENTS: dict[str, Callable[[Blob, str], None]] = {"urllib3": _urllib3, "httpx": _httpx, "aiohttp": _aiohttp}


if __name__ == "__main__":
    main()
