"""A request for a response as the service knows it."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from tropa.server.openai import sampling, tools
from tropa.server.openai.responses import custom
from tropa.server.openai.responses.items import conversation
from tropa.server.openai.tools import Toolbox
from tropa.server.reading import BadField, Fields
from tropa.service.asks import ChatAsk

LOGPROBS = "message.output_text.logprobs"
# What this server, which keeps nothing and runs no tools, can't do. To ignore these would change the answer.
_REFUSED = {
    "previous_response_id": "is not supported: this server keeps no responses; send the earlier items in 'input'",
    "conversation": "is not supported: this server keeps no conversations; send the earlier items in 'input'",
    "prompt": "is not supported: this server keeps no prompts; send its text in 'instructions' or 'input'",
}


def asked(fields: Fields, scope: Scope) -> ChatAsk:
    """Raises BadField."""
    fields.required_text("model")
    for name, why in _REFUSED.items():
        fields.refuse(name, why)
    if fields.flag("background"):
        raise BadField(fields.at("background"), "is not supported: this server keeps no responses")
    include = fields.texts("include") or []
    messages = conversation(fields)
    if instructions := fields.text("instructions"):
        messages.insert(0, {"role": "system", "content": instructions})
    if not messages:
        raise BadField(fields.at("input"), "is required: a text or a list of items")
    text = fields.object("text")
    common = sampling.common(fields, scope)
    common["render_only"] = False  # a field of the other routes: here is no place for what it would show
    if not (fields.get("truncation") is None or fields.flag("truncate") is not None):
        common["truncate"] = fields.choice("truncation", ("auto", "disabled")) == "auto"
    top = fields.integer("top_logprobs", 0, 20) or 0
    return ChatAsk(
        **{**common, "options": sampling.options(fields, "max_output_tokens")},
        **toolbox(fields).arguments,
        messages=messages,
        format=sampling.response_format(text, "format") if text else None,
        think=sampling.effort(fields),
        logprobs=LOGPROBS in include or top > 0,
        top_logprobs=top,
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
    )


def toolbox(fields: Fields) -> Toolbox:
    """`tools` and `tool_choice`: functions, and namespaces of them."""
    found: list[dict[str, Any]] = []
    for tool in fields.objects("tools"):
        match tool.text("type"):
            case "function":
                found.append(tools.function(tool))
            case "namespace":
                prefix = tool.required_text("name")
                found += [
                    tools.function(member, f"{prefix}.{member.required_text('name')}")
                    for member in tool.objects("tools")
                ]
            case "custom":
                found.append(custom.function(tool))
            case None:
                raise BadField(tool.at("type"), "is required")
            case str(kind):
                raise BadField(
                    tool.at("type"),
                    f'is "{kind[:80]}": only "function" and "custom" are supported: no tools are run here',
                )
    return tools.chosen(fields, found)
