"""`list` and `ps`. Scripts cut these tables into fields, so what we know beyond the reference comes last."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from tropa.cli.command import Call
from tropa.cli.files import list_files
from tropa.cli.target import client
from tropa.text.relative import format_relative, parse_time
from tropa.text.sizes import format_size
from tropa.text.table import format_table


def list_models(call: Call) -> int:
    if call.on("files"):
        return list_files(call)
    sys.stdout.write(model_table(client().get("/api/tags"), _prefix(call)))
    return 0


def list_running(call: Call) -> int:
    sys.stdout.write(running_table(client().get("/api/ps"), _prefix(call)))
    return 0


def model_table(answer: dict[str, Any], prefix: str = "", now: datetime | None = None) -> str:
    """What `list` prints for an answer of `GET /api/tags`."""
    now = now or _now()
    rows = [
        (
            _name(model),
            _id(model),
            "-" if model.get("remote_model") else format_size(model.get("size", 0)),
            format_relative(_time(model.get("modified_at")), now),
        )
        for model in answer.get("models") or []
        if _name(model).lower().startswith(prefix.lower())
    ]
    return format_table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


def running_table(answer: dict[str, Any], prefix: str = "", now: datetime | None = None) -> str:
    """What `ps` prints for an answer of `GET /api/ps`; slots and waiting requests if the server tells."""
    now = now or _now()
    models = [model for model in answer.get("models") or [] if _name(model).startswith(prefix)]
    titles = ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    rows = [_running(model, now) for model in models]
    for title, key in (("SLOTS", "slots"), ("WAITING", "waiting")):
        if any(key in model for model in models):
            titles.append(title)
            rows = [[*row, _extra(model, key)] for row, model in zip(rows, models, strict=True)]
    return format_table(titles, rows)


def _running(model: dict[str, Any], now: datetime) -> list[str]:
    size, on_gpu = model.get("size", 0), model.get("size_vram", 0)
    return [
        _name(model),
        _id(model),
        format_size(size),
        processor(size, on_gpu),
        str(model.get("context_length", 0)),
        _until(_time(model.get("expires_at")), now),
    ]


def processor(size: int, on_gpu: int) -> str:
    if on_gpu == 0:
        return "100% CPU"
    if on_gpu == size:
        return "100% GPU"
    if on_gpu > size or size == 0:
        return "Unknown"
    cpu = int((size - on_gpu) / size * 100 + 0.5)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def _until(expires: datetime | None, now: datetime) -> str:
    if expires is None or expires < now:
        return "Stopping..."
    return format_relative(expires, now)


def _extra(model: dict[str, Any], key: str) -> str:
    """`3/4` slots in use where the server says how many are."""
    value = model.get(key, "-")
    return f"{model['slots_busy']}/{value}" if key == "slots" and "slots_busy" in model else str(value)


def _name(model: dict[str, Any]) -> str:
    return str(model.get("name", ""))


def _id(model: dict[str, Any]) -> str:
    return str(model.get("digest", ""))[:12]


def _time(text: object) -> datetime | None:
    """None also for what is no time: a list is better than a complaint."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _now() -> datetime:
    return datetime.now().astimezone()


def _prefix(call: Call) -> str:
    return call.args[0] if call.args else ""
