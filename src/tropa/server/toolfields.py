"""A tool as the native API has it: what is known of its fields, and of the JSON schema of its arguments.

Whatever stands in a tool goes on to templates and engines, which would fall over what is not of the right type.
"""

from __future__ import annotations

from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import ListOf, Object, Schema, anything, arguments, mismatch, string


def _property(value: Any, path: str) -> dict[str, Any]:
    return _PROPERTY(value, path)


def _properties(value: Any, path: str) -> dict[str, Any]:
    """By name; their order is kept."""
    return {
        name: _property(each, f"{path}.{name}")
        for name, each in arguments(value, path).items()
        if each is not None
    }


def _types(value: Any, path: str) -> str | list[str]:
    """One name of a type, or a list of them."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    if isinstance(value, str):
        return value
    raise mismatch(value, path, "[]string")


def _values(value: Any, path: str) -> list[Any]:
    """Any, and `null` is one of them."""
    if not isinstance(value, list):
        raise mismatch(value, path, "[]interface {}")
    return value


_NAMES = ListOf(string, "[]string")

_PROPERTY = Schema(
    {
        "type": _types,
        "description": string,
        "enum": _values,
        "anyOf": ListOf(_property, "[]api.ToolProperty"),
        "properties": _properties,
        "required": _NAMES,
    },
    "api.ToolProperty",
)

_PARAMETERS = Schema(
    {"type": string, "properties": _properties, "required": _NAMES}, "api.ToolFunctionParameters"
)

FIELDS = Object(
    {
        "type": string,
        "items": anything,
        "function": Object(
            {"name": string, "description": string, "parameters": _PARAMETERS}, "api.ToolFunction"
        ),
    },
    "api.Tool",
)


def tool(value: Any, path: str) -> dict[str, Any]:
    """There is one type of tool, so a tool that does not say is of that. Raises BadRequest."""
    found = FIELDS(value, path)
    kind = found.get("type") or "function"
    if kind != "function":
        raise BadRequest(f'a tool is of type "{kind}": the only one is "function"')
    return {**found, "type": kind}
