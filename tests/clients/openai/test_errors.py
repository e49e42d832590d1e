"""What goes wrong, as the official client tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.clients.openai.words import WEATHER

USER: Any = [{"role": "user", "content": "Hi"}]
CALLS: list[tuple[Callable[[openai.OpenAI], object], type[openai.APIStatusError], str]] = [
    (
        lambda client: client.chat.completions.create(model="nosuch", messages=USER),
        openai.NotFoundError,
        "model 'nosuch' not found",
    ),
    (
        lambda client: client.chat.completions.create(model="nosuch", messages=USER, stream=True),
        openai.NotFoundError,
        "model 'nosuch' not found",
    ),
    (lambda client: client.completions.create(model="nosuch", prompt="x"), openai.NotFoundError, "not found"),
    (lambda client: client.responses.create(model="nosuch", input="x"), openai.NotFoundError, "not found"),
    (
        lambda client: client.embeddings.create(model="nosuch", input="x"),
        openai.NotFoundError,
        'model "nosuch" not found, try pulling it first',
    ),
    (
        lambda client: client.embeddings.create(model="tiny", input=[[1, 2], [3]]),
        openai.BadRequestError,
        "'input' invalid input type: lists of tokens are not supported",
    ),
    (lambda client: client.embeddings.create(model="tiny", input="x"), openai.BadRequestError, "embeddings"),
    (
        lambda client: client.chat.completions.create(model="tiny", messages=[]),
        openai.BadRequestError,
        r"\[\] is too short",
    ),
    (
        lambda client: client.chat.completions.create(model="tiny", messages=USER, tools=[WEATHER]),
        openai.BadRequestError,
        "does not support tools",
    ),
    (
        lambda client: client.chat.completions.create(
            model="tiny",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
                }
            ],
        ),
        openai.BadRequestError,
        "image URLs are not currently supported",
    ),
    (
        lambda client: client.chat.completions.create(
            model="tiny",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                }
            ],
        ),
        openai.BadRequestError,
        "does not support images",
    ),
    (
        lambda client: client.completions.create(model="tiny", prompt="x", suffix="y"),
        openai.BadRequestError,
        "does not support insert",
    ),
    (lambda client: client.completions.create(model="tiny", prompt=[1, 2]), openai.BadRequestError, "tokens"),
    (
        lambda client: client.completions.create(model="tiny", prompt="x", best_of=3),
        openai.BadRequestError,
        "'best_of'",
    ),
]


@pytest.mark.parametrize(("call", "kind", "said"), CALLS)
def test_errors_have_their_status_and_text(
    client: openai.OpenAI,
    call: Callable[[openai.OpenAI], object],
    kind: type[openai.APIStatusError],
    said: str,
) -> None:
    with pytest.raises(kind, match=said) as caught:
        call(client)
    assert isinstance(caught.value.body, dict)
    assert {*caught.value.body} == {"message", "type", "param", "code"}
