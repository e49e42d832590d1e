"""`GET /v1/models` and `/v1/models/NAME`: for clients of OpenAI, and under the same path for those of Anthropic."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.library.errors import ModelNotFound
from tropa.library.library import Library
from tropa.library.model import Model
from tropa.library.name import Name, source
from tropa.server import anthropic
from tropa.server.respond import send_json

JSON = b"application/json"


async def models(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """All models, the newest first as in tags."""
    found = await asyncio.to_thread(library.models)
    if anthropic.asks(scope):
        data = [_anthropic(model, model.name.short) for model in found]
        ends = (
            {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
            if data
            else {"first_id": None, "last_id": None}
        )
        await send_json(send, {"data": data, "has_more": False, **ends}, content_type=JSON)
        return
    data = [_openai(model, model.name.short) for model in found]
    await send_json(send, {"object": "list", "data": data}, content_type=JSON)


async def model(library: Library, scope: Scope, receive: Receive, send: Send) -> None:
    """One model, under the name by which it was asked for."""
    asked: str = scope["path_params"]["model"]
    try:
        found = await asyncio.to_thread(library.find, asked)
    except ModelNotFound as exc:
        raise ModelNotFound(asked, f"model '{Name.parse(source(asked)[0]).short}' not found") from exc
    described = _anthropic(found, asked) if anthropic.asks(scope) else _openai(found, asked)
    await send_json(send, described, content_type=JSON)


def _openai(model: Model, ident: str) -> dict[str, Any]:
    created = int(model.modified.timestamp())
    return {"id": ident, "object": "model", "created": created, "owned_by": model.name.namespace}


def _anthropic(model: Model, ident: str) -> dict[str, Any]:
    created = datetime.fromtimestamp(int(model.modified.timestamp()), UTC)
    described: dict[str, Any] = {"type": "model", "id": ident, "display_name": model.name.short}
    described["created_at"] = created.isoformat().replace("+00:00", "Z")
    if model.context_length:
        described["max_input_tokens"] = model.context_length
    return described
