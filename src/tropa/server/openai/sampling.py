"""How the answer is to be made: the fields that chat and text completions share, as the service knows them."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from tropa.server.native.inference import client_of
from tropa.server.reading import BadField, Fields, kind_of
from tropa.service import keepalive

DEFAULTS = {"temperature": 1.0, "top_p": 1.0}
"""Of this dialect: they stand over the model's own parameters."""

NATIVE = (
    *("num_ctx", "num_predict", "num_keep", "num_gpu", "num_batch", "num_thread", "main_gpu", "use_mmap"),
    *("top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty"),
)
"""Options of the native API that may also stand beside the dialect's fields, as clients of other servers send them.
They stand over `options`, and the dialect's own fields over them."""

LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
MOST_CHOICES = 128
MOST_BIAS = 100.0
_EFFORTS: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}


def common(fields: Fields, scope: Scope) -> dict[str, Any]:
    """Arguments of an ask. Beyond the dialect: `options` (all of the native API, below the dialect's own fields),
    `keep_alive`, `truncate` and `shift`."""
    return {
        "model": fields.text("model") or "",
        "client": client_of(scope),
        "options": options(fields),
        "keep_alive": keepalive.parse(fields.get("keep_alive")),
        "truncate": fields.flag("truncate"),
        "shift": fields.flag("shift"),
        "logit_bias": logit_bias(fields),
        "render_only": fields.flag("_debug_render_only") or False,
    }


def options(fields: Fields, *limits: str) -> dict[str, Any]:
    """The native options; of `limits`, the fields for the longest answer, the first that is set counts."""
    found: dict[str, Any] = {**DEFAULTS, **(fields.mapping("options") or {})}
    found |= {name: fields.get(name) for name in NATIVE if name in fields}
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
        if (value := fields.number(name)) is not None:
            found[name] = value
    if (seed := fields.integer("seed")) is not None:
        found["seed"] = seed
    if (stop := fields.texts("stop")) is not None:
        found["stop"] = stop
    for name in (*limits, *LIMITS):
        if (most := fields.integer(name, -1)) is not None:
            found["num_predict"] = most
            break
    return found


def logit_bias(fields: Fields) -> dict[int, float]:
    """Biases by token number. Raises BadField for keys that are no tokens, and values beyond ±100."""
    found: dict[int, float] = {}
    for token, bias in (fields.mapping("logit_bias") or {}).items():
        at = fields.at("logit_bias")
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            raise BadField(at, f'must have numbers of tokens as keys, not "{token[:80]}"')
        if isinstance(bias, bool) or not isinstance(bias, int | float) or not abs(bias) <= MOST_BIAS:
            raise BadField(at, f"must have values from -100 to 100; that of {token} is none")
        found[int(token)] = float(bias)
    return found


def choices(fields: Fields) -> int:
    """How many answers are wanted. The best of more than those can't be had."""
    each = fields.integer("n", 1, MOST_CHOICES) or 1
    made = fields.integer("best_of", 1)
    if made is not None and made != each:
        raise BadField(fields.at("best_of"), f"must be the same as 'n' ({each}): answers are not ranked here")
    return each


def seeded(options: dict[str, Any], number: int) -> dict[str, Any]:
    """The options of one choice among several: with the same seed all would be the same."""
    seed = options.get("seed")
    if not number or isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        return options
    return {**options, "seed": seed + number}


def effort(fields: Fields) -> bool | str | None:
    """`reasoning.effort`, or else `reasoning_effort`, as `think`; None: as the model does by itself. Beyond the dialect
    `think` itself, and `chat_template_kwargs.enable_thinking`."""
    reasoning = fields.object("reasoning")
    holder, name = (
        (reasoning, "effort") if reasoning and "effort" in reasoning else (fields, "reasoning_effort")
    )
    word = holder.text(name)
    if word is None:
        return _think(fields)
    if word not in _EFFORTS:
        raise BadField(
            holder.at(name),
            f'invalid reasoning value: "{word[:80]}" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", '
            '"max", or "none")',
        )
    return _EFFORTS[word]


def _think(fields: Fields) -> bool | str | None:
    value: Any = fields.get("think")
    if value is not None and not isinstance(value, bool | str):
        raise BadField(fields.at("think"), f"must be a boolean or a string, not {kind_of(value)}")
    template = fields.object("chat_template_kwargs")
    if template is None:
        return value
    for name in template.names():
        if name != "enable_thinking":
            raise BadField(template.at(name), "is not supported: only 'enable_thinking' is")
    return template.flag("enable_thinking") if value is None else value


def response_format(fields: Fields, name: str) -> Any:
    """What the service knows as `format`: nothing, `json`, or a schema.

    `response_format` keeps the schema in an object of its own, `text.format` of responses does not.
    """
    wanted = fields.object(name)
    if wanted is None:
        return _format(fields) if name == "response_format" else None
    match wanted.choice("type", ("text", "json_object", "json_schema")):
        case "json_object":
            return "json"
        case "json_schema":
            holder = wanted.object("json_schema") or wanted
            schema = holder.mapping("schema")
            if schema is None:
                at = (
                    holder
                    if holder is not wanted or name != "response_format"
                    else Fields({}, wanted.at("json_schema"))
                )
                raise BadField(at.at("schema"), "is required: the JSON schema that the answer must fit")
            return schema
        case _:
            return None


def _format(fields: Fields) -> Any:
    """`format` of the native API, where nothing is said in the dialect's words."""
    value = fields.get("format")
    if not value or value == "json" or isinstance(value, dict):
        return value or None
    raise BadField(fields.at("format"), 'must be "json" or a JSON schema')


def include_usage(fields: Fields) -> bool:
    """Whether a stream ends with what it cost."""
    asked = fields.object("stream_options")
    return bool(asked and asked.flag("include_usage"))
