"""Which models there are, and making, copying and removing them: tags, show, create, blobs, copy, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from tropa.errors import TropaError
from tropa.library.create import create as create_model
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, CloudDisabled, ModelNotFound
from tropa.library.library import Library
from tropa.library.model import Model
from tropa.library.name import InvalidName, Name, source
from tropa.library.recipe import recipe
from tropa.library.show import show as show_model
from tropa.library.status import SUCCESS, Status
from tropa.server.clock import local
from tropa.server.native.details import details
from tropa.server.native.modelfile import translated
from tropa.server.native.steps import in_threads
from tropa.server.native.transfer import Transfers
from tropa.server.requests import decode
from tropa.server.respond import (
    ClientGone,
    read_body,
    send_bytes,
    send_error,
    send_json,
    send_lines,
    while_connected,
)
from tropa.service.errors import InvalidRequest

_COPILOT = "GitHubCopilotChat/"
"""This client calls a model by what `general.basename` says, so it is told the name it asked for."""
UPLOAD_PIECE = 1 << 20  # bytes gathered before a thread writes them


async def tags(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/tags`"""
    models = await asyncio.to_thread(library.models)
    await send_json(send, {"models": [_tag(model) for model in models]})


def _tag(model: Model) -> dict[str, Any]:
    more = {"context_length": model.context_length, "embedding_length": model.embedding_length}
    entry: dict[str, Any] = {"name": model.name.short, "model": model.name.short}
    if model.remote_host:
        entry |= {"remote_model": model.remote_model, "remote_host": model.remote_host}
    entry |= {
        "modified_at": local(model.modified),
        "size": model.size,
        "digest": model.id,
        "details": details(model) | {key: value for key, value in more.items() if value},
    }
    if model.capabilities:
        entry["capabilities"] = model.capabilities
    return entry


async def show(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/show`"""
    fields = decode("ShowRequest", await read_body(receive))
    text = (fields.get("model") or fields.get("name") or "").strip()
    if not text:
        raise InvalidRequest("model is required")
    try:
        model = await asyncio.to_thread(library.find, text)
    except ModelNotFound as exc:
        raise ModelNotFound(text, f"model '{Name.parse(source(text)[0]).short}' not found") from exc
    except CloudDisabled as exc:
        raise CloudDisabled("ollama cloud is disabled: remote model details are unavailable") from exc
    shown = await asyncio.to_thread(
        partial(
            show_model,
            model,
            verbose=fields.get("verbose", False),
            system=fields.get("system"),
            options=fields.get("options"),
        )
    )
    info = dict(shown.model_info)
    if Headers(scope=scope).get("user-agent", "").startswith(_COPILOT):
        info["general.basename"] = text
    answer: dict[str, Any] = {
        "license": shown.license,
        "modelfile": shown.modelfile,
        "parameters": shown.parameters,
        "template": shown.template,
        "system": shown.system,
        "details": details(model),
        "messages": [{"role": each.role, "content": each.content} for each in model.messages],
        "model_info": info,
        "projector_info": shown.projector_info,
        "tensors": shown.tensors,
        "capabilities": model.capabilities,
        "modified_at": local(model.modified),
        "requires": model.requires,
    }
    always = ("modelfile", "details", "model_info", "modified_at")
    await send_json(send, {key: value for key, value in answer.items() if value or key in always})


async def create(library: Library, transfers: Transfers, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/create`. A base that is not here is pulled first."""
    fields = decode("CreateRequest", await read_body(receive))
    stream = fields.pop("stream", True)
    try:
        wanted = await asyncio.to_thread(lambda: recipe(translated(fields)))  # a template may be large
        steps = create_model(library, wanted, pull=transfers.base)
        await while_connected(receive, _tell(send, steps, stream))
    except TropaError as exc:  # before the first status, or without a stream
        await send_error(send, exc, b"application/json")


async def _tell(send: Send, steps: Generator[Status, None, None], stream: bool) -> None:
    if stream:
        await send_lines(send, _lines(steps))
        return
    async with aclosing(in_threads(steps)) as statuses:
        async for _ in statuses:
            pass
    await send_bytes(send, msgspec.json.encode(SUCCESS), content_type=b"application/json")


async def _lines(steps: Generator[Status, None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(in_threads(steps)) as statuses:
        async for status in statuses:
            yield msgspec.json.encode(status) + b"\n"


async def head_blob(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`HEAD /api/blobs/:digest`"""
    digest = Digest.parse(scope["path_params"]["digest"])
    if not library.store.blobs.has(digest):
        raise BlobNotFound(digest)
    await send_bytes(send, b"")


async def post_blob(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/blobs/:digest`: the body is the file; it gets its name when it was hashed and is whole."""
    digest = Digest.parse(scope["path_params"]["digest"])
    if library.store.blobs.keep(digest):
        await send_bytes(send, b"")
        return
    writer = await asyncio.to_thread(library.store.blobs.writer, digest)
    try:
        piece = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece += message.get("body", b"")
            more = message.get("more_body", False)
            if len(piece) >= UPLOAD_PIECE or not more:
                await asyncio.to_thread(writer.write, bytes(piece))
                piece.clear()
        await asyncio.to_thread(writer.commit)
    finally:
        await asyncio.to_thread(writer.abort)  # nothing, once committed
    await send_bytes(send, b"", 201)


async def copy(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/copy`"""
    fields = decode("CopyRequest", await read_body(receive))
    await asyncio.to_thread(library.copy, fields.get("source", ""), fields.get("destination", ""))
    await send_bytes(send, b"")


async def delete(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """`DELETE /api/delete`"""
    fields = decode("DeleteRequest", await read_body(receive))
    text = fields.get("model") or fields.get("name") or ""
    if not text.strip():
        raise InvalidRequest("model is required")
    source(text)  # two suffixes have an error of their own
    try:
        await asyncio.to_thread(library.delete, text)
    except InvalidName as exc:
        raise InvalidName(text, f'name "{text}" is invalid') from exc
    await send_bytes(send, b"")
