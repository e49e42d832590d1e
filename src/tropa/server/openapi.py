"""`/openapi.json` and `/docs`: what can be asked here, made from the tables that answer it.

Paths are those of the table of routes; native bodies those of `requests.py`; the dialects, which read their fields one
by one, have a table of them here (`dialectfields.py`), and a test sees that each is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from tropa import __version__
from tropa.server import fields, toolfields
from tropa.server.dialectfields import ANTHROPIC, OPENAI
from tropa.server.fields import Kind, ListOf, Object, Schema
from tropa.server.requests import BODIES
from tropa.server.respond import encode_json, send_bytes
from tropa.server.values import NULL, tightened

Json = dict[str, Any]

JSON, LINES, EVENTS, TEXT, NOTHING = (
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
    "",
)
BYTES = "application/octet-stream"
FORM = "multipart/form-data"


class About(NamedTuple):
    """What is said of a route. `body` names a schema, or is BYTES; `answers` are content types. A `form` is no JSON but
    fields and a file."""

    summary: str
    body: str = ""
    answers: Sequence[str] = (JSON,)
    status: int = 200
    form: bool = False


ABOUT: dict[tuple[str, str], About] = {
    ("GET", "/"): About("Is the server alive? Needs no key", answers=[TEXT]),
    ("HEAD", "/"): About("Is the server alive? Needs no key", answers=[NOTHING]),
    ("GET", "/api/version"): About("The version of the interface, and ours"),
    ("HEAD", "/api/version"): About("As GET, without the body", answers=[NOTHING]),
    ("GET", "/api/tags"): About("The models there are"),
    ("HEAD", "/api/tags"): About("As GET, without the body", answers=[NOTHING]),
    ("GET", "/api/ps"): About("The models that are loaded"),
    ("POST", "/api/generate"): About("Complete a prompt", "GenerateRequest", [LINES, JSON]),
    ("POST", "/api/chat"): About("Answer a conversation", "ChatRequest", [LINES, JSON]),
    ("POST", "/api/embed"): About("One vector per text", "EmbedRequest"),
    ("POST", "/api/embeddings"): About("The vector of one text (the older form)", "EmbeddingRequest"),
    ("POST", "/api/rerank"): About("One score per document", "RerankRequest"),
    ("POST", "/api/plan"): About("What loading a model now would lead to", "PlanRequest"),
    ("POST", "/api/show"): About("Everything about a model", "ShowRequest"),
    ("POST", "/api/create"): About(
        "Make a model of files or of another model", "CreateRequest", [LINES, JSON]
    ),
    ("POST", "/api/pull"): About("Fetch a model from a registry", "PullRequest", [LINES, JSON]),
    ("POST", "/api/push"): About("Send a model to a registry", "PushRequest", [LINES, JSON]),
    ("HEAD", "/api/blobs/{digest}"): About("Is this file there?", answers=[NOTHING]),
    ("POST", "/api/blobs/{digest}"): About("Upload a file", BYTES, [NOTHING], 201),
    ("POST", "/api/copy"): About("Give a model a second name", "CopyRequest", [NOTHING]),
    ("DELETE", "/api/delete"): About("Remove a model", "DeleteRequest", [NOTHING]),
    ("GET", "/api/files"): About("The files of the store"),
    ("GET", "/api/status"): About("Whether there is a cloud: no"),
    ("POST", "/api/me"): About("Who is signed in: nobody, there are no accounts", status=503),
    ("POST", "/api/signout"): About("Nobody is signed in", status=401),
    ("DELETE", "/api/user/keys/{key}"): About("Nobody is signed in", status=401),
    ("GET", "/api/experimental/model-recommendations"): About("No recommendations"),
    ("POST", "/api/experimental/web_search"): About("A cloud service: not here", status=403),
    ("POST", "/api/experimental/web_fetch"): About("A cloud service: not here", status=403),
    ("GET", "/metrics"): About("Counts for Prometheus", answers=[TEXT]),
    ("GET", "/openapi.json"): About("This document"),
    ("GET", "/docs"): About("This document as a page", answers=["text/html"]),
    ("POST", "/v1/chat/completions"): About("Answer a conversation", "OpenAIChat", [JSON, EVENTS]),
    ("POST", "/v1/completions"): About("Complete a prompt", "OpenAICompletion", [JSON, EVENTS]),
    ("POST", "/v1/embeddings"): About("One vector per text", "OpenAIEmbedding"),
    ("POST", "/v1/audio/transcriptions"): About(
        "Write down what is said in a recording", "OpenAITranscription", [JSON, TEXT, EVENTS], form=True
    ),
    ("POST", "/v1/rerank"): About("One score per document", "RerankRequest"),
    ("POST", "/v1/responses"): About("Answer a conversation", "OpenAIResponse", [JSON, EVENTS]),
    ("POST", "/v1/responses/input_tokens"): About("The tokens of a prompt", "OpenAIResponse"),
    ("GET", "/v1/responses/{response}"): About("A response of before: none is kept"),
    ("DELETE", "/v1/responses/{response}"): About("A response of before: none is kept"),
    ("GET", "/v1/models"): About("The models there are"),
    ("GET", "/v1/models/{model:path}"): About("One model"),
    ("POST", "/v1/messages"): About("Answer a conversation", "AnthropicMessages", [JSON, EVENTS]),
    ("POST", "/v1/messages/count_tokens"): About("The tokens of a conversation", "AnthropicCount"),
}

_ERRORS = {
    "400": "The request can't be understood, or asks for what the model can't do",
    "401": "An API key is required",
    "403": "The origin, the host name or the model is not allowed",
    "404": "There is no such model",
    "408": "The request body stopped coming",
    "413": "The request body is too large",
    "500": "The model or the engine failed",
    "501": "The engine can't do this with the model",
    "503": "The queue is full, or the server is stopping",
}
_KINDS: dict[Kind, Json] = {
    fields.string: {"type": ["string", "null"]},
    fields.boolean: {"type": ["boolean", "null"]},
    fields.integer: {"type": ["integer", "null"]},
    fields.anything: {},
    fields.mapping: {"type": ["object", "null"]},
    fields.arguments: {"type": ["object", "null"]},
    fields.image: {"type": ["string", "array", "null"], "description": "Base64, or a list of bytes"},
}


def schema(kind: Kind) -> Json:
    """What a kind of field takes. `null` is always the same as leaving a field out."""
    match kind:
        case Object():
            return {"type": ["object", "null"], "properties": {n: schema(k) for n, k in kind.fields.items()}}
        case Schema():
            return {"type": ["object", "null"], "properties": {n: schema(k) for n, k in kind.fields.items()}}
        case ListOf():
            return {"type": ["array", "null"], "items": schema(kind.item)}
        case toolfields.tool:
            return schema(toolfields.FIELDS)
        case _:
            return _KINDS.get(kind, {})


def document(routes: Iterable[tuple[str, str]]) -> Json:
    """The whole document, of these methods and paths."""
    paths: dict[str, Json] = {}
    for method, path in routes:
        shown = re.sub(r":\w+\}", "}", path)
        paths.setdefault(shown, {})[method.lower()] = _operation(method, path)
    native = {name: {**schema(body), "type": "object"} for name, body in BODIES.items()}
    bodies = {name: tightened(name, body) for name, body in {**native, **OPENAI, **ANTHROPIC}.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tropa", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**bodies, **_ENVELOPES},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


_TEXT: Json = {"type": "string"}
_ENVELOPES: dict[str, Json] = {
    "Error": {"type": "object", "properties": {"error": _TEXT}, "required": ["error"]},
    "OpenAIError": {
        "type": "object",
        "properties": {"error": {"type": "object", "properties": {"message": _TEXT, "type": _TEXT}}},
        "required": ["error"],
    },
    "AnthropicError": {
        "type": "object",
        "properties": {
            "type": {"const": "error"},
            "error": {"type": "object", "properties": {"message": _TEXT, "type": _TEXT}},
            "request_id": _TEXT,
        },
        "required": ["type", "error"],
    },
}


def _operation(method: str, path: str) -> Json:
    about = ABOUT.get((method, path), About(""))
    group, envelope = _dialect(path)
    found: Json = {"summary": about.summary, "tags": [group], "operationId": _ident(method, path)}
    names = re.findall(r"\{(\w+)", path)
    if names:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if about.body:
        kind = FORM if about.form else JSON
        content = {BYTES: {}} if about.body == BYTES else {kind: {"schema": {"$ref": _ref(about.body)}}}
        found["requestBody"] = {"required": True, "content": content}
    answer: Json = {"description": "Done"}
    if types := [kind for kind in about.answers if kind]:
        answer["content"] = {kind: {} for kind in types}
    found["responses"] = {str(about.status): answer}
    if about.body == BYTES:
        found["responses"]["200"] = {"description": "It was there already"}
    if path != "/":
        shown = {} if method == "HEAD" else {"content": {JSON: {"schema": {"$ref": _ref(envelope)}}}}
        found["responses"] |= {status: {"description": text, **shown} for status, text in _ERRORS.items()}
    return found


def _dialect(path: str) -> tuple[str, str]:
    """A heading, and the schema of errors."""
    if path.startswith("/v1/messages"):
        return "Anthropic", "AnthropicError"
    return ("OpenAI", "OpenAIError") if path.startswith("/v1/") else ("Native", "Error")


def _ident(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall(r"\w+", path.replace(":path", ""))])


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"


class Described:
    """The two routes. Both texts are made when they are first asked for."""

    def __init__(self) -> None:
        self.routes: Sequence[tuple[str, str]] = ()
        """Methods and paths: whoever has them all sets them."""
        self._document: Json | None = None

    async def json(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /openapi.json`"""
        await send_bytes(send, encode_json(self._made()))

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /docs`: one page that loads nothing else and runs no program."""
        policy = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
        await send_bytes(send, page(self._made()).encode(), 200, b"text/html; charset=utf-8", policy)

    def _made(self) -> Json:
        if self._document is None:
            self._document = document(self.routes)
        return self._document


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .3rem 0 } code { font-size: .95em } b { display: inline-block; width: 4.5rem }
table { border-collapse: collapse; margin: .3rem 0 1rem 1.2rem } td { padding: .1rem 1.2rem .1rem 0 }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #dcdfe4 } a { color: #8ab4f8 } }
"""


def page(document: Json) -> str:
    """The document for people."""
    version = escape(document["info"]["version"])
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Tropa {version}</title><style>{_STYLE}</style><h1>Tropa {version}</h1>",
        "<p>What this server answers. For programs: <a href=/openapi.json>openapi.json</a>.",
    ]
    for group in ("Native", "OpenAI", "Anthropic"):
        parts.append(f"<h2>{group}</h2>")
        for path, methods in document["paths"].items():
            parts += [
                _shown(method, path, each, document["components"]["schemas"])
                for method, each in methods.items()
                if group in each["tags"]
            ]
    return "".join(parts)


def _shown(method: str, path: str, operation: Json, schemas: Json) -> str:
    head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    content = next(iter(operation.get("requestBody", {}).get("content", {}).values()), None)
    rows = []
    if content:
        body = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        rows = [
            f"<tr><td><code>{escape(name)}</code><td>{escape(_type(each))}<td>{escape(each.get('description', ''))}"
            for name, each in body["properties"].items()
        ]
    answers = ", ".join(
        kind
        for answer in operation["responses"].values()
        for kind, found in answer.get("content", {}).items()
        if "schema" not in found  # which errors have
    )
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return f"<details><summary>{head}</summary>{table}<p>Answer: {escape(answers) or 'no body'}</details>"


def _type(found: Json) -> str:
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(_type(kind) for kind in found["anyOf"] if kind != NULL)) or "nothing"
    if "enum" in found:
        return " or ".join(map(json.dumps, found["enum"]))
    kinds = found.get("type", "anything")
    return kinds if isinstance(kinds, str) else " or ".join(kind for kind in kinds if kind != "null")
