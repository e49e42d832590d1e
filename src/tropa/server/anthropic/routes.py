"""Which path of this dialect leads where."""

from __future__ import annotations

from functools import partial

from tropa.server.anthropic.errors import ANTHROPIC
from tropa.server.anthropic.messages import count_tokens, messages
from tropa.server.dialect import Endpoint, answer
from tropa.service.service import Service


def routes(service: Service) -> list[tuple[str, str, Endpoint]]:
    """Method, path, endpoint. The list of models stands with the OpenAI dialect: the path is the same."""
    return [
        ("POST", "/v1/messages", partial(answer, messages, ANTHROPIC, service)),
        ("POST", "/v1/messages/count_tokens", partial(answer, count_tokens, ANTHROPIC, service)),
    ]
