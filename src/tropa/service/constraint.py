"""`format` and `think`: what the answer must look like. Checks, and the engine's words for them."""

from __future__ import annotations

import json
from typing import Any

from tropa.library.model import Model
from tropa.service.errors import BadFormat, InvalidRequest, NotCapable

HARMONY = ("gptoss", "gpt-oss")
"""Families with a format of their own, which the engine knows."""
THINK_LEVELS = ("high", "medium", "low", "max")


def schema(value: Any) -> dict[str, Any] | None:
    """The JSON schema that the answer must fit; None: any text. Raises BadFormat."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value
    text = json.dumps(json.dumps(value, ensure_ascii=False, separators=(",", ":")), ensure_ascii=False)
    raise BadFormat(f'invalid format: {text}; expected "json" or a valid JSON Schema object')


def check_think(value: Any) -> bool | str | None:
    """`think` as it was sent. Raises InvalidRequest if it has no meaning."""
    if value is None or isinstance(value, bool):
        return value
    levels = ", ".join(f'"{level}"' for level in THINK_LEVELS)
    if not isinstance(value, str):
        raise InvalidRequest(f"think must be a boolean or string ({levels}, true, or false)")
    if value not in THINK_LEVELS:
        raise InvalidRequest(f'invalid think value: "{value}" (must be {levels}, true, or false)')
    return value


def effective(model: Model, asked: str, think: bool | str | None) -> bool | str | None:
    """What holds for this request: a model that thinks does so unless told not to. None: it can't.

    Raises NotCapable; `asked` is the model's name as the client wrote it.
    """
    if not model.can("thinking"):
        if think:
            raise NotCapable(f'"{asked}" does not support thinking')
        return None
    if think == "max" and model.details.family in HARMONY:
        return "high"  # the most that these know
    return True if think is None else think


def thinks(model: Model, think: bool | str | None) -> bool:
    """Whether this model may think before it answers; some do whatever they are told."""
    return bool(think) or (think is False and model.details.family in HARMONY)


def told(think: bool | str | None) -> dict[str, Any]:
    """What an engine that renders the prompt is told of `effective` thinking."""
    if think is None:
        return {}
    arguments: dict[str, Any] = {"enable_thinking": think is not False}
    if isinstance(think, str):
        arguments["reasoning_effort"] = think
    return {"chat_template_kwargs": arguments}
