"""The bodies of the native API: which fields there are and of what type. One table each."""

from __future__ import annotations

from typing import Any

from tropa.server.body import TOO_DEEP, BadRequest, parse
from tropa.server.fields import (
    Kind,
    ListOf,
    Object,
    anything,
    arguments,
    boolean,
    image,
    integer,
    mapping,
    string,
)
from tropa.server.toolfields import tool

_IMAGES = ListOf(image, "[]api.ImageData")

_TOOL_CALL = Object(
    {
        "id": string,
        "function": Object(
            {"index": integer, "name": string, "arguments": arguments}, "api.ToolCallFunction"
        ),
    },
    "api.ToolCall",
)

_MESSAGE = Object(
    {
        "role": string,
        "content": string,
        "thinking": string,
        "images": _IMAGES,
        "tool_calls": ListOf(_TOOL_CALL, "[]api.ToolCall"),
        "tool_name": string,
        "tool_call_id": string,
    },
    "api.Alias",
)

_SAMPLED: dict[str, Kind] = {
    "model": string,
    "stream": boolean,
    "format": anything,
    "keep_alive": anything,
    "options": mapping,
    "think": anything,
    "truncate": boolean,
    "shift": boolean,
    "logprobs": boolean,
    "top_logprobs": integer,
    "_debug_render_only": boolean,
    "explain": boolean,
}

BODIES: dict[str, Object] = {
    "GenerateRequest": Object(
        {
            **_SAMPLED,
            "prompt": string,
            "suffix": string,
            "system": string,
            "template": string,
            "context": ListOf(integer, "[]int"),
            "raw": boolean,
            "images": _IMAGES,
        }
    ),
    "ChatRequest": Object(
        {
            **_SAMPLED,
            "messages": ListOf(_MESSAGE, "[]api.Message"),
            "tools": ListOf(tool, "api.Tools"),
        }
    ),
    "EmbedRequest": Object(
        {
            "model": string,
            "input": anything,
            "truncate": boolean,
            "dimensions": integer,
            "keep_alive": anything,
            "options": mapping,
            "explain": boolean,
        }
    ),
    "RerankRequest": Object(
        {
            "model": string,
            "query": string,
            "documents": anything,
            "top_n": integer,
            "return_documents": boolean,
            "truncate": boolean,
            "keep_alive": anything,
            "options": mapping,
            "explain": boolean,
        }
    ),
    "EmbeddingRequest": Object(
        {
            "model": string,
            "prompt": string,
            "truncate": boolean,
            "keep_alive": anything,
            "options": mapping,
            "explain": boolean,
        }
    ),
    "CreateRequest": Object(
        {
            "model": string,
            "name": string,
            "stream": boolean,
            "from": string,
            "files": mapping,
            "adapters": mapping,
            "modelfile": string,
            "draft_files": mapping,
            "draft_quantize": string,
            "template": string,
            "system": string,
            "license": anything,
            "parameters": mapping,
            "messages": ListOf(_MESSAGE, "[]api.Message"),
            "quantize": string,
            "quantization": string,
            "renderer": string,
            "parser": string,
            "requires": string,
            "remote_host": string,
            "info": mapping,
        }
    ),
    "ShowRequest": Object(
        {"model": string, "name": string, "verbose": boolean, "system": string, "options": mapping}
    ),
    "PlanRequest": Object({"model": string, "options": mapping, "num_parallel": integer}),
    "PullRequest": Object(
        {"model": string, "name": string, "insecure": boolean, "stream": boolean, "dry_run": boolean}
    ),
    "PushRequest": Object({"model": string, "name": string, "insecure": boolean, "stream": boolean}),
    "CopyRequest": Object({"source": string, "destination": string}),
    "DeleteRequest": Object({"model": string, "name": string}),
}


def decode(kind: str, body: bytes) -> dict[str, Any]:
    """The fields that `body` sets. Raises BadRequest."""
    value = parse(body)
    try:
        return {} if value is None else BODIES[kind](value, kind)
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None
