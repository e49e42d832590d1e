"""Types of request fields, checked as Go's JSON decoder checks them and with its words when they don't fit.

Keys match field names in any letter case, the later of two spellings wins, unknown keys are ignored, and `null`
is the same as leaving a field out. Nothing is coerced. A kind is called with a value that is not None and the
dotted path to it, and returns the value to use.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tropa.server.body import BadRequest

Kind = Callable[[Any, str], Any]
LIMIT = 1 << 63
"""Of Go's int."""


def mismatch(value: Any, path: str, gotype: str) -> BadRequest:
    """Go's error for a value of the wrong type. `path` is `ChatRequest.messages.content`, or a bare type."""
    field = "struct field" if "." in path else "value"
    if field == "value":
        return BadRequest(f"json: cannot unmarshal {kind_of(value)} into Go value of type api.{path}")
    return BadRequest(f"json: cannot unmarshal {kind_of(value)} into Go struct field {path} of type {gotype}")


def kind_of(value: Any) -> str:
    """What Go calls the JSON type of `value`."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise mismatch(value, path, "string")
    return value


def boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise mismatch(value, path, "bool")
    return value


def integer(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch(value, path, "int")
    if isinstance(value, float) or not -LIMIT <= value < LIMIT:
        raise BadRequest(f"json: cannot unmarshal number {value} into Go struct field {path} of type int")
    return value


def anything(value: Any, path: str) -> Any:
    return value


def mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise mismatch(value, path, "map[string]interface {}")
    return value


def image(value: Any, path: str) -> str:
    """Bytes as standard padded base64, or as a list of numbers; returned as base64 without line breaks."""
    if isinstance(value, list):
        try:
            return base64.b64encode(bytes(value)).decode()
        except (TypeError, ValueError):
            raise mismatch(value, path, "api.ImageData") from None
    if not isinstance(value, str):
        raise mismatch(value, path, "api.ImageData")
    if _is_base64(value):
        return value
    text = re.sub(r"[\r\n]", "", value)
    if not _is_base64(text):
        bad = re.search(r"[^A-Za-z0-9+/]", text)
        raise BadRequest(f"illegal base64 data at input byte {bad.start() if bad else len(text)}")
    return text


def _is_base64(text: str) -> bool:
    """Asked of megabytes while others wait."""
    try:
        msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        return False
    return True


def arguments(value: Any, path: str) -> dict[str, Any]:
    """A tool call's arguments, or a tool's properties."""
    if not isinstance(value, dict):
        raise BadRequest("Value looks like object, but can't find closing '}' symbol")
    return value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; `gotype` is what Go calls it."""

    item: Kind
    gotype: str

    def __call__(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise mismatch(value, path, self.gotype)
        if (
            self.item is integer
            and set(map(type, value)) == {int}
            and -LIMIT <= min(value) <= max(value) < LIMIT
        ):
            return value  # a context of 128k tokens, without a call for each
        return [self.item(item, path) for item in value if item is not None]


@dataclass(frozen=True, slots=True)
class Schema:
    """A part of a JSON schema: passed on as it is, but what is known of its fields has to be right. Its keys are
    spelled in one way only, and unknown ones stay."""

    fields: Mapping[str, Kind]
    element: str

    def __call__(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(value, path, self.element)
        return {
            key: self.fields[key](item, f"{path}.{key}") if key in self.fields else item
            for key, item in value.items()
            if item is not None or key not in self.fields
        }


@dataclass(frozen=True, slots=True)
class Object:
    """An object with known fields. `element` is Go's name for it inside a list."""

    fields: Mapping[str, Kind]
    element: str = ""

    def __call__(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(value, path, self.element)
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = key if key in self.fields else key.lower()
            if name in self.fields:
                found[name] = item
        return {
            name: self.fields[name](item, f"{path}.{name}")
            for name, item in found.items()
            if item is not None
        }
