"""`POST /v1/embeddings`"""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from tropa.library.errors import ModelNotFound
from tropa.server.explained import told, wanted
from tropa.server.native.inference import client_of
from tropa.server.packed import unpacked
from tropa.server.reading import BadField, Fields, kind_of, read
from tropa.server.respond import send_json, while_connected
from tropa.service import keepalive
from tropa.service.asks import EmbedAsk
from tropa.service.service import Service

JSON = b"application/json"


async def embeddings(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One vector per text, as numbers or as base64 of little-endian 32-bit floats."""
    fields = read(await unpacked(scope, receive))
    encoding = fields.text("encoding_format") or "float"
    if encoding.lower() not in ("float", "base64"):
        raise BadField(
            fields.at("encoding_format"),
            f"Invalid value for 'encoding_format' = {encoding[:80]}. Supported values: ['float', 'base64'].",
        )
    explain = wanted(scope, fields.flag("explain"))
    ask = EmbedAsk(
        model=fields.required_text("model"),
        client=client_of(scope),
        inputs=_inputs(fields),
        options=fields.mapping("options") or {},
        keep_alive=keepalive.parse(fields.get("keep_alive")),
        truncate=fields.flag("truncate"),
        dimensions=fields.integer("dimensions", 1) or 0,
    )
    try:
        done = await while_connected(receive, service.embed(ask))
    except ModelNotFound as exc:
        raise ModelNotFound(ask.model, f'model "{ask.model}" not found, try pulling it first') from exc
    asked = ask.dimensions
    if done.vectors and asked > len(done.vectors[0]):
        raise BadField(
            fields.at("dimensions"), f"is {asked}: this model's vectors have {len(done.vectors[0])}"
        )
    written = _base64 if encoding.lower() == "base64" else _as_it_is
    answer: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": written(vector), "index": index}
            for index, vector in enumerate(done.vectors)
        ],
        "model": ask.model,
        "usage": {"prompt_tokens": done.prompt_tokens, "total_tokens": done.prompt_tokens},
    }
    if any(done.truncated):
        answer["truncated_tokens"] = list(done.truncated)  # beyond the dialect: nothing is cut in silence
    answer |= told(explain)
    await send_json(send, answer, content_type=JSON)


def _inputs(fields: Fields) -> list[str]:
    value = fields.get("input")
    if value is None or value == []:
        raise BadField(fields.at("input"), "invalid input: a text or a list of texts is required")
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        if all(isinstance(text, str) for text in value):
            return value
        if all(isinstance(token, int | list) and not isinstance(token, bool) for token in value):
            raise BadField(
                fields.at("input"), "invalid input type: lists of tokens are not supported, send the text"
            )
    what = "a list of other things" if isinstance(value, list) else kind_of(value)
    raise BadField(
        fields.at("input"), f"invalid input type: must be a string or a list of strings, not {what}"
    )


def _as_it_is(vector: msgspec.Raw) -> msgspec.Raw:
    return vector


def _base64(vector: msgspec.Raw) -> str:
    numbers = array("f", _numbers(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


_numbers = msgspec.json.Decoder(list[float]).decode
