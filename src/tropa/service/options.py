"""`options`: their types, their defaults, and which of them matter where.

Built-in default < the model's parameters < the request's options. A value is checked against its type; unknown
keys are ignored, as everywhere in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tropa.scheduler.demand import Want
from tropa.service.errors import BadOption, InvalidRequest

_LOADING = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread")
_COUNTS = ("num_keep", "seed", "num_predict", "draft_num_predict", "top_k", "repeat_last_n")
INTEGERS = frozenset((*_LOADING, *_COUNTS))
_PENALTIES = ("repeat_penalty", "presence_penalty", "frequency_penalty")
FLOATS = frozenset(("temperature", "top_p", "min_p", "typical_p", *_PENALTIES))
BOOLEANS = frozenset({"use_mmap"})

# The engine has other defaults of its own, so each of ours is always sent.
SAMPLING_DEFAULTS: dict[str, Any] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
}
LEAST_CONTEXT = 4
USUAL_CONTEXT = 4096
MOST_FLOAT = 3.4e38  # what the engine's 32 bits hold
MOST_TOKENS = (1 << 31) - 1  # the engine's own numbers have 32 bits; a larger one would come out as any other
MOST_CONTEXT = 1 << 27  # tokens: beyond any model; larger numbers would overflow the engine's own


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of one request, the model's parameters already merged in."""

    values: Mapping[str, Any]

    def want(self, keep_alive: float | None) -> Want:
        """What matters when a runner is chosen or loaded."""
        get = self.values.get
        return Want(
            context=get("num_ctx"),
            num_gpu=get("num_gpu"),
            main_gpu=get("main_gpu"),
            num_batch=get("num_batch"),
            num_thread=get("num_thread") or None,
            use_mmap=get("use_mmap"),
            keep_alive=keep_alive,
        )

    def sampling(self, context: int = USUAL_CONTEXT) -> dict[str, Any]:
        """What the engine is told with the prompt, in its own words, in a slot of `context` tokens."""
        body = {name: self.values.get(name, default) for name, default in SAMPLING_DEFAULTS.items()}
        body["n_keep"] = self.values.get("num_keep", 4)
        for name in ("top_k", "n_keep"):
            body[name] = max(-1, min(body[name], MOST_TOKENS))
        if not 0 <= body["repeat_last_n"] <= context:  # the engine makes room for as many as it is told
            body["repeat_last_n"] = context
        if stop := [text for text in self.values.get("stop", ()) if text]:
            body["stop"] = stop
        return body

    @property
    def num_predict(self) -> int:
        """The most tokens to generate; -1: until the model ends or the context is full."""
        asked = int(self.values.get("num_predict", -1))
        return -1 if asked < 0 else min(asked, MOST_TOKENS)


def parse(parameters: Mapping[str, Any], options: Mapping[str, Any]) -> Options:
    """The model's parameters overlaid with the request's options. Raises BadOption, InvalidRequest."""
    values: dict[str, Any] = {}
    stop = parameters.get("stop")
    if isinstance(stop, str):  # create takes that; only a request has to have a list
        parameters = {**parameters, "stop": [stop]}
    for source in (parameters, options):
        for name, value in source.items():
            if value is not None and (checked := _checked(name, value)) is not None:
                values[name] = checked
    _check_ranges(values)
    return Options(values)


def _checked(name: str, value: Any) -> Any:
    if name in INTEGERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadOption(f'option "{name}" must be of type integer')
        if not -(1 << 62) < value < 1 << 62:
            raise InvalidRequest(f'option "{name}" is out of range: {value}')
        return int(value)  # toward zero, as the reference does with fractions
    if name in FLOATS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadOption(f'option "{name}" must be of type float32')
        if not abs(value) <= MOST_FLOAT:
            raise InvalidRequest(f'option "{name}" is out of range: {value}')
        return float(value)
    if name in BOOLEANS:
        if not isinstance(value, bool):
            raise BadOption(f'option "{name}" must be of type boolean')
        return value
    if name == "stop":
        if not isinstance(value, list):
            raise BadOption('option "stop" must be of type array')
        if not all(isinstance(text, str) for text in value):
            raise BadOption('option "stop" must be of an array of strings')
        return value
    return None


def _check_ranges(values: dict[str, Any]) -> None:
    context = values.get("num_ctx")
    if context is not None:
        if not 0 < context <= MOST_CONTEXT:
            raise InvalidRequest(
                f'option "num_ctx" is {context}: allowed are 1 to {MOST_CONTEXT} tokens '
                f"(less than {LEAST_CONTEXT} counts as {LEAST_CONTEXT}, more than the model was trained for as that)"
            )
        values["num_ctx"] = max(context, LEAST_CONTEXT)
    for name, least, most in (("num_batch", 1, 1 << 16), ("num_thread", 0, 1024), ("main_gpu", 0, 127)):
        value = values.get(name)
        if value is not None and not least <= value <= most:
            raise InvalidRequest(f'option "{name}" is {value}: allowed are {least} to {most}')
