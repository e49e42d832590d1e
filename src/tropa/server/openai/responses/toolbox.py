"""The tools of a response: functions, namespaces of them, tools that take any text, and those that nobody runs here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tropa.server.openai import tools
from tropa.server.openai.responses import custom
from tropa.server.openai.tools import Toolbox
from tropa.server.reading import BadField, Fields

HOSTED = (
    *("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "tool_search"),
    *("computer", "local_shell", "shell", "apply_patch", "programmatic_tool_calling"),
)
"""What kinds of tools begin with that need a server of OpenAI's, or a model that was made for them."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the model is given, and how to tell the client what it called."""

    box: Toolbox
    shown: list[dict[str, Any]] = field(default_factory=list)
    """As the client sent them, without those that were left out."""
    spaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Namespace and name of the functions that have one, by the name that the model knows."""
    left_out: tuple[str, ...] = ()
    """Kinds of tools that the model was not told of."""


def read(fields: Fields) -> Tools:
    """`tools` and `tool_choice`.

    Agents send tools that only OpenAI's servers run beside dozens of functions, to every server. A model that is not
    told of them does not miss them, so they are left out, and the answer says so. Who wants nothing else is refused.
    """
    found: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    spaces: dict[str, tuple[str, str]] = {}
    left_out: list[Fields] = []
    for tool in fields.objects("tools"):
        match tool.text("type"):
            case "function":
                found.append(tools.function(tool))
                shown.append(_shown(tool))
            case "namespace":
                space = tool.required_text("name")
                for member in tool.objects("tools"):
                    name = f"{space}.{member.required_text('name')}"
                    spaces[name] = space, member.required_text("name")
                    found.append(_member(member, name))
                shown.append(tool.raw())
            case "custom":
                found.append(custom.function(tool))
                shown.append(tool.raw())
            case None:
                raise BadField(tool.at("type"), "is required")
            case str(kind) if kind.startswith(HOSTED):
                left_out.append(tool)
            case str(kind):
                raise BadField(
                    tool.at("type"), f'is "{kind[:80]}": supported are "function", "namespace" and "custom"'
                )
    if left_out and not found:
        first = left_out[0]
        raise BadField(first.at("type"), f'is "{first.text("type")}": this server runs no tools of its own')
    kinds = tuple(dict.fromkeys(tool.text("type") or "" for tool in left_out))
    return Tools(tools.chosen(fields, found), shown, spaces, kinds)


def _member(member: Fields, name: str) -> dict[str, Any]:
    match member.text("type"):
        case None | "function":
            return tools.function(member, name)
        case "custom":
            return custom.function(member, name)
        case str(kind):
            raise BadField(
                member.at("type"),
                f'is "{kind[:80]}": a namespace holds tools of type "function" and "custom"',
            )


def _shown(tool: Fields) -> dict[str, Any]:
    """With all the keys that clients expect of a function."""
    return {
        "type": "function",
        "name": None,
        "description": None,
        "strict": None,
        "parameters": None,
        **tool.raw(),
    }
