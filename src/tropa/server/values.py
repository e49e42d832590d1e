"""What the fields of the main inference routes may hold, beyond their bare types: for the document that describes them.

A client generated from the document, or a program that makes up requests of it, gets no 400 for a body of this form
(tests/server/test_openapi.py makes some up). The reading is done elsewhere, and takes more: other letter case, `null`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tropa.service import options

Json = dict[str, Any]

NULL: Json = {"type": "null"}
TEXT: Json = {"type": "string"}
SOME: Json = {"type": "string", "minLength": 1}
FLAG: Json = {"type": "boolean"}
OBJECT: Json = {"type": "object"}
MOST = 1 << 31


def either(*kinds: Json, told: str = "") -> Json:
    """One of these, or nothing."""
    return {"anyOf": [*kinds, NULL], **({"description": told} if told else {})}


def listed(item: Json, least: int = 0) -> Json:
    return {"type": "array", "items": item, **({"minItems": least} if least else {})}


def between(kind: str, least: float, most: float) -> Json:
    return {"type": kind, "minimum": least, "maximum": most}


def words(*among: str) -> Json:
    return {"type": "string", "enum": [*among]}


def record(needed: str, **fields: Json) -> Json:
    """An object; `needed` are the names that have to be there."""
    return {"type": "object", "properties": fields, "required": needed.split()}


_BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
MODEL = {**SOME, "description": "[[host/]namespace/]name[:tag], such as tiny"}
IMAGE: Json = {
    "type": "string",
    "pattern": f"^{_BASE64}$",
    "description": "Base64; a list of bytes is taken, too",
}
TEXTS = either(TEXT, listed(TEXT))
KEEP_ALIVE = either(
    between("number", -1, 1e9),
    {"type": "string", "pattern": "^-?[0-9]{1,6}(ms|s|m|h)$"},
    told="Seconds, or a duration such as 5m; negative: for ever; 0: not at all",
)
THINK = either(FLAG, words("low", "medium", "high", "max"))
FORMAT = either(words("json", ""), OBJECT, told="json, or a JSON schema")
_RANGES: dict[str, tuple[int, int]] = {
    "num_ctx": (1, options.MOST_CONTEXT),
    "num_batch": (1, 1 << 16),
    "num_thread": (0, 1024),
    "main_gpu": (0, 127),
}
POSITIVE = either(between("number", 0.001, 1e9))
OPTIONS: Json = {
    "type": ["object", "null"],
    "properties": {
        **{
            name: either(between("number", *_RANGES.get(name, (-MOST, MOST))))
            for name in sorted(options.INTEGERS)
        },
        **{name: either(between("number", -1e9, 1e9)) for name in sorted(options.FLOATS)},
        **{name: either(FLAG) for name in sorted(options.BOOLEANS)},
        "repeat_penalty": POSITIVE,
        "stop": either(listed(TEXT)),
    },
}
ALTERNATIVES = either(between("integer", 0, 20))
ARGUMENTS: Json = {
    "type": "string",
    "contentMediaType": "application/json",
    "enum": ["{}", '{"city":"Paris"}'],
    "description": "Any JSON object, written as text",
}
PARAMETERS = record(
    "", type=words("object"), properties={"type": "object", "additionalProperties": record("")}
)
FUNCTION = record("name", name=SOME, description=either(TEXT), parameters=PARAMETERS)
TOOL = record("type function", type=words("function"), function=FUNCTION)

NATIVE_MESSAGE = record(
    "role content",
    role=words("system", "user", "assistant", "tool"),
    content=TEXT,
    thinking=either(TEXT),
    images=either(listed(IMAGE)),
    tool_calls=either(
        listed(record("function", function=record("name", name=TEXT, arguments=either(OBJECT))))
    ),
    tool_name=either(TEXT),
    tool_call_id=either(TEXT),
)
_NATIVE: dict[str, Json] = {
    "model": MODEL,
    "format": FORMAT,
    "keep_alive": KEEP_ALIVE,
    "options": OPTIONS,
    "think": THINK,
    "top_logprobs": ALTERNATIVES,
    "images": either(listed(IMAGE)),
    "context": either(listed(between("integer", 0, MOST))),
    "messages": either(listed(NATIVE_MESSAGE)),
    "tools": either(listed(TOOL)),
    "dimensions": either(between("integer", 0, MOST)),
    "documents": listed(TEXT, 1),
    "query": SOME,
    "top_n": either(between("integer", 0, MOST)),
}

_PARTS = listed(
    {
        "anyOf": [
            record("type text", type=words("text"), text=TEXT),
            record(
                "type image_url",
                type=words("image_url"),
                image_url=record(
                    "url", url={"type": "string", "pattern": f"^data:image/png;base64,{_BASE64}$"}
                ),
            ),
        ]
    }
)
_CALL = record(
    "function",
    id=either(TEXT),
    type=words("function"),
    function=record("name arguments", name=SOME, arguments=ARGUMENTS),
)
OPENAI_MESSAGE: Json = {
    "anyOf": [
        record("role content", role=words("system", "developer", "user"), content={"anyOf": [TEXT, _PARTS]}),
        record(
            "role content",
            role=words("assistant"),
            content=TEXT,
            reasoning=either(TEXT),
            reasoning_content=either(TEXT),
            tool_calls=either(listed(_CALL)),
        ),
        record(
            "role content", role=words("tool"), content=TEXT, name=either(TEXT), tool_call_id=either(TEXT)
        ),
    ]
}
_FORMS = {
    "anyOf": [
        record("type", type=words("text", "json_object")),
        record("type json_schema", type=words("json_schema"), json_schema=record("schema", schema=OBJECT)),
        NULL,
    ]
}
_NUMBER = either(between("number", -1e9, 1e9))
_WHOLE = either(between("integer", -MOST, MOST))
_LIMIT = either(between("integer", -1, MOST))
_OPENAI: dict[str, Json] = {
    "model": MODEL,
    "messages": listed(OPENAI_MESSAGE, 1),
    "tools": either(listed(TOOL)),
    "tool_choice": either(
        words("none", "auto"), told='Or "required", or the object that names a function of `tools`'
    ),
    "response_format": _FORMS,
    "reasoning_effort": either(words("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "reasoning": either(
        record("", effort=either(words("none", "minimal", "low", "medium", "high", "xhigh", "max")))
    ),
    "stream_options": either(record("", include_usage=either(FLAG))),
    "chat_template_kwargs": {**record("", enable_thinking=either(FLAG)), "additionalProperties": False},
    "modalities": either(listed(words("text"), 1)),
    "logit_bias": either(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,5}$"},
            "additionalProperties": between("number", -100, 100),
        }
    ),
    "n": either(between("integer", 1, 128)),
    "best_of": either(between("integer", 1, 128), told="The same as `n`"),
    "top_logprobs": ALTERNATIVES,
    "stop": TEXTS,
    "think": THINK,
    "keep_alive": KEEP_ALIVE,
    "options": OPTIONS,
    "prompt": TEXTS,
    "input": {"anyOf": [TEXT, listed(TEXT, 1)]},
    "encoding_format": either(words("float", "base64")),
    "dimensions": either(between("integer", 1, MOST)),
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), _NUMBER),
    **dict.fromkeys(("min_p", "typical_p"), _NUMBER),
    "repeat_penalty": POSITIVE,
    **dict.fromkeys(("seed", "top_k", "num_keep", "num_predict", "num_gpu", "repeat_last_n"), _WHOLE),
    **{name: either(between("integer", *limits)) for name, limits in _RANGES.items()},
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), _LIMIT),
}

_BLOCKS = listed(record("type text", type=words("text"), text=SOME), 1)
_ANTHROPIC: dict[str, Json] = {
    "model": MODEL,
    "messages": listed(
        record("role content", role=words("user", "assistant"), content={"anyOf": [SOME, _BLOCKS]}), 1
    ),
    "system": either(TEXT, _BLOCKS),
    "max_tokens": between("integer", 1, MOST),
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _WHOLE,
    "stop_sequences": TEXTS,
    "tools": either(
        listed(record("name input_schema", name=SOME, description=either(TEXT), input_schema=PARAMETERS))
    ),
    "tool_choice": either(record("type", type=words("auto", "none"))),
    "thinking": either(record("type", type=words("disabled"))),
    "output_config": either(record("")),
    "output_format": NULL,
    "keep_alive": KEEP_ALIVE,
    "options": OPTIONS,
}

VALUES: Mapping[str, tuple[Mapping[str, Json], Sequence[str]]] = {
    "GenerateRequest": (_NATIVE, ["model"]),
    "ChatRequest": (_NATIVE, ["model"]),
    "EmbedRequest": ({**_NATIVE, "input": TEXTS}, ["model", "input"]),
    "EmbeddingRequest": (_NATIVE, ["model"]),
    "RerankRequest": (_NATIVE, ["model", "query", "documents"]),
    "OpenAIChat": (_OPENAI, ["model", "messages"]),
    "OpenAICompletion": ({**_OPENAI, "logprobs": ALTERNATIVES}, ["model"]),
    "OpenAIEmbedding": (_OPENAI, ["model", "input"]),
    "AnthropicMessages": (_ANTHROPIC, ["model", "messages", "max_tokens"]),
    "AnthropicCount": (_ANTHROPIC, ["model", "messages"]),
}
"""By body: what its fields may hold, as far as more is known than their type; and which have to be there."""

# Alternatives are told of tokens whose own probability is told.
_WITH_LOGPROBS: Json = {
    "if": {"properties": {"top_logprobs": {"type": "integer", "minimum": 1}}, "required": ["top_logprobs"]},
    "then": {"properties": {"logprobs": {"const": True}}, "required": ["logprobs"]},
}


def tightened(name: str, body: Json) -> Json:
    """The schema of a body with all that is known of its values."""
    if name not in VALUES:
        return body
    values, needed = VALUES[name]
    properties = {
        field: {**found, **({"description": told} if (told := of.get("description")) else {})}
        if (found := values.get(field))
        else of
        for field, of in body["properties"].items()
    }
    more = _WITH_LOGPROBS if name == "OpenAIChat" else {}
    return {**body, "type": "object", "properties": properties, "required": [*needed], **more}
