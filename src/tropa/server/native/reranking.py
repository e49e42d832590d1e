"""`/api/rerank`, and `/v1/rerank` as the clients of hosted rerankers know it."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.server.explained import told, wanted
from tropa.server.native.inference import client_of
from tropa.server.requests import decode
from tropa.server.respond import read_body, send_json, while_connected
from tropa.service import keepalive
from tropa.service.asks import RerankAsk
from tropa.service.errors import InvalidRequest
from tropa.service.rerank import Reranked
from tropa.service.service import Service


async def native(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/rerank`"""
    fields = decode("RerankRequest", await read_body(receive))
    ask = _ask(fields, scope)
    done = await while_connected(receive, service.rerank(ask))
    answer: dict[str, Any] = {"model": ask.model, "results": _results(fields, ask, done)}
    if ask.documents:
        answer["total_duration"] = done.counts.total_ns
        answer["load_duration"] = done.counts.load_ns
        answer["prompt_eval_count"] = done.prompt_tokens
    if any(done.truncated):
        answer["truncated_tokens"] = done.truncated
    await send_json(send, answer | told(wanted(scope, fields.get("explain"))))


async def hosted(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /v1/rerank`"""
    fields = decode("RerankRequest", await read_body(receive))
    ask = _ask(fields, scope)
    if not ask.documents:
        raise InvalidRequest("documents is required: a list of texts")
    done = await while_connected(receive, service.rerank(ask))
    usage = {"prompt_tokens": done.prompt_tokens, "total_tokens": done.prompt_tokens}
    answer: dict[str, Any] = {
        "model": ask.model,
        "object": "list",
        "results": _results(fields, ask, done),
        "usage": usage,
    }
    if any(done.truncated):
        answer["truncated_tokens"] = done.truncated
    await send_json(send, answer | told(wanted(scope, fields.get("explain"))))


def _ask(fields: dict[str, Any], scope: Scope) -> RerankAsk:
    return RerankAsk(
        model=fields.get("model", ""),
        client=client_of(scope),
        query=fields.get("query", ""),
        documents=_documents(fields.get("documents")),
        options=fields.get("options", {}),
        keep_alive=keepalive.parse(fields.get("keep_alive")),
        truncate=fields.get("truncate"),
    )


def _documents(value: Any) -> list[str]:
    """Texts, or objects that have one."""
    texts = []
    for each in value if isinstance(value, list) else [] if value is None else [value]:
        text = each.get("text") if isinstance(each, dict) else each
        if not isinstance(text, str):
            raise InvalidRequest('documents must be a list of texts, or of objects with a "text"')
        texts.append(text)
    return texts


def _results(fields: dict[str, Any], ask: RerankAsk, done: Reranked) -> list[dict[str, Any]]:
    """Best first; equal scores keep the order of the documents."""
    most = fields.get("top_n") or len(done.scores)
    if most < 0:
        raise InvalidRequest("top_n must be at least 1")
    best = sorted(range(len(done.scores)), key=lambda index: -done.scores[index])[:most]
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": done.scores[index]} for index in best
    ]
    if fields.get("return_documents"):
        for result in results:
            result["document"] = {"text": ask.documents[result["index"]]}
    return results
