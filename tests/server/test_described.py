"""Requests made up of what the document says of a body are taken: what is refused there, is refused for its model's or
its meaning's sake, and never for its form."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.server import Server
from tropa.server.openapi import ABOUT, document

PATHS = (
    *("/api/generate", "/api/chat", "/api/embed"),
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages"),
)
DOCUMENT = schemathesis.openapi.from_dict(document(ABOUT))
LOADING = {"num_ctx", "num_batch", "num_gpu", "num_thread", "main_gpu", "use_mmap"}
"""What would load the model again for each of them."""
MEANING = re.compile(
    r"does not support|exceeds? the|too long|raw mode|schema|best_of|can't be combined|asks for more than|"
    r"no place for|assistant messages at the end|nothing that could be answered|template|vocabulary|grammar|empty"
)


def whole(value: Any) -> Any:
    """JSON schema takes 3.0 for an integer; the reference, and so we, for none."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [*map(whole, value)]
        case dict():
            return {name: whole(each) for name, each in value.items()}
        case _:
            return value


def quick(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The same with a model that is there, and an answer of one token."""
    given = {field: value for field, value in body.items() if field not in LOADING}
    given |= {"model": "tiny", "stream": False}
    kept = {name: value for name, value in (given.get("options") or {}).items() if name not in LOADING}
    given["options"] = {**kept, "num_predict": 1}
    if path.startswith("/v1/"):
        given |= {
            "max_tokens": 1,
            "n": 1,
            "best_of": None,
            "num_predict": None,
            "max_completion_tokens": None,
        }
    return {**given, "keep_alive": -1}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_described_is_taken(server: Server, path: str) -> None:
    @settings(
        max_examples=15,
        deadline=None,
        phases=[Phase.generate],  # no smaller one is looked for: that takes minutes
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(DOCUMENT[path]["POST"].as_strategy())
    def asks(case: Any) -> None:
        body = quick(path, whole(case.body))
        answer = server.request("POST", path, body)
        assert answer.status in (200, 400, 501), (answer.status, answer.body, body)
        if answer.status == 400:
            error = answer.json["error"]
            text = error if isinstance(error, str) else error["message"]
            assert MEANING.search(text), (text, body)

    asks()
