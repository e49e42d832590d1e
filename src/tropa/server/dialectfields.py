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
# Of the native API: in every dialect.
_BEYOND = {"options": "object", "truncate": "flag", "shift": "flag", "explain": "flag"}
# And its options one by one, in OpenAI's.
_BESIDE = {
    **dict.fromkeys(("num_ctx", "num_predict", "num_keep", "num_gpu", "num_batch", "num_thread"), "integer"),
    **dict.fromkeys(("main_gpu", "top_k", "repeat_last_n"), "integer"),
    **dict.fromkeys(("min_p", "typical_p", "repeat_penalty"), "number"),
    "use_mmap": "flag",
    "think": "any",
    "chat_template_kwargs": "object",
}

_KEPT = "nothing is kept here"
_CACHED = "every prompt is cached as far as that goes"
_TOLD_BACK = "told back"
_ACCOUNT = "there are no accounts here"
_ALIKE = "all requests are served alike"
IDLE: dict[str, str] = {
    "access_programs": _ACCOUNT,
    "audio": "answers are text (see `modalities`)",
    "background_options": "nothing runs in the background here",
    "betas": "all there is needs no header",
    "billing_policy": _ACCOUNT,
    "cache_control": _CACHED,
    "context_management": "what does not fit is dropped as `truncate` says, and told",
    "diagnostics": _CACHED,
    "fallback_credit_token": _ACCOUNT,
    "fallbacks": "no model refuses for another's sake",
    "image": "images are given to the model as they are",
    "inference_geo": "this machine",
    "max_tool_calls": "counts tools that a server runs: none does",
    "metadata": _TOLD_BACK,
    "prediction": "would only make it quicker",
    "prompt_cache_key": _CACHED,
    "prompt_cache_options": _CACHED,
    "prompt_cache_retention": _CACHED,
    "safety_identifier": _TOLD_BACK,
    "service_tier": _ALIKE,
    "speed": _ALIKE,
    "stream_options": "no piece is padded here",
    "store": _KEPT,
    "user": _TOLD_BACK,
    "user_profile_id": _ACCOUNT,
    "verbosity": "a wish that models have to be made for",
    "workspace_id": _ACCOUNT,
}
"""Fields that are taken and change no answer, and why they can't."""


def _body(needed: str, *idle: str, **found: str) -> Json:
    """A schema; `needed` are the names that have to be there, `any` is said of what has no type of its own, `idle` are
    those that change nothing."""
    properties: dict[str, Json] = {
        name: {"type": [*_TYPES[kind], "null"]} if kind in _TYPES else {} for name, kind in found.items()
    }
    for name in (*_BEYOND, *_BESIDE, "format", "keep_alive"):
        if name in properties:
            properties[name]["description"] = "Beyond the dialect: as in the native API"
    properties |= {name: {"description": f"Changes nothing: {IDLE[name]}"} for name in idle}
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
    **_BESIDE,
}
_NO_MATTER = ("metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
_NOR_THAT = ("safety_identifier", "service_tier", "store", "user")

OPENAI: dict[str, Json] = {
    "OpenAIChat": _body(
        "model messages",
        *_NO_MATTER,
        *_NOR_THAT,
        *("audio", "prediction", "verbosity"),
        **_SAMPLED,
        messages="list",
        n="integer",
        best_of="integer",
        modalities="texts",
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
        reasoning="object",
        format="any",
    ),
    "OpenAICompletion": _body(
        "model",
        "user",
        **{name: kind for name, kind in _SAMPLED.items() if name not in ("think", "chat_template_kwargs")},
        prompt="any",
        suffix="text",
        system="text",
        response_format="object",
        format="any",
        n="integer",
        best_of="integer",
        max_tokens="integer",
        stream_options="object",
        logprobs="integer",
        echo="flag",
        raw="flag",
    ),
    "OpenAIEmbedding": _body(
        "model input",
        "user",
        model="text",
        input="any",
        explain="flag",
        dimensions="integer",
        encoding_format="text",
        truncate="flag",
        options="object",
        keep_alive="any",
    ),
    "OpenAIResponse": _body(
        "model input",
        *("access_programs", "background_options", "context_management", "image", "prompt_cache_options"),
        *("prompt_cache_retention", "service_tier", "store", "stream_options"),
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
        background="any",
        reasoning="object",
        truncation="text",
        max_tool_calls="integer",
        metadata="object",
        prompt_cache_key="text",
        safety_identifier="text",
        user="text",
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
        "response_format": {**_WORD, "enum": ["json", "verbose_json", "text"]},
        "language": {**_WORD, "description": "A hint"},
        "languages": {**_WORDS, "description": "Hints"},
        "keywords": {**_WORDS, "description": "Hints: words that may occur"},
        "prompt": {**_WORD, "description": "What was said before, or a text in the style"},
        "temperature": {"type": "number", "minimum": 0},
        "stream": {"type": "boolean"},
        "include": {"type": "array", "items": {**_WORD, "enum": ["logprobs"]}},
        "keep_alive": {**_WORD, "description": "Beyond the dialect: as in the native API"},
        "explain": {"type": "boolean", "description": "Beyond the dialect: as in the native API"},
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
    "keep_alive": "any",
    **_BEYOND,
}
_HARMLESS = ("cache_control", "context_management", "speed", "user_profile_id", "workspace_id")
ANTHROPIC: dict[str, Json] = {
    "AnthropicMessages": _body(
        "model messages max_tokens",
        *_HARMLESS,
        *("betas", "billing_policy", "diagnostics", "fallback_credit_token", "fallbacks", "inference_geo"),
        *("metadata", "service_tier"),
        **_COUNTED,
        max_tokens="integer",
        stream="flag",
        temperature="number",
        top_p="number",
        top_k="integer",
        stop_sequences="texts",
        output_format="object",
    ),
    "AnthropicCount": _body("model messages", *_HARMLESS, **_COUNTED),
}
