"""Embeddings, from a random model of the kind that makes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.support import models
from tests.support.places import short_folder
from tests.support.server import Server, serving

WIDTH, CONTEXT = 128, 512
TEXTS = ["ba be bi", "do", "", "ba be bi", "fa fe " * 20, "ba be bi bo"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf", width=WIDTH, context=CONTEXT)
    with short_folder() as folder, serving(folder) as server:
        server.create("bert", path)
        yield server


def embed(server: Server, given: object, **fields: Any) -> dict[str, Any]:
    answer = server.post("/api/embed", model="bert", input=given, **fields)
    assert answer.status == 200, answer.body
    found = answer.json
    assert isinstance(found, dict)
    return found


def close(one: list[float], other: list[float]) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(one, other, strict=True))


def test_one_unit_vector_each_in_their_order(server: Server) -> None:
    found = embed(server, TEXTS)
    assert [*found] == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    vectors = found["embeddings"]
    assert len(vectors) == len(TEXTS)
    for vector in vectors:
        assert len(vector) == WIDTH
        assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-5)
    singly = [embed(server, text)["embeddings"][0] for text in TEXTS if text]
    assert all(map(close, [vectors[i] for i, text in enumerate(TEXTS) if text], singly))
    assert close(vectors[0], vectors[3])
    assert not close(vectors[0], vectors[1])


@pytest.mark.parametrize("text", ["ba be", "[CLS] ba", "ba<s>be", "x", "ünïcödé 字", "ba " * 100])
def test_a_text_has_the_same_vector_and_length_alone_and_in_company(server: Server, text: str) -> None:
    """Alone, a plain text goes to the engine as it is; in company, and with what looks special, as tokens."""
    alone, pair, other = embed(server, text), embed(server, [text, "do"]), embed(server, "do")
    assert close(alone["embeddings"][0], pair["embeddings"][0])
    assert alone["prompt_eval_count"] + other["prompt_eval_count"] == pair["prompt_eval_count"]


def test_callers_who_come_together_get_their_own_vectors(server: Server) -> None:
    texts = [f"{'ba ' * (i % 5 + 1)}{'do ' * (i % 3)}" for i in range(48)]
    expected = [embed(server, [text, text])["embeddings"][0] for text in texts]
    with ThreadPoolExecutor(16) as pool:
        found = [*pool.map(partial(embed, server), texts)]
    assert all(close(each["embeddings"][0], vector) for each, vector in zip(found, expected, strict=True))
    assert [each["prompt_eval_count"] for each in found] == [
        embed(server, text)["prompt_eval_count"] for text in texts
    ]


def test_more_texts_than_the_engine_takes_at_once(server: Server) -> None:
    texts = [f"{'ba ' * (i % 7 + 1)}{'do ' * (i % 11)}" for i in range(150)]
    vectors = embed(server, texts)["embeddings"]
    assert len(vectors) == 150
    assert close(vectors[77], vectors[0])
    assert all(close(vectors[i], embed(server, texts[i])["embeddings"][0]) for i in (1, 63, 64, 65, 149))


def test_fewer_dimensions_are_cut_and_made_unit_again(server: Server) -> None:
    whole = embed(server, "ba be")["embeddings"][0]
    cut = embed(server, "ba be", dimensions=8)["embeddings"][0]
    norm = math.hypot(*whole[:8])
    assert close(cut, [value / norm for value in whole[:8]])


@pytest.mark.parametrize("dimensions", [0, -1, WIDTH, 10_000])
def test_other_dimensions_change_nothing(server: Server, dimensions: int) -> None:
    assert close(
        embed(server, "ba", dimensions=dimensions)["embeddings"][0], embed(server, "ba")["embeddings"][0]
    )


@pytest.mark.parametrize("given", ["", [], None])
def test_no_text_only_loads(server: Server, given: object) -> None:
    assert embed(server, given) == {"model": "bert", "embeddings": []}
    assert "bert:latest" in server.ps()


def test_a_text_that_is_too_long_and_must_not_be_cut_names_both_numbers(server: Server) -> None:
    answer = server.post("/api/embed", model="bert", input=["ba", "ba " * 3000], truncate=False)
    assert answer.status == 400
    found = re.match(
        r"the input length exceeds the context length: (\d+) tokens, and the context has (\d+);", answer.error
    )
    assert found
    assert int(found[1]) > 3000
    assert int(found[2]) == CONTEXT
    assert '"truncate": true' in answer.error


@pytest.mark.parametrize("fields", [{}, {"truncate": None}, {"truncate": True}], ids=str)
def test_what_is_cut_is_told(server: Server, fields: dict[str, Any]) -> None:
    answer = server.post("/api/embed", model="bert", input=["ba", "ba " * 3000], **fields)
    found = answer.json
    assert answer.headers["tropa-truncated"] == f"texts=1, tokens={found['truncated_tokens'][1]}"
    kept, cut = found["truncated_tokens"]
    assert kept == 0
    assert cut > 3000 - CONTEXT
    assert len(found["embeddings"]) == 2
    assert found["prompt_eval_count"] < CONTEXT + 10
    assert "truncated_tokens" not in embed(server, ["ba"], **fields)


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"input": 3}, 400, "invalid input type"),
        ({"input": [1, 2]}, 400, "invalid input type"),
        ({"input": [["x"]]}, 400, "invalid input type"),
        ({"input": {}}, 400, "invalid input type"),
        ({"input": 3, "model": "nosuch"}, 400, "invalid input type"),
        ({"input": "x", "model": "nosuch"}, 404, 'model "nosuch" not found, try pulling it first'),
        ({"input": "x", "model": ""}, 404, "model '' not found"),
        ({"input": "x", "options": {"num_ctx": "x"}}, 500, 'option "num_ctx" must be of type integer'),
    ],
    ids=str,
)
def test_embed_refuses(server: Server, fields: dict[str, Any], status: int, error: str) -> None:
    answer = server.post("/api/embed", {"model": "bert", **fields})
    assert (answer.status, answer.error) == (status, error)


def test_a_chat_model_cannot_embed_and_says_so(server: Server) -> None:
    answer = server.post("/api/embed", model="tiny", input="x")
    assert answer.status == 501
    assert "does not support embeddings" in answer.error
    assert "tiny:latest" not in server.ps()
    assert server.post("/api/generate", model="tiny", prompt="Hi!", stream=False).status == 200


@pytest.mark.parametrize(("path", "what"), [("/api/generate", "generate"), ("/api/chat", "chat")])
def test_an_embedding_model_cannot_chat_and_says_so(server: Server, path: str, what: str) -> None:
    answer = server.post(path, model="bert", prompt="x", messages=[{"role": "user", "content": "x"}])
    assert (answer.status, answer.error) == (400, f'"bert" does not support {what}')


def test_the_older_route_cuts_only_for_who_says_so(server: Server) -> None:
    long = "ba " * 3000
    refused = server.post("/api/embeddings", model="bert", prompt=long)
    assert refused.status == 400
    assert 'allow cutting with "truncate": true' in refused.error
    cut = server.post("/api/embeddings", model="bert", prompt=long, truncate=True)
    assert (cut.status, [*cut.json]) == (200, ["embedding"])
    assert cut.headers["Tropa-Truncated"].startswith("texts=1, tokens=")


def test_the_older_route_has_one_text_and_one_vector(server: Server) -> None:
    answer = server.post("/api/embeddings", model="bert", prompt="ba be")
    assert [*answer.json] == ["embedding"]
    assert close(answer.json["embedding"], embed(server, "ba be")["embeddings"][0])
    assert server.post("/api/embeddings", model="bert", prompt="").json == {"embedding": []}
    assert server.post("/api/embeddings", model=" ", prompt="x").error == "model is required"
    wrong = server.post("/api/embeddings", model="bert", prompt=["x"])
    assert wrong.error == (
        "json: cannot unmarshal array into Go struct field EmbeddingRequest.prompt of type string"
    )
