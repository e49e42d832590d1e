"""A request for a response as the service knows it."""

from __future__ import annotations

from starlette.types import Scope

from tropa.server.openai import refused, sampling
from tropa.server.openai.responses.items import conversation
from tropa.server.openai.responses.toolbox import Tools
from tropa.server.reading import BadField, Fields
from tropa.service.asks import ChatAsk

LOGPROBS = "message.output_text.logprobs"


def asked(fields: Fields, scope: Scope, tools: Tools) -> ChatAsk:
    """Raises BadField."""
    fields.required_text("model")
    fields.refuse(refused.RESPONSE)
    refused.modalities(fields)
    if (choices := fields.integer("n", 1)) is not None and choices > 1:
        raise BadField(fields.at("n"), "must be 1: a response is one answer")
    include = fields.texts("include") or []
    messages = conversation(fields)
    if instructions := fields.text("instructions"):
        messages.insert(0, {"role": "system", "content": instructions})
    if not messages:
        raise BadField(fields.at("input"), "is required: a text or a list of items")
    text = fields.object("text")
    common = sampling.common(fields, scope)
    common["render_only"] = False  # a field of the other routes: here is no place for what it would show
    wanted = fields.choice("truncation", ("auto", "disabled"))
    if (
        common["truncate"] is None
    ):  # here, unlike in the other routes, nothing is dropped unless it is asked for
        common["truncate"] = wanted == "auto"
    top = fields.integer("top_logprobs", 0, 20) or 0
    options = sampling.options(fields, "max_output_tokens")
    if "top_p" not in fields and "top_p" not in (fields.mapping("options") or {}):
        del options["top_p"]  # unlike in the other routes, the model's own counts
    return ChatAsk(
        **{**common, "options": options},
        **tools.box.arguments,
        messages=messages,
        format=sampling.response_format(text, "format") if text else None,
        think=sampling.effort(fields),
        logprobs=LOGPROBS in include or top > 0,
        top_logprobs=top,
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
    )
