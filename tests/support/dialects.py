"""Errors of the OpenAI and Anthropic dialects, and the smallest conversation."""

from __future__ import annotations

from typing import Any

from tests.support.server import Answer

HI = [{"role": "user", "content": "Hi"}]


def told(path: str, answer: Answer) -> dict[str, Any]:
    """The inner error object; that the envelope is the dialect's is asserted."""
    body = answer.json
    inner: dict[str, Any] = body["error"]
    if path.startswith("/v1/messages"):
        assert body["type"] == "error"
        assert {*inner} - {"details"} == {"type", "message"}
    else:
        assert {*body} == {"error"}
        assert {*inner} == {"message", "type", "param", "code"}
    assert inner["message"]
    return inner
