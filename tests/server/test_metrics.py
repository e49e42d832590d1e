"""What Prometheus scrapes: the counts are those of what was asked, whatever clients make up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support import models
from tests.support.debian import program
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving
from tropa.runners.spread import BUCKETS, MOST_LABELS, SECOND, Spread

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_predict": 4}}


@pytest.fixture
def server() -> Iterator[Server]:
    """Nothing was asked of it but whether it is there."""
    with short_folder() as folder, serving(folder) as server:
        yield server


def scraped(server: Server) -> Samples:
    answer = server.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    families: list[Metric] = list(parse_text(answer.body.decode()))
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


def test_requests_and_tokens_are_counted(server: Server) -> None:
    first = server.request("POST", "/api/chat", CHAT).lines[-1]
    again = server.request("POST", "/api/chat", {**CHAT, "stream": False}).json
    found = scraped(server)
    assert value(found, "tropa_http_requests_total", method="POST", route="/api/chat", status="200") == 2
    assert value(found, "tropa_prompt_tokens_total", model="tiny:latest") == (
        first["prompt_eval_count"] + again["prompt_eval_count"]
    )
    assert value(found, "tropa_generated_tokens_total", model="tiny:latest") == 8
    assert value(found, "tropa_cached_tokens_total", model="tiny:latest") == (
        first.get("cached_tokens", 0) + again.get("cached_tokens", 0)
    )
    seconds = value(found, "tropa_generation_seconds_total", model="tiny:latest")
    assert seconds == pytest.approx((first["eval_duration"] + again["eval_duration"]) / SECOND)


def test_the_first_request_waited_for_the_load_and_the_second_for_nothing(server: Server) -> None:
    load = server.request("POST", "/api/chat", CHAT).lines[-1]["load_duration"] / SECOND
    alone = scraped(server)
    waited = value(alone, "tropa_request_load_seconds_sum", model="tiny:latest")
    assert 0 < waited <= load
    assert value(alone, "tropa_request_queue_seconds_sum", model="tiny:latest") < load
    assert value(alone, "tropa_request_first_token_seconds_count", model="tiny:latest") == 1
    assert value(alone, "tropa_request_first_token_seconds_sum", model="tiny:latest") > waited
    server.request("POST", "/api/chat", CHAT)
    both = scraped(server)
    assert value(both, "tropa_request_load_seconds_sum", model="tiny:latest") == waited
    assert value(both, "tropa_request_load_seconds_count", model="tiny:latest") == 2


def test_the_herd_is_pictured(server: Server) -> None:
    empty = scraped(server)
    assert value(empty, "tropa_runners", state="ready") == 0
    assert value(empty, "tropa_device_memory_total_bytes", device="cpu") > 0
    server.request("POST", "/api/generate", {"model": "tiny"})
    entry = server.ps()["tiny:latest"]
    found = scraped(server)
    assert value(found, "tropa_runners", state="ready") == 1
    assert value(found, "tropa_runner_slots", model="tiny:latest") == entry["slots"]
    assert value(found, "tropa_runner_memory_bytes", model="tiny:latest", device="cpu") > 0
    assert value(found, "tropa_device_memory_promised_bytes", device="cpu") > 0
    assert value(found, "tropa_http_requests_in_progress") == 1, "the scrape itself"
    assert value(found, "tropa_queue_requests") == 0


def test_who_works_and_who_waits_is_seen_from_outside(slow_model: Path) -> None:
    endless = {"model": "slow", "prompt": "Hi", "options": {"num_predict": -1, "temperature": 0}}
    with short_folder() as folder, serving(folder, OLLAMA_NUM_PARALLEL="1") as server:
        server.create("slow", slow_model)
        with server.asking("POST", "/api/generate", endless), server.asking("POST", "/api/generate", endless):
            until(
                lambda: (
                    (now := scraped(server))
                    and value(now, "tropa_runner_slots_busy", model="slow:latest") == 1
                    and value(now, "tropa_queue_requests") == 1
                ),
                "one works and one waits",
            )


def test_what_clients_make_up_is_no_label(server: Server) -> None:
    for name, method in (("one", "PROPFIND"), ("two", "MKCOL"), ("three", "PURGE")):
        assert server.get(f"/{name}").status == 404
        assert server.request("POST", "/api/chat", {**CHAT, "model": name}).status == 404
        assert server.request(method, "/api/tags").status == 405
        assert server.get(f"/v1/models/{name}").status == 404
    found = scraped(server)
    assert value(found, "tropa_http_requests_total", method="GET", route="other", status="404") == 3
    assert value(found, "tropa_http_requests_total", method="POST", route="/api/chat", status="404") == 3
    assert value(found, "tropa_http_requests_total", method="other", route="/api/tags", status="405") == 3
    said = {value for _, labels in found for _, value in labels}
    assert not {"one", "two", "three", "propfind", "mkcol", "purge"} & {
        part for each in said for part in each.lower().split("/")
    }


ENDLESS = {"model": "slow", "prompt": "Hi", "options": {"num_predict": -1, "temperature": 0}}


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_an_answer_that_was_cut_off_counts_what_it_cost(server: Server, slow_model: Path, path: str) -> None:
    """The engine tells its figures at the end, which never came."""
    server.create("slow", slow_model)
    said = {"messages": [{"role": "user", "content": "Hi"}]} if path == "/api/chat" else {}
    with server.stream(path, **ENDLESS, **said) as records:
        heard = [next(records) for _ in range(20)]
    assert not heard[-1]["done"]
    until(lambda: value(scraped(server), "tropa_http_answers_cut_total", route=path) == 1, "it has ended")
    found = scraped(server)
    assert 20 <= value(found, "tropa_generated_tokens_total", model="slow:latest") < 1000
    assert value(found, "tropa_prompt_tokens_total", model="slow:latest") > 0
    assert value(found, "tropa_generation_seconds_total", model="slow:latest") > 0
    assert value(found, "tropa_prompt_seconds_total", model="slow:latest") > 0


def test_who_gave_up_waiting_has_waited(slow_model: Path) -> None:
    with short_folder() as folder, serving(folder, OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="1") as server:
        server.create("slow", slow_model)
        with server.asking("POST", "/api/generate", ENDLESS):
            until(lambda: server.busy("slow:latest") == 1, "the slot is taken")
            with server.asking("POST", "/api/generate", ENDLESS):
                until(
                    lambda: value(scraped(server), "tropa_runner_waiting", model="slow:latest") == 1,
                    "it waits",
                )
                assert server.post("/api/generate", ENDLESS).status == 503
            until(
                lambda: value(scraped(server), "tropa_request_queue_seconds_count", model="slow:latest") == 1,
                "it has given up",
            )
        found = scraped(server)
        assert value(found, "tropa_request_queue_seconds_sum", model="slow:latest") > 0
        assert value(found, "tropa_refused_requests_total", reason="queue-full") == 1
        assert value(found, "tropa_refused_requests_total", reason="too-big") == 0


def test_loads_and_unloads_are_counted_with_their_outcome_and_reason(slow_model: Path) -> None:
    with short_folder() as folder, serving(folder, OLLAMA_MAX_LOADED_MODELS="1") as server:
        server.create("slow", slow_model)
        server.create("broken", slow_model, parameters={"num_ctx": 1 << 40})
        for model in ("tiny", "slow", "tiny"):
            assert server.post("/api/generate", model=model).status == 200
        assert server.post("/api/generate", model="broken").status >= 400
        (engine,) = [child for child in server.children() if "tiny" in " ".join(child.cmdline())]
        engine.kill()
        until(
            lambda: value(scraped(server), "tropa_unloads_total", model="tiny:latest", reason="died"),
            "it died",
        )
        assert server.post("/api/generate", model="tiny").status == 200
        assert server.post("/api/generate", model="tiny", keep_alive=0).status == 200
        expired = {"model": "tiny:latest", "reason": "expired"}
        until(lambda: value(scraped(server), "tropa_unloads_total", **expired) == 1, "it was let go")
        found = scraped(server)
    assert value(found, "tropa_loads_total", model="tiny:latest", outcome="ready") == 3
    assert value(found, "tropa_loads_total", model="slow:latest", outcome="ready") == 1
    assert value(found, "tropa_model_load_seconds_count", model="tiny:latest") == 3
    assert value(found, "tropa_model_load_seconds_sum", model="tiny:latest") > 0
    assert value(found, "tropa_unloads_total", model="tiny:latest", reason="room") == 1
    assert value(found, "tropa_unloads_total", model="slow:latest", reason="room") == 1


def test_promtool_has_nothing_to_say_against_it(server: Server) -> None:
    server.request("POST", "/api/chat", CHAT)
    tool = program("prometheus", "usr/bin/promtool")
    if tool is None:
        pytest.skip("there is no Debian package of prometheus here, with its promtool")
    text = server.get("/metrics").body
    told = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert (told.returncode, told.stderr) == (0, b"")


def test_models_beyond_any_number_are_no_labels() -> None:
    spread = Spread()
    for number in range(2 * MOST_LABELS):
        spread.add(f"model-{number}", SECOND)
    rows = {label: buckets[-1][1] for label, buckets, _ in spread.rows()}
    assert len(rows) == MOST_LABELS + 1
    assert rows["other"] == MOST_LABELS


def test_embeddings_count_their_tokens(server: Server, tmp_path: Path) -> None:
    server.create("bert", models.bert(tmp_path / "bert.gguf", width=128, context=512))
    reply = server.request("POST", "/api/embed", {"model": "bert", "input": ["one two", "three"]})
    assert reply.status == 200, reply.body
    tokens = value(scraped(server), "tropa_prompt_tokens_total", model="bert:latest")
    assert tokens == reply.json["prompt_eval_count"]


def test_openmetrics_on_request(server: Server) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    answer = server.get("/metrics", {"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families: list[Metric] = list(parse_openmetrics(answer.body.decode()))  # type: ignore[no-untyped-call]
    assert "tropa_runners" in {family.name for family in families}


@pytest.mark.parametrize("bound", BUCKETS)
def test_a_value_on_a_bound_is_within_it(bound: float) -> None:
    spread = Spread()
    spread.add("x", round(bound * SECOND))
    spread.add("x", 10_000 * SECOND)
    ((label, buckets, total),) = spread.rows()
    assert label == "x"
    assert dict(buckets)[str(bound)] == 1.0
    assert dict(buckets)["+Inf"] == 2.0
    assert total == pytest.approx(bound + 10_000)


def test_a_server_that_nobody_scrapes_does_not_load_the_library() -> None:
    asked = "import sys, tropa.server.main; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], timeout=60).returncode == 0
