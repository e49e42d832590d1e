"""Tools, and which of them must or may be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tropa.server.reading import BadField, Fields

MODES = ("none", "auto", "required")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools that the model is given, in the native shape, and whether it has to call one."""

    tools: list[dict[str, Any]]
    choice: Literal["auto", "required"] = "auto"

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of an ask."""
        return {"tools": self.tools, "tool_choice": self.choice}


def function(fields: Fields, name: str = "") -> dict[str, Any]:
    """One tool in the native shape, out of its name, description and parameters."""
    parameters = fields.mapping("parameters")
    described: dict[str, Any] = {"name": name or fields.required_text("name")}
    if text := fields.text("description"):
        described["description"] = text
    described["parameters"] = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": described}


def of_chat(fields: Fields) -> Toolbox:
    """`tools` and `tool_choice` of a chat completion."""
    tools = []
    for tool in fields.objects("tools"):
        kind = tool.text("type")
        if kind not in (None, "function"):
            raise BadField(tool.at("type"), f'is "{kind[:80]}": only tools of type "function" are supported')
        inner = tool.object("function")
        if inner is None:
            raise BadField(tool.at("function"), "is required")
        tools.append(function(inner))
    return chosen(fields, tools)


def chosen(fields: Fields, tools: list[dict[str, Any]]) -> Toolbox:
    """`tool_choice` over these tools. None, or a certain one, is said by giving no tools, or only that one: then
    nothing else can be called, whatever the model's template makes of it."""
    raw = fields.get("tool_choice")
    if raw is None or isinstance(raw, str):
        mode = fields.choice("tool_choice", MODES) or "auto"
        return _by_mode(fields, tools, mode)
    choice = Fields(raw, fields.at("tool_choice"))
    match choice.choice("type", ("function", "custom", "allowed_tools", *MODES)):
        case "function" | "custom":
            name = (choice.object("function") or choice).required_text("name")
            return Toolbox(_named(choice, tools, {name}), "required")
        case "allowed_tools":
            allowed = choice.object("allowed_tools") or choice
            names = {
                (tool.object("function") or tool).required_text("name") for tool in allowed.objects("tools")
            }
            mode = allowed.choice("mode", ("auto", "required")) or "auto"
            return _by_mode(fields, _named(allowed, tools, names), mode)
        case str(mode):
            return _by_mode(fields, tools, mode)
        case _:
            raise BadField(choice.at("type"), "is required")


def _by_mode(fields: Fields, tools: list[dict[str, Any]], mode: str) -> Toolbox:
    if mode == "none":
        return Toolbox([])
    if mode == "auto":
        return Toolbox(tools)
    if not tools:
        raise BadField(fields.at("tool_choice"), "asks for a tool call, and there are no tools to call")
    return Toolbox(tools, "required")


def _named(choice: Fields, tools: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    found = [tool for tool in tools if tool["function"]["name"] in names]
    if missing := names - {tool["function"]["name"] for tool in found}:
        raise BadField(choice.path, f"names the tool \"{min(missing)[:80]}\", which is not in 'tools'")
    return found
