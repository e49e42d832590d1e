"""How fast a model comes and goes, against what everybody has: `curl`, then `sha256sum` of what it fetched.

Debian's docker-registry on this machine holds one blob of random bytes. Tropa fetches it as a user has it done, over
the server's API: in parts, hashed, flushed to the disk, and named. `curl` fetches the same blob to the same disk,
`sha256sum` reads it again. In turns, so that both meet the same machine. Push is held against `sha256sum` of the blob
and `curl` sending it in one piece; the ratio to `curl` alone is told as well. The network here is loopback, so these
are the client's own costs; on a real line both wait for it.
Memory is the server's own process at its highest.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from tests.registry.debian import docker_registry, executable

from benchmarks.support.figures import Spread, interleaved
from benchmarks.support.home import home
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.manifest import Layer
from tropa.library.name import Name
from tropa.library.store import Store

SIZE, QUICK = 1_000_000_000, 200_000_000
CONFIG = b'{"model_format":"gguf"}'
MB = 1_000_000
LEAST, MOST = 0.9, 200.0  # of curl's rate; MB


def main() -> None:
    args = arguments(__doc__, rounds=5, quick=2)
    if executable() is None or shutil.which("curl") is None:
        sys.exit("needs docker-registry and curl")
    size = QUICK if args.quick else SIZE
    report = Report("registry", {"rounds": args.rounds, "bytes": size})
    with home() as place, docker_registry(place.path / "registry") as host, tropa_server(place) as server:
        bench = Bench(place.path, host, server, size)
        bench.push(0)
        report.say(f"before, the server has {server.rss() / MB:.0f} MB")
        for name, ours, theirs in (
            ("pull", bench.pull, bench.curl_download),
            ("push", bench.push, bench.curl_upload),
        ):
            if args.only in name:
                _compare(report, name, size, interleaved(args.rounds, ours, theirs))
        peak = bench.peak()
        report.say(f"at its highest, the server had {peak:.0f} MB")
        report.aim("peak memory of the server, MB", peak, most=MOST)
        report.figure("peak memory, MB", round(peak, 1))
    report.finish()


def _compare(report: Report, name: str, size: int, pairs: list[tuple[float, Theirs]]) -> None:
    ours = Spread.of(size / MB / mine for mine, _ in pairs)
    both = Spread.of(size / MB / (other.curl + other.sum) for _, other in pairs)
    ratio = Spread.of((other.curl + other.sum) / mine for mine, other in pairs)
    alone = Spread.of(other.curl / mine for mine, other in pairs)
    report.say(f"{name}: {ours.text(0)} MB/s; curl and sha256sum: {both.text(0)} MB/s; ratio {ratio.text(2)}")
    report.say(f"  to curl alone, which checks nothing: {alone.text(2)}")
    report.aim(f"{name}, of the rate of curl and sha256sum", ratio.median, least=LEAST)
    for key, spread in (
        ("tropa", ours),
        ("curl and sha256sum", both),
        ("ratio", ratio),
        ("ratio to curl", alone),
    ):
        report.figure(f"{name}, {key}", spread.record())


@dataclass(frozen=True)
class Theirs:
    """Seconds."""

    curl: float
    sum: float


class Bench:
    """One blob, here and at the registry."""

    def __init__(self, folder: Path, host: str, server: Server, size: int) -> None:
        self._folder = folder
        self._host = host
        self._server = server
        self.digest = self._prepared(size)
        self._pushes = 0

    def pull(self, _: int) -> float:
        name = f"{self._host}/bench/m0"
        self._forget()
        began = time.perf_counter()
        self._ask("/api/pull", name)
        return time.perf_counter() - began

    def push(self, _: int) -> float:
        """To a repository of its own each time: what a registry has somewhere it need not have here."""
        name = f"{self._host}/bench/m{self._pushes}"
        self._pushes += 1
        self._server.call("POST", "/api/copy", {"source": "bench", "destination": name})
        began = time.perf_counter()
        self._ask("/api/push", name)
        return time.perf_counter() - began

    def curl_download(self, _: int) -> Theirs:
        out = self._folder / "out"
        out.unlink(missing_ok=True)
        began = time.perf_counter()
        _run("curl", "-sf", f"http://{self._host}/v2/bench/m0/blobs/{self.digest}", "-o", str(out))
        return Theirs(time.perf_counter() - began, self._sum(out))

    def curl_upload(self, number: int) -> Theirs:
        """In one piece; what is sent is summed first, as who wants to know what he sends has to."""
        blob = Store(self._folder / "models").blobs.path(self.digest)
        summed = self._sum(blob)
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self._host)
        connection.request("POST", f"/v2/bench/curl{number}-{os.getpid()}/blobs/uploads/")
        location = connection.getresponse().headers["Location"]
        connection.close()
        url = urljoin(f"http://{self._host}/", location)
        kind = "Content-Type: application/octet-stream"
        _run("curl", "-sf", "-X", "PUT", "-T", str(blob), "-H", kind, f"{url}&digest={self.digest}")
        return Theirs(time.perf_counter() - began, summed)

    def _sum(self, path: Path) -> float:
        began = time.perf_counter()
        said = _run("sha256sum", str(path))
        assert said.split()[0] == self.digest.hex
        return time.perf_counter() - began

    def peak(self) -> float:
        """The most resident memory that the server's process had, in MB."""
        for line in Path(f"/proc/{self._server.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MB
        raise AssertionError("this kernel does not say")

    def _prepared(self, size: int) -> Digest:
        """Register a model `bench` of one layer."""
        store = Store(self._folder / "models")
        stored = store.blobs.put(None, (os.urandom(min(MB, size - at)) for at in range(0, size, MB)))
        store.blobs.put_bytes(CONFIG)
        config = Layer(manifest.CONFIG, str(Digest.of(CONFIG)), len(CONFIG))
        store.write(
            Name.parse("bench"), manifest.compose(config, [Layer(manifest.MODEL, str(stored.digest), size)])
        )
        return stored.digest

    def _forget(self) -> None:
        """The blob alone: what names it stays, and notices nothing as long as nobody runs it."""
        Store(self._folder / "models").blobs.path(self.digest).unlink()

    def _ask(self, path: str, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port)
        connection.request("POST", path, json.dumps({"model": name}))
        last = connection.getresponse().read().splitlines()[-1]
        connection.close()
        if json.loads(last) != {"status": "success"}:
            raise AssertionError(last)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout


if __name__ == "__main__":
    main()
