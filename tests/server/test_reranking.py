"""Reranking over HTTP, with a real engine and a random model that scores."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import models
from tests.support.server import Server

DOCUMENTS = ["ba be bi", "bo bu", "be", "ba ba ba ba", "ub"]
CONTEXT = 512


@pytest.fixture(autouse=True, scope="module")
def ranker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models")
    server.create("ranker", models.bert(folder / "ranker.gguf", pooling=4))
    server.create("bert", models.bert(folder / "bert.gguf"))


def rank(server: Server, path: str = "/api/rerank", **fields: Any) -> Any:
    answer = server.post(path, {"model": "ranker", "query": "ba be", "documents": DOCUMENTS, **fields})
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("path", ["/api/rerank", "/v1/rerank"])
def test_documents_come_best_first_each_with_its_place(server: Server, path: str) -> None:
    results = rank(server, path)["results"]
    assert sorted(each["index"] for each in results) == [0, 1, 2, 3, 4]
    scores = [each["relevance_score"] for each in results]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1


def test_a_document_has_the_same_score_in_any_company(server: Server) -> None:
    together = {each["index"]: each["relevance_score"] for each in rank(server)["results"]}
    for index, text in enumerate(DOCUMENTS):
        (alone,) = rank(server, documents=[text])["results"]
        assert alone["relevance_score"] == pytest.approx(together[index], abs=1e-4)


def test_more_documents_than_slots_all_get_a_score(server: Server) -> None:
    results = rank(server, documents=[f"ba {'be ' * (number % 7)}" for number in range(70)])["results"]
    assert sorted(each["index"] for each in results) == [*range(70)]


def test_top_n_and_the_documents_themselves(server: Server) -> None:
    results = rank(server, top_n=2, return_documents=True, documents=[{"text": text} for text in DOCUMENTS])[
        "results"
    ]
    assert len(results) == 2
    assert [each["document"] for each in results] == [{"text": DOCUMENTS[each["index"]]} for each in results]


def test_tokens_are_counted(server: Server) -> None:
    assert rank(server)["prompt_eval_count"] > len(DOCUMENTS)
    usage = rank(server, "/v1/rerank")["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > len(DOCUMENTS)


def test_no_documents_only_load(server: Server) -> None:
    assert rank(server, documents=[]) == {"model": "ranker", "results": []}
    assert "ranker:latest" in server.ps()


def test_a_document_that_is_too_long_names_both_numbers(server: Server) -> None:
    answer = server.post("/api/rerank", model="ranker", query="ba", documents=["be", "ba " * 3000])
    assert answer.status == 400
    assert "tokens, and the context has 512" in answer.error


def test_what_is_cut_on_request_is_told(server: Server) -> None:
    found = rank(server, documents=["be", "ba " * 3000], truncate=True)
    kept, cut = found["truncated_tokens"]
    assert kept == 0
    assert cut > 3000 - CONTEXT
    assert len(found["results"]) == 2


def test_show_says_what_the_model_is_for(server: Server) -> None:
    assert server.post("/api/show", model="ranker").json["capabilities"] == ["rerank"]


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/api/rerank", {"model": "bert"}, '"bert" does not support rerank'),
        ("/api/rerank", {"query": " "}, "query is required"),
        ("/api/rerank", {"documents": [1]}, "documents must be a list of texts"),
        ("/api/rerank", {"top_n": -1}, "top_n must be at least 1"),
        ("/api/embed", {"input": "ba"}, '"ranker" does not support embed'),
    ],
    ids=str,
)
def test_it_refuses(server: Server, path: str, fields: dict[str, Any], says: str) -> None:
    answer = server.post(path, {"model": "ranker", "query": "ba", "documents": DOCUMENTS, **fields})
    assert answer.status == 400
    assert says in answer.error
