"""`pull`: fetch a model; or say how large it is (`--dry-run`)."""

from __future__ import annotations

import sys
from contextlib import closing

from tropa.cli.command import Call
from tropa.cli.ownserver import server_running
from tropa.cli.progress import Progress
from tropa.cli.target import client
from tropa.client.client import Client, Json
from tropa.text.progress import Bar
from tropa.text.sizes import format_size
from tropa.text.table import format_table


def pull(call: Call) -> int:
    (model,) = call.args
    server = client()
    with server_running(server):
        if call.on("dry-run"):
            _say_sizes(server, model, insecure=call.on("insecure"))
        else:
            pull_model(server, model, insecure=call.on("insecure"))
    return 0


def pull_model(server: Client, model: str, *, insecure: bool) -> None:
    """Raises ServerError if it cannot be had."""
    transfer(server, "/api/pull", {"model": model, "name": model, "insecure": insecure})


def transfer(server: Client, path: str, body: dict[str, object]) -> None:
    """Have the server pull or push, with a bar for each layer. Piped elsewhere: a line for each event."""
    with Progress(keep=True, told=True) as progress:
        bars = _Bars(progress)
        with closing(server.stream(path, body)) as records:
            for record in records:
                bars.show(record)


class _Bars:
    """Layers are told apart by digest. One that is here already, or empty, has its bar too."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, Bar] = {}

    def show(self, record: Json) -> None:
        status, digest = str(record.get("status", "")), str(record.get("digest", ""))
        if not digest:
            self._progress.status(status)
            return
        total, done = record.get("total") or 0, record.get("completed") or 0
        bar = self._bars.get(digest)
        if bar is None:
            # What an earlier attempt fetched is no part of this one's rate.
            bar = self._bars[digest] = self._progress.bar(f"{status}:", total, done)
        self._progress.move(bar, done)


def _say_sizes(server: Client, model: str, *, insecure: bool) -> None:
    body = {"model": model, "name": model, "insecure": insecure, "dry_run": True}
    rows, total, missing = [], 0, 0
    with closing(server.stream("/api/pull", body)) as records:
        for record in records:
            if not record.get("digest"):
                continue
            size, here = record.get("total") or 0, record.get("completed") or 0
            kind, _, layer = str(record.get("status", "")).partition(" ")
            total, missing = total + size, missing + size - here
            rows.append([layer, kind, format_size(size), format_size(size - here)])
    sys.stdout.write(format_table(["LAYER", "TYPE", "SIZE", "TO FETCH"], rows))
    sys.stdout.write(f"\n{format_size(total)} in all, {format_size(missing)} to fetch\n")
