"""Models, completions and embeddings with the official client."""

from __future__ import annotations

import math

import openai
import pytest

from tests.clients.openai.words import HELLO, SAMPLE


def test_models(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    tiny = listed["tiny:latest"]
    assert tiny.owned_by == "library"
    assert tiny.created > 1_500_000_000
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="model 'who/knows:latest' not found"):
        client.models.retrieve("who/knows")


def test_completions(client: openai.OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt=HELLO.question, temperature=0)
    assert (done.choices[0].text, done.choices[0].finish_reason) == (HELLO.answer, "stop")
    stream = client.completions.create(
        model="tiny", prompt=HELLO.question, temperature=0, stream=True, echo=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == HELLO.question + HELLO.answer


def test_completions_of_several_prompts(client: openai.OpenAI) -> None:
    done = client.completions.create(
        model="tiny", prompt=[each.question for each in SAMPLE[:2]], temperature=0, n=2, logprobs=2
    )
    assert [choice.text for choice in done.choices] == [each.answer for each in SAMPLE[:2] for _ in range(2)]
    for choice in done.choices:
        logprobs = choice.logprobs
        assert logprobs is not None
        assert "".join(logprobs.tokens or []) == choice.text
        assert [choice.text[at : at + 1] for at in logprobs.text_offset or []] == [
            token[:1] for token in logprobs.tokens or []
        ]
        assert all(len(each) == 2 for each in logprobs.top_logprobs or [])


def test_embeddings(client: openai.OpenAI, bert: str) -> None:
    texts = ["ba be", "do", "ba be"]
    found = client.embeddings.create(
        model=bert, input=texts, dimensions=16
    )  # the client asks for base64 itself
    assert [entry.index for entry in found.data] == [0, 1, 2]
    assert all(math.isclose(math.hypot(*entry.embedding), 1, rel_tol=1e-5) for entry in found.data)
    assert all(len(entry.embedding) == 16 for entry in found.data)
    assert found.usage.prompt_tokens == found.usage.total_tokens > 3
    plain = client.embeddings.create(model=bert, input=texts[0], dimensions=16, encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-6)
