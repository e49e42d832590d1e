"""The fields of the OpenAI and Anthropic dialects, for the document that describes them. They are read elsewhere."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TYPES: dict[str, list[str]] = {
    "text": ["string"],
    "flag": ["boolean"],
    "number": ["number"],
    "integer": ["integer"],
    "object": ["object"],
    "list": ["array"],
    "texts": ["string", "array"],
}
_BEYOND = {"options": "object", "truncate": "flag", "shift": "flag"}  # of the native API, in every dialect


def _body(needed: str, **found: str) -> Json:
    """A schema; `needed` are the names that have to be there, `any` is said of what has no type of its own."""
    properties: dict[str, Json] = {
        name: {"type": [*_TYPES[kind], "null"]} if kind in _TYPES else {} for name, kind in found.items()
    }
    for name in _BEYOND:
        if name in properties:
            properties[name]["description"] = "Beyond the dialect: as in the native API"
    for name in needed.split():
        if "type" in properties[name]:
            properties[name]["type"].remove("null")
    return {"type": "object", "properties": properties, "required": needed.split()}


_SAMPLED = {
    "model": "text",
    "stream": "flag",
    "temperature": "number",
    "top_p": "number",
    "seed": "integer",
    "frequency_penalty": "number",
    "presence_penalty": "number",
    "stop": "texts",
    "logit_bias": "object",
    "keep_alive": "any",
    **_BEYOND,
}

OPENAI: dict[str, Json] = {
    "OpenAIChat": _body(
        "model messages",
        **_SAMPLED,
        messages="list",
        n="integer",
        max_completion_tokens="integer",
        max_tokens="integer",
        stream_options="object",
        tools="list",
        tool_choice="any",
        parallel_tool_calls="flag",
        response_format="object",
        logprobs="flag",
        top_logprobs="integer",
        reasoning_effort="any",
    ),
    "OpenAICompletion": _body(
        "model",
        **_SAMPLED,
        prompt="any",
        suffix="text",
        n="integer",
        max_tokens="integer",
        stream_options="object",
        logprobs="integer",
        echo="flag",
        raw="flag",
    ),
    "OpenAIEmbedding": _body(
        "model input",
        model="text",
        input="any",
        dimensions="integer",
        encoding_format="text",
        truncate="flag",
        options="object",
        keep_alive="any",
    ),
    "OpenAIResponse": _body(
        "model input",
        **_SAMPLED,
        input="any",
        instructions="text",
        max_output_tokens="integer",
        text="object",
        tools="list",
        tool_choice="any",
        parallel_tool_calls="flag",
        include="texts",
        top_logprobs="integer",
        background="flag",
        reasoning="object",
    ),
}

# A form: all its values are texts, and a text is what any of them may be until it is read.
_WORD: Json = {"type": "string"}
_WORDS: Json = {"type": "array", "items": _WORD}
OPENAI["OpenAITranscription"] = {
    "type": "object",
    "properties": {
        "file": {**_WORD, "format": "binary", "description": "WAV, MP3 or FLAC, 25 MiB at most"},
        "model": _WORD,
        "response_format": {**_WORD, "enum": ["json", "text"]},
        "language": {**_WORD, "description": "A hint"},
        "languages": {**_WORDS, "description": "Hints"},
        "keywords": {**_WORDS, "description": "Hints: words that may occur"},
        "prompt": {**_WORD, "description": "What was said before, or a text in the style"},
        "temperature": {"type": "number", "minimum": 0},
        "stream": {"type": "boolean"},
        "include": {"type": "array", "items": {**_WORD, "enum": ["logprobs"]}},
        "keep_alive": {**_WORD, "description": "Beyond the dialect: as in the native API"},
    },
    "required": ["file", "model"],
}

_COUNTED = {
    "model": "text",
    "messages": "list",
    "system": "any",
    "tools": "list",
    "tool_choice": "object",
    "thinking": "object",
    "output_config": "object",
}
ANTHROPIC: dict[str, Json] = {
    "AnthropicMessages": _body(
        "model messages max_tokens",
        **_COUNTED,
        max_tokens="integer",
        stream="flag",
        temperature="number",
        top_p="number",
        top_k="integer",
        stop_sequences="texts",
        keep_alive="any",
        **_BEYOND,
    ),
    "AnthropicCount": _body("model messages", **_COUNTED),
}
