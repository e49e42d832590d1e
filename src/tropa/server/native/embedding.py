"""`/api/embed` and the older `/api/embeddings`."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.library.errors import ModelNotFound
from tropa.server.explained import told, wanted
from tropa.server.native.inference import client_of
from tropa.server.requests import decode
from tropa.server.respond import JSON, encode_json, read_body, send_bytes, while_connected
from tropa.service import keepalive
from tropa.service.asks import EmbedAsk
from tropa.service.embed import Embedded
from tropa.service.errors import InvalidRequest
from tropa.service.service import Service


async def embed(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/embed`"""
    fields = decode("EmbedRequest", await read_body(receive))
    ask = EmbedAsk(
        model=fields.get("model", ""),
        client=client_of(scope),
        inputs=_inputs(fields.get("input")),
        options=fields.get("options", {}),
        keep_alive=keepalive.parse(fields.get("keep_alive")),
        truncate=fields.get("truncate", True),  # unlike everywhere else: clients count on it, and are told
        dimensions=fields.get("dimensions", 0),
    )
    done = await while_connected(receive, _embedded(service, ask))
    answer: dict[str, Any] = {"model": ask.model, "embeddings": done.vectors}
    if ask.inputs:
        answer["total_duration"] = done.counts.total_ns
        answer["load_duration"] = done.counts.load_ns
        answer["prompt_eval_count"] = done.prompt_tokens
    if any(done.truncated):
        answer["truncated_tokens"] = done.truncated  # beyond the reference: nothing is cut in silence
    answer |= told(wanted(scope, fields.get("explain")))
    await send_bytes(send, encode_json(answer), 200, JSON, *_headers(done))


async def embeddings(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/embeddings`: one text, cut only for who says so; the reference's has no such field."""
    fields = decode("EmbeddingRequest", await read_body(receive))
    if not fields.get("model", "").strip():
        raise InvalidRequest("model is required")
    text = fields.get("prompt", "")
    ask = EmbedAsk(
        model=fields["model"],
        client=client_of(scope),
        inputs=[text] if text else [],
        options=fields.get("options", {}),
        keep_alive=keepalive.parse(fields.get("keep_alive")),
        truncate=fields.get("truncate"),
    )
    done = await while_connected(receive, _embedded(service, ask))
    answer: dict[str, Any] = {"embedding": done.vectors[0] if done.vectors else []}
    answer |= told(wanted(scope, fields.get("explain")))
    await send_bytes(send, encode_json(answer), 200, JSON, *_headers(done))


def _headers(done: Embedded) -> list[tuple[bytes, bytes]]:
    """Says what was cut."""
    if not any(done.truncated):
        return []
    texts = sum(map(bool, done.truncated))
    return [(b"tropa-truncated", f"texts={texts}, tokens={sum(done.truncated)}".encode())]


async def _embedded(service: Service, ask: EmbedAsk) -> Embedded:
    try:
        return await service.embed(ask)
    except ModelNotFound as exc:
        if not ask.model.strip():
            raise
        raise ModelNotFound(ask.model, f'model "{ask.model}" not found, try pulling it first') from exc


def _inputs(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    raise InvalidRequest("invalid input type")
