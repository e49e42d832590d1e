"""Custom tools take any text instead of arguments. To the model they are functions with one string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tropa.server.openai import tools
from tropa.server.reading import BadField, Fields

FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


def function(fields: Fields) -> dict[str, Any]:
    """The tool as the model knows it. Raises BadField for one whose text has to follow a grammar."""
    form = fields.object("format")
    if form and form.text("type") not in (None, "text"):
        raise BadField(form.at("type"), 'must be "text": grammars of custom tools are not supported')
    tool = tools.function(fields)
    tool["function"]["parameters"] = FREE_TEXT
    return tool


def is_custom(tool: Mapping[str, Any]) -> bool:
    """Whether it was made here."""
    return tool["function"]["parameters"] is FREE_TEXT


def names(given: Iterable[Mapping[str, Any]]) -> set[str]:
    """The custom ones among these tools."""
    return {tool["function"]["name"] for tool in given if is_custom(tool)}
