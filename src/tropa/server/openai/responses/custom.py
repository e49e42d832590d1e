"""Custom tools take any text instead of arguments. To the model they are functions with one string.

A grammar that the text has to follow is told to the model in words. Nothing holds it to that: the client, which takes
the text apart anyhow, finds out.
"""

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


def function(fields: Fields, name: str = "") -> dict[str, Any]:
    """The tool as the model knows it, under another name if one is given."""
    tool = tools.function(fields, name)
    told = tool["function"]
    told["parameters"] = FREE_TEXT
    form = fields.object("format")
    match form.text("type") if form else None:
        case None | "text":
            pass
        case "grammar" if form is not None:
            kind, rules = form.text("syntax") or "", form.required_text("definition")
            words = f"`input` has to follow this {kind} grammar:\n{rules}"
            told["description"] = f"{told['description']}\n\n{words}" if "description" in told else words
        case kind:
            raise BadField(fields.at("format.type"), f'is "{kind}": supported are "text" and "grammar"')
    return tool


def is_custom(tool: Mapping[str, Any]) -> bool:
    """Whether it was made here."""
    return tool["function"]["parameters"] is FREE_TEXT


def names(given: Iterable[Mapping[str, Any]]) -> set[str]:
    """The custom ones among these tools."""
    return {tool["function"]["name"] for tool in given if is_custom(tool)}
