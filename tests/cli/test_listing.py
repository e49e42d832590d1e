"""`list`, `ps`, `cp`, `rm`, `stop` and `--version`: exact transcripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Fake, Reply, as_json, error, lines
from tropa import __version__
from tropa.cli.listing import model_table, processor, running_table

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
DIGEST = "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72"


def model(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "digest": DIGEST,
        "size": 2_019_393_189,
        "modified_at": "2026-08-01T08:00:00Z",
    } | more


def running(
    name: str, ahead: timedelta = timedelta(minutes=4, seconds=30), **more: object
) -> dict[str, object]:
    entry = {"size": 3_000_000_000, "size_vram": 0, "context_length": 4096}
    return {"name": name, "digest": DIGEST, "expires_at": (NOW + ahead).isoformat()} | entry | more


def test_list(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/tags"] = as_json(
        {
            "models": [
                model("llama3.2:latest", modified_at="0001-01-01T00:00:00Z"),
                model("big:cloud", remote_model="big", modified_at="nonsense"),
            ]
        }
    )
    table = (
        "NAME               ID              SIZE      MODIFIED \n"
        "llama3.2:latest    a80c4f17acd5    2.0 GB    Never       \n"
        "big:cloud          a80c4f17acd5    -         Never       \n"
    )
    assert tropa("list") == Transcript(0, table, "")
    assert tropa("ls").out == table
    assert tropa("list", "LLAMA").out.splitlines()[1:] == [
        "llama3.2:latest    a80c4f17acd5    2.0 GB    Never       "
    ]


def test_empty_lists_are_their_headers(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/tags"] = as_json({"models": []})
    fake.replies["GET /api/ps"] = as_json({"models": None})
    assert tropa("list") == Transcript(0, "NAME    ID    SIZE    MODIFIED \n", "")
    assert tropa("ps") == Transcript(0, "NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL \n", "")


def test_models_are_dated_from_now() -> None:
    assert model_table({"models": [model("x:1")]}, now=NOW).splitlines()[1].endswith("4 hours ago    ")


def test_ps_begins_with_the_columns_that_scripts_know() -> None:
    table = running_table(
        {
            "models": [
                running("tiny:latest", timedelta(days=292 * 365)),
                running("big:1", size_vram=3_000_000_000),
                running("mid:1", size_vram=1_560_000_000),
                running("old:1", timedelta(seconds=-1)),
            ]
        },
        now=NOW,
    )
    assert table == (
        "NAME           ID              SIZE    PROCESSOR          CONTEXT    UNTIL              \n"
        "tiny:latest    a80c4f17acd5    3 GB    100% CPU           4096       Forever               \n"
        "big:1          a80c4f17acd5    3 GB    100% GPU           4096       4 minutes from now    \n"
        "mid:1          a80c4f17acd5    3 GB    48%/52% CPU/GPU    4096       4 minutes from now    \n"
        "old:1          a80c4f17acd5    3 GB    100% CPU           4096       Stopping...           \n"
    )


def test_ps_tells_of_slots_and_waiting_requests_last() -> None:
    table = running_table({"models": [running("x:1", slots=4, slots_busy=3, waiting=12)]}, now=NOW)
    assert table == (
        "NAME    ID              SIZE    PROCESSOR    CONTEXT    UNTIL                 SLOTS    WAITING \n"
        "x:1     a80c4f17acd5    3 GB    100% CPU     4096       4 minutes from now    3/4      12         \n"
    )


def test_ps_filters_by_prefix_and_case_counts() -> None:
    answer = {"models": [running("Tiny:1"), running("tiny:2")]}
    assert [line.split()[0] for line in running_table(answer, "tiny", NOW).splitlines()] == ["NAME", "tiny:2"]


@pytest.mark.parametrize(
    ("size", "on_gpu", "text"),
    [
        (100, 0, "100% CPU"),
        (100, 100, "100% GPU"),
        (100, 101, "Unknown"),
        (0, 5, "Unknown"),
        (0, 0, "100% CPU"),
        (1000, 525, "48%/52% CPU/GPU"),
        (1000, 999, "0%/100% CPU/GPU"),
    ],
)
def test_processor(size: int, on_gpu: int, text: str) -> None:
    assert processor(size, on_gpu) == text


def test_cp(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/copy"] = Reply()
    assert tropa("cp", "a", "b") == Transcript(0, "copied 'a' to 'b'\n", "")
    assert fake.bodies("/api/copy") == [{"source": "a", "destination": "b"}]


def test_an_error_of_the_server_is_one_line(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/copy"] = error('model "a" not found', 404)
    assert tropa("cp", "a", "b") == Transcript(1, "", 'Error: model "a" not found\n')


def test_rm_unloads_first_and_stops_at_the_first_failure(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/generate"] = lambda asked: (
        error("model 'b' not found", 404)
        if asked.json["model"] == "b"
        else as_json({"done": True, "done_reason": "unload"})
    )
    fake.replies["DELETE /api/delete"] = lambda asked: (
        error("model 'b' not found", 404) if asked.json["model"] == "b" else Reply()
    )
    assert tropa("rm", "a", "b", "c") == Transcript(1, "deleted 'a'\n", "Error: model 'b' not found\n")
    assert fake.bodies("/api/generate") == [{"model": "a", "keep_alive": 0}, {"model": "b", "keep_alive": 0}]


def test_rm_goes_on_when_a_model_cannot_be_unloaded(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/generate"] = error("oh no", 500)
    fake.replies["DELETE /api/delete"] = Reply()
    assert tropa("rm", "a") == Transcript(0, "deleted 'a'\n", "Warning: unable to stop model 'a'\n")


def test_stop(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/generate"] = as_json({"done": True, "done_reason": "unload"})
    assert tropa("stop", "a") == Transcript(0, "", "")
    fake.replies["POST /api/generate"] = error("model 'a' not found", 404)
    assert tropa("stop", "a") == Transcript(1, "", 'Error: couldn\'t find model "a" to stop\n')
    fake.replies["POST /api/generate"] = error("broken", 500)
    assert tropa("stop", "a") == Transcript(1, "", "Error: 500 Internal Server Error: broken\n")


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(tropa: Run, fake: Fake, flag: str) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": __version__})
    assert tropa(flag) == Transcript(0, f"tropa version is {__version__}\n", "")


def test_version_of_another_server(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": "9.9.9"})
    mine = f"Warning: client version is {__version__}\n"
    assert tropa("--version") == Transcript(0, f"tropa version is 9.9.9\n{mine}", "")
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0"})
    assert tropa("--version") == Transcript(
        0, f"Warning: another server is running there, version 0.33.0\n{mine}", ""
    )


def test_version_without_a_server(run: Run, nobody: str) -> None:
    assert run("--version") == Transcript(
        0,
        f"Warning: could not connect to a running Tropa instance\nWarning: client version is {__version__}\n",
        "",
    )


def test_something_else_at_the_address(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/ps"] = Reply(b"<html>hello</html>")
    transcript = tropa("ps")
    assert transcript.status == 1
    assert transcript.err == (
        f"Error: unexpected answer from http://{fake.address}: this is not JSON\nIs it a Tropa server?\n"
    )


def test_an_older_server(tropa: Run) -> None:
    assert tropa("ps") == Transcript(
        1, "", "Error: the server does not know this request: is it an older one?\n"
    )


def test_a_page_is_not_shown_where_a_reason_should_be(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/ps"] = Reply(b"\n<!DOCTYPE html>\n<h1>Bad Gateway</h1>\n", 502)
    assert tropa("ps") == Transcript(1, "", f"Error: http://{fake.address} answers: 502 Bad Gateway\n")


def test_a_server_with_keys_says_how_to_show_one(tropa: Run, fake: Fake) -> None:
    refused = error("an API key is required", 401)
    fake.replies = {"GET /api/ps": refused, "GET /api/version": refused, "POST /api/generate": refused}
    hint = "Set TROPA_API_KEY to a key that this server knows\n"
    assert tropa("ps") == Transcript(1, "", f"Error: an API key is required\n{hint}")
    mine = f"Warning: client version is {__version__}\n"
    said = "Warning: the server does not say its version: an API key is required\n"
    assert tropa("--version") == Transcript(0, said + mine, "")
    assert tropa("rm", "a").err == f"Error: 401 Unauthorized: an API key is required\n{hint}"
    assert "DELETE /api/delete" not in fake.sequence()


def test_a_name_is_shown_as_it_is(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/generate"] = lines({"error": "bad\nnews"})
    assert tropa("stop", "a").err == "Error: bad\nnews\n"
