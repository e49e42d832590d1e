"""Open WebUI as it is published: its server, started for real, and its own HTTP interface."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import until
from tests.support.server import Answer, Server, free_port

COMMAND = Path(os.environ.get("TROPA_TEST_WEBUI") or Path(sys.prefix, "webui/bin/open-webui"))
STARTING = 120.0  # seconds: the first start of a fresh installation compiles all of it

ALONE = {
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "WEBUI_AUTH": "false",
    "WEBUI_SECRET_KEY": "one that only these tests know, and long",
    "CORS_ALLOW_ORIGIN": "*",
}
"""It asks nobody but our server for anything, and its one user is already signed in."""


@dataclass
class WebUI(Server):
    """One that answers. All that is asked of it is asked as its administrator."""

    token: str = ""

    @contextmanager
    def asking(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPConnection]:
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        with super().asking(method, path, body, own | dict(headers or {})) as connection:
            yield connection

    def give(self, path: str, file: Path, kind: str) -> Answer:
        """Upload a file, as a form does."""
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        return self.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def known(self) -> dict[str, dict[str, Any]]:
        """The models that its users may choose from, by id, asked anew of every connection."""
        return {model["id"]: model for model in self.get("/api/models?refresh=true").json["data"]}


@contextmanager
def starting(folder: Path, **settings: str) -> Iterator[WebUI]:
    """Open WebUI with these settings and nothing else of its own, ready, until the block ends."""
    assert COMMAND.exists(), f"no {COMMAND}: 'make test-heavy' installs it, TROPA_TEST_WEBUI names another"
    folder.mkdir()
    port, log = free_port(), folder / "said"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(COMMAND), "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | ALONE | {"DATA_DIR": str(folder / "data")} | settings,
        )
    webui = WebUI(process, port, folder, log)
    try:
        until(lambda: _ready(webui), "Open WebUI answers", within=STARTING)
        webui.token = webui.post("/api/v1/auths/signin", email="", password="").json["token"]
        yield webui
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(webui: WebUI) -> bool:
    assert webui.process.poll() is None, f"Open WebUI ended:\n{webui.log.read_text()[-5000:]}"
    try:
        return webui.get("/health").status == 200
    except OSError:
        return False
