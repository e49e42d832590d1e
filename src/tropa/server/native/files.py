"""`GET /api/files`: which files the models are made of, and which they share. Not in the reference."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.library.library import Library
from tropa.library.usage import File, Usage, usage
from tropa.server.respond import send_json


async def files(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/files`"""
    listed = await asyncio.to_thread(usage, library)
    await send_json(send, {"models": [_model(each) for each in listed]})


def _model(model: Usage) -> dict[str, Any]:
    problem = {"problem": model.problem} if model.problem else {}
    return {"name": model.name.short, "files": [_file(file) for file in model.files], **problem}


def _file(file: File) -> dict[str, Any]:
    missing = {"missing": True} if file.missing else {}
    return {
        "kind": file.kind,
        "digest": str(file.digest),
        "size": file.size,
        "path": str(file.path),
        "shared_with": [name.short for name in file.others],
        **({"sharing": file.sharing.value} if file.sharing else {}),
        **missing,
    }
