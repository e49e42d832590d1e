"""A request of this dialect as the service knows it."""

from __future__ import annotations

from typing import Any, Literal

from starlette.types import Scope

from tropa.server.anthropic.content import conversation
from tropa.server.anthropic.errors import NoThreads
from tropa.server.anthropic.known import told
from tropa.server.native.inference import client_of
from tropa.server.reading import BadField, Fields
from tropa.service import keepalive
from tropa.service.asks import ChatAsk
from tropa.service.service import Service

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
RUN_BY_SERVERS = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset", "advisor")
"""What kinds of tools that Anthropic's servers run begin with. Others of its own, such as `bash`, the client runs."""
_TOOLSETS = ("browser_toolset", "computer_toolset")
_ENABLED = ("enabled", "adaptive", "between_tools")
REFUSED = {
    "mcp_servers": "is not supported: this server calls no others; give the tools in 'tools'",
    "container": "is not supported: this server runs no containers",
    "compaction": "is not supported: this server sums up no conversations",
}
"""What can't be honoured, and would be missed."""


def asked(service: Service, fields: Fields, scope: Scope, *, counting: bool = False) -> ChatAsk:
    """Raises BadField. `counting`: only what the prompt is made of is looked at."""
    fields.required_text("model")
    fields.refuse(REFUSED)
    if fields.object("thread"):
        raise NoThreads(fields.at("thread"))
    options: dict[str, Any] = dict(fields.mapping("options") or {})
    if not counting:
        _sampling(fields, options)
    messages = conversation(fields)
    tools, choice = _tools(fields)
    chosen = fields.object("tool_choice")
    single = bool(chosen and chosen.flag("disable_parallel_tool_use"))
    return ChatAsk(
        model=fields.text("model") or "",
        client=client_of(scope),
        options=options,
        keep_alive=keepalive.parse(fields.get("keep_alive")),
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if single else None,
        name_stop=True,
        format=_format(fields),
        think=_thinking(service, fields),
        thinking_budget=_budget(fields),
        truncate=fields.flag("truncate"),
        shift=fields.flag("shift"),
    )


def _sampling(fields: Fields, options: dict[str, Any]) -> None:
    most = fields.integer("max_tokens")
    if most is None or most < 1:
        raise BadField(fields.at("max_tokens"), "max_tokens is required and must be positive")
    options["num_predict"] = most
    for name in ("temperature", "top_p"):
        if (value := fields.number(name)) is not None:
            options[name] = value
    if (top := fields.integer("top_k")) is not None:
        options["top_k"] = top
    if (stop := fields.texts("stop_sequences")) is not None:
        options["stop"] = stop


def _tools(fields: Fields) -> tuple[list[dict[str, Any]], Literal["auto", "required"]]:
    """The tools that may be called, in the native shape, and whether one must be. None, or a certain one, is said by
    giving no tools, or only that one."""
    tools: list[dict[str, Any]] = []
    for tool in fields.objects("tools"):
        kind = tool.text("type")
        if kind and kind.startswith(RUN_BY_SERVERS):
            raise BadField(tool.at("type"), f'is "{kind[:80]}": this server runs no tools of its own')
        if kind and kind.startswith(_TOOLSETS):
            raise BadField(
                tool.at("type"), f'is "{kind[:80]}", which is not supported: name its tools one by one'
            )
        tools.append({"type": "function", "function": _function(tool, kind or "")})
    choice = fields.object("tool_choice")
    mode = choice.choice("type", ("auto", "any", "tool", "none")) if choice else "auto"
    if choice is None or mode == "auto":
        return tools, "auto"
    if mode == "none":
        return [], "auto"
    if mode is None:
        raise BadField(choice.at("type"), "is required")
    if mode == "tool":
        name = choice.required_text("name")
        tools = [tool for tool in tools if tool["function"]["name"] == name]
        if not tools:
            raise BadField(choice.at("name"), f"names the tool \"{name[:80]}\", which is not in 'tools'")
    if not tools:
        raise BadField(fields.at("tool_choice"), "asks for a tool call, and there are no tools to call")
    return tools, "required"


def _function(tool: Fields, kind: str) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.required_text("name")}
    text, schema = tool.text("description"), tool.mapping("input_schema")
    if schema is None and kind not in ("", "custom"):
        known = told(kind)
        if known is None:
            what = f"is \"{kind[:80]}\": what it takes is not known here, give its 'input_schema'"
            raise BadField(tool.at("type"), what)
        text, schema = text or known[0], known[1]
    if text:
        described["description"] = text
    described["parameters"] = schema or {"type": "object", "properties": {}}
    return described


def _thinking(service: Service, fields: Fields) -> bool | str | None:
    """`thinking`, or else `output_config.effort`. Dropped for models that can't think: these clients ask for it by
    habit."""
    thinking = fields.object("thinking")
    mode = thinking.choice("type", ("disabled", *_ENABLED)) if thinking else None
    config = fields.object("output_config")
    effort = config.choice("effort", tuple(_EFFORTS)) if config else None
    if mode == "disabled":
        return False
    think: bool | str | None = None
    if mode == "enabled":
        think = True
    elif effort is not None:
        think = _EFFORTS[effort]
    if think is not None and not service.models.find(fields.required_text("model")).can("thinking"):
        return None
    return think


def _budget(fields: Fields) -> int | None:
    """How many tokens thoughts may take, where thinking is asked for."""
    thinking = fields.object("thinking")
    if thinking is None or thinking.text("type") != "enabled":
        return None
    return thinking.integer("budget_tokens", 1)


def _format(fields: Fields) -> Any:
    """`output_config.format`: a schema that the answer must fit."""
    config = fields.object("output_config")
    wanted = (config.object("format") if config else None) or fields.object("output_format")
    if wanted is None:
        return None
    wanted.choice("type", ("json_schema",))
    schema = wanted.mapping("schema")
    if schema is None:
        raise BadField(wanted.at("schema"), "is required: the JSON schema that the answer must fit")
    return schema
