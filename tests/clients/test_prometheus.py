"""Debian's prometheus scrapes a server of ours."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support import debian
from tests.support.processes import until
from tests.support.server import Server, free_port

CONFIG = """\
scrape_configs:
- job_name: tropa
  scrape_interval: 1s
  scrape_timeout: 1s
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

Ask = Callable[..., Any]


@pytest.fixture
def prometheus(server: Server, tmp_path: Path) -> Iterator[Ask]:
    """Asks its API: a path below /api/v1, with parameters by name. What it found; None before it answers."""
    found = debian.program("prometheus", "usr/bin/prometheus")
    if found is None:
        pytest.skip("no prometheus: install Debian's package, or have apt-get download it")
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(port=server.port))
    command = [
        str(found),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def ask(path: str, **parameters: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            response = connection.getresponse()
            return json.loads(response.read())["data"] if response.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        yield ask
    finally:
        process.kill()
        process.wait()


def test_it_scrapes_and_answers_about_us(server: Server, prometheus: Ask) -> None:
    assert server.post("/api/generate", model="tiny", prompt="Hello!", stream=False).status == 200

    def target() -> Any:
        found = (prometheus("targets") or {}).get("activeTargets") or [{}]
        return found[0]

    until(lambda: target().get("health") in ("up", "down"), "it has scraped once")
    assert target()["health"] == "up", target()["lastError"]

    def value() -> Any:
        query = 'sum(tropa_http_requests_total{route="/api/generate"})'
        return (prometheus("query", query=query) or {}).get("result")

    until(value, "it knows of the request")
    assert float(value()[0]["value"][1]) == 1
