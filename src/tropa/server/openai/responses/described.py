"""The response object: what was asked, told back, and what became of it."""

from __future__ import annotations

import time
from typing import Any

from tropa.server.explained import told
from tropa.server.openai.ids import new
from tropa.server.openai.responses import custom
from tropa.server.openai.responses.toolbox import Tools
from tropa.server.reading import Fields
from tropa.service.asks import ChatAsk
from tropa.service.events import End


class Described:
    """One request's response in all its states. With `explain`, its end says where the time went."""

    def __init__(self, fields: Fields, ask: ChatAsk, tools: Tools, *, explain: bool = False) -> None:
        self._explain = explain
        reasoning = fields.object("reasoning")
        text = fields.object("text")
        self.custom = custom.names(ask.tools)
        """Tools that take any text."""
        self.spaces = tools.spaces
        self._fixed: dict[str, Any] = {
            "id": new("resp_"),
            "object": "response",
            "created_at": int(time.time()),
        }
        self._asked: dict[str, Any] = {
            "model": ask.model,
            "previous_response_id": None,
            "instructions": fields.text("instructions"),
            "tools": tools.shown,
            "tool_choice": fields.get("tool_choice") or "auto",
            "truncation": "auto" if ask.truncate else "disabled",
            "parallel_tool_calls": ask.parallel_tool_calls is not False,
            "text": {"format": (text.mapping("format") if text else None) or {"type": "text"}},
            "temperature": ask.options["temperature"],
            "top_p": ask.options.get("top_p", 1.0),
            "presence_penalty": ask.options.get("presence_penalty", 0),
            "frequency_penalty": ask.options.get("frequency_penalty", 0),
            "top_logprobs": ask.top_logprobs,
            "reasoning": {"effort": reasoning.text("effort"), "summary": reasoning.text("summary")}
            if reasoning
            else None,
            "max_output_tokens": ask.options.get("num_predict"),
            "max_tool_calls": fields.integer("max_tool_calls"),
            "store": False,
            "background": False,
            "service_tier": "default",
            "metadata": fields.mapping("metadata") or {},
            "safety_identifier": fields.text("safety_identifier"),
            "prompt_cache_key": fields.text("prompt_cache_key"),
            "user": fields.text("user"),
        }

    def response(
        self, status: str, output: list[dict[str, Any]], *, error: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """The object in one of its states."""
        state = {"status": status, "completed_at": None, "error": error, "incomplete_details": None}
        return {**self._fixed, **state, **self._asked, "output": output, "usage": None, **more}

    def ended(self, end: End, output: list[dict[str, Any]], thoughts: int) -> dict[str, Any]:
        """The object when the model has said all. `thoughts`: tokens of its thinking, counted as they came."""
        counts = end.counts
        usage: dict[str, Any] = {
            "input_tokens": counts.prompt_tokens,
            "input_tokens_details": {"cached_tokens": counts.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": counts.tokens,
            "output_tokens_details": {"reasoning_tokens": min(thoughts, counts.tokens)},
            "total_tokens": counts.prompt_tokens + counts.tokens,
        }
        if end.dropped:
            usage["truncated"] = end.dropped  # beyond the dialect: nothing is cut in silence
        more = {"usage": usage, **told(self._explain)}
        if end.reason == "length":
            cut = {"reason": "max_output_tokens"}
            return self.response("incomplete", output, incomplete_details=cut, **more)
        return self.response("completed", output, completed_at=int(time.time()), **more)
