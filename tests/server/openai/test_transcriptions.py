"""`POST /v1/audio/transcriptions`: a form with a recording in, its text out; and what is no such form."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message

from tests.server.openai.conftest import KEY
from tests.service.test_sound import flac, mp3, wav
from tests.support.ear import FRAME, RATE, ear, tone
from tests.support.form import form
from tests.support.places import short_folder
from tests.support.processes import patience, until
from tests.support.scripted import scripted
from tests.support.server import Answer, Server, serving
from tropa.server.openai.form import read_form

PATH = "/v1/audio/transcriptions"
JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
WORDS = [" Good", " morning", ",", " herd", "."]
SAID = "Good morning, herd."


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With models that hear: `listener` says WORDS, `rambler` the same word for ever."""
    with short_folder() as folder, serving(folder, TROPA_ACCESS_LOG="json") as server:
        ears = ear(folder / "ear.gguf")
        for name, words in (("listener", WORDS), ("rambler", ["la", "lu", "la"])):
            path = scripted(folder / f"{name}.gguf", {"<go>": words}, template=JINJA)
            files = {each.name: server.upload(each) for each in (path, ears)}
            answer = server.post("/api/create", model=name, files=files)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
        yield server


def ask(server: Server, file: bytes | None = None, /, **fields: str) -> Answer:
    told = {"model": "listener", **fields}
    headers, body = form(told, {"file": tone() if file is None else file})
    return server.request("POST", PATH, body, headers)


def complaint(answer: Answer) -> str:
    error = answer.json["error"]
    assert error["type"] == "invalid_request_error", error
    assert isinstance(error["message"], str)
    return error["message"]


def test_a_recording_becomes_text(server: Server) -> None:
    answer = ask(server)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json["text"] == SAID
    usage = answer.json["usage"]
    assert usage["type"] == "tokens"
    assert usage["output_tokens"] == len(WORDS) + 1
    assert usage["input_tokens"] > 0.4 * RATE / FRAME
    assert answer.headers["X-Request-Id"]


def test_text_is_nothing_but_the_text(server: Server) -> None:
    answer = ask(server, response_format="text")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body == SAID.encode()


def test_a_verbose_answer_knows_how_long_it_was(server: Server) -> None:
    """Its segments are left out, which the dialect allows: nobody here knows them."""
    answer = ask(server, mp3(100), response_format="verbose_json", language="en").json
    assert (answer["task"], answer["language"], answer["text"]) == ("transcribe", "en", SAID)
    assert answer["duration"] == pytest.approx(100 * 1152 / 44100, abs=0.001)
    assert "segments" not in answer


def test_an_answer_explains_where_the_time_went(server: Server) -> None:
    assert ask(server, explain="true").json["explain"]["runner"]
    assert "explain" not in ask(server).json


def test_a_stream_tells_each_word_and_then_all_of_them(server: Server) -> None:
    answer = ask(server, stream="true")
    assert answer.headers["Content-Type"] == "text/event-stream"
    frames = [json.loads(frame.removeprefix(b"data: ")) for frame in answer.body.split(b"\n\n") if frame]
    *deltas, done = frames
    assert [each["delta"] for each in deltas] == ["Good", " morning", ",", " herd", "."]
    assert {each["type"] for each in deltas} == {"transcript.text.delta"}
    assert (done["type"], done["text"]) == ("transcript.text.done", SAID)
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


def test_hints_reach_the_model(server: Server) -> None:
    """More is said to it, by about as many tokens as there are letters."""
    plain = ask(server).json["usage"]["input_tokens"]
    for hint in (
        {"language": "de"},
        {"languages[]": "de"},
        {"keywords[]": "Tropa"},
        {"prompt": "Dear llamas,"},
    ):
        assert ask(server, **hint).json["usage"]["input_tokens"] >= plain + len(*hint.values())


def test_the_recording_itself_is_heard(server: Server) -> None:
    short, long = (ask(server, tone(seconds)).json["usage"]["input_tokens"] for seconds in (1, 3))
    assert long - short == 2 * RATE // FRAME


@pytest.mark.parametrize("file", [mp3(20), wav(bytes(RATE), claim=0xFFFFFFFF)])
def test_other_files_with_any_name(server: Server, file: bytes) -> None:
    headers, body = form({"model": "listener"}, {"file": file}, filename="../../etc/пароль\0.ogg")
    assert server.request("POST", PATH, body, headers).json["text"] == SAID


def test_a_model_may_be_let_go_at_once(server: Server) -> None:
    assert ask(server, keep_alive="0").json["text"] == SAID
    until(lambda: "listener:latest" not in server.ps(), "the model has left", within=10)


def test_a_text_that_was_cut_off_says_so(server: Server) -> None:
    answer = ask(server, model="rambler", **{"options[num_predict]": "4"})
    assert answer.json["finish_reason"] == "length"
    assert answer.headers["Tropa-Finish-Reason"] == "length"
    assert "finish_reason" not in ask(server).json


def test_log_probabilities_come_when_asked_for(server: Server) -> None:
    found = ask(server, **{"include[]": "logprobs"}).json["logprobs"]
    assert [each["token"] for each in found][: len(WORDS)] == WORDS
    assert all({*each} == {"token", "logprob", "bytes"} for each in found)
    assert "logprobs" not in ask(server).json


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": ""}, "model is required"),
        ({"response_format": "srt"}, '"srt", and models here say no times'),
        ({"response_format": "diarized_json"}, '(without segments) and "text" are possible'),
        ({"timestamp_granularities[]": "word"}, "models here say no times"),
        ({"include[]": "segments"}, 'can hold "logprobs" only, not "segments"'),
        ({"temperature": "warm"}, "'temperature' must be a number, not \"warm\""),
        ({"temperature": "-1"}, "'temperature' must be at least 0"),
        ({"temperature": "nan"}, "'temperature' is out of range"),
        ({"stream": "perhaps"}, "'stream' must be true or false"),
        ({"model": "tiny"}, '"tiny" does not support audio'),
        ({"options[temperature]": "warm"}, "temperature"),
    ],
)
def test_what_is_asked_for_wrongly_is_named(server: Server, fields: dict[str, str], why: str) -> None:
    answer = ask(server, **fields)
    assert answer.status == 400
    assert why in complaint(answer)


def test_a_model_that_is_not_there(server: Server) -> None:
    answer = ask(server, model="nobody")
    assert answer.status == 404
    assert answer.json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "audio file is empty"),
        (b"OggS" + bytes(40), "'file' is Ogg: WAV, MP3 and FLAC are taken"),
        (b"Good morning, herd.", "'file' is no sound: WAV, MP3 and FLAC are taken"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "'file' is no sound"),
        (wav(rate=1), "more than 60 minutes of sound"),
        (flac(1 << 34), "more than 60 minutes of sound"),
    ],
)
def test_a_file_that_can_not_be_heard(server: Server, file: bytes, why: str) -> None:
    answer = ask(server, file)
    assert answer.status == 400
    assert why in complaint(answer)


def test_what_does_not_fit_names_both_numbers(server: Server) -> None:
    answer = ask(server, tone(200), **{"options[num_ctx]": "2048"})
    assert answer.status == 400
    assert answer.json["error"]["code"] == "context_length_exceeded"
    assert "2048" in answer.json["error"]["message"]
    assert "even without the earlier messages" not in answer.json["error"]["message"]


def test_a_form_without_a_file(server: Server) -> None:
    headers, body = form({"model": "listener"}, {})
    assert complaint(server.request("POST", PATH, body, headers)).startswith("file is required: ")
    headers, body = form({"model": "listener", "file": "RIFF"}, {})
    assert "no file name" in complaint(server.request("POST", PATH, body, headers))
    headers, body = form({"model": "listener"}, {"audio": tone()})
    assert complaint(server.request("POST", PATH, body, headers)).startswith("file is required: ")


WHOLE, BODY = form({"model": "listener"}, {"file": tone()})


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({"Content-Type": "application/json"}, b'{"model": "listener"}', "not multipart/form-data"),
        ({}, b"", "not multipart/form-data"),
        ({"Content-Type": "multipart/form-data"}, BODY, "boundary"),
        ({"Content-Type": f"multipart/form-data; boundary={'x' * 500}"}, BODY, "multipart"),
        ({"Content-Type": "multipart/form-data; boundary=another"}, BODY, "multipart"),
        (WHOLE, form({"model": "listener"}, {"file": tone()}, whole=False)[1], "before its last boundary"),
        (WHOLE, BODY[:200], "before its last boundary"),
        (WHOLE, b"", "before its last boundary"),
        (WHOLE, BODY.replace(b'name="model"', b"nom=model"), "name"),
        (WHOLE, BODY.replace(b"Content-Disposition", b"X" * 9000), "multipart"),
        (WHOLE, form({"model": "m" * 300_000}, {"file": b"x"})[1], "maximum size"),
        (WHOLE, form({f"f{n}": "" for n in range(500)}, {"file": b"x"})[1], "Too many fields"),
        (WHOLE, form({"model": "m"}, {"file": b"x", "other": b"y"})[1], "Too many files"),
    ],
)
def test_what_is_no_form(server: Server, headers: dict[str, str], body: bytes, why: str) -> None:
    answer = server.request("POST", PATH, body, headers)
    assert answer.status == 400
    assert complaint(answer).startswith("failed to parse multipart form: ")
    assert why in complaint(answer)
    assert ask(server).json["text"] == SAID


def test_more_than_25_mib_are_not_taken(server: Server) -> None:
    answer = ask(server, wav(bytes(25 << 20), rate=48000))
    assert answer.status == 413
    assert "larger than 25 MiB" in answer.json["error"]["message"]


def test_a_body_without_end_is_not_waited_for(server: Server) -> None:
    """A head that promises 10 GB gets its answer as soon as too much has come."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {WHOLE['Content-Type']}\r\n"
    with socket.create_connection((server.host, server.port), timeout=patience(20)) as connection:
        connection.sendall(f"{head}Content-Length: {10 << 30}\r\n\r\n".encode() + BODY[:400])
        piece = bytes(1 << 20)
        try:
            for _ in range(64):
                connection.sendall(piece)
        except OSError:
            pass
        found = connection.recv(1 << 16)
    assert found.startswith(b"HTTP/1.1 413 ")


def test_who_leaves_in_the_middle_of_a_form_harms_nobody(server: Server) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {WHOLE['Content-Type']}\r\n"
    with socket.create_connection((server.host, server.port), timeout=patience(20)) as connection:
        connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:400])
    assert ask(server).json["text"] == SAID


def test_leaving_frees_the_slot(server: Server) -> None:
    headers, body = form({"model": "rambler", "stream": "true"}, {"file": tone()})
    with server.asking("POST", PATH, body, headers) as connection:
        assert connection.getresponse().readline().startswith(b"data: ")
        assert server.busy("rambler:latest") == 1
    until(lambda: server.busy("rambler:latest") == 0, "the slot is free", within=5)


def test_a_key_is_asked_for_before_the_form_is_read(keyed: Server) -> None:
    headers, body = form({"model": "tiny"}, {"file": tone()})
    assert keyed.request("POST", PATH, body, headers).status == 401
    answer = keyed.request("POST", PATH, body, headers | {"Authorization": f"Bearer {KEY}"})
    assert (answer.status, complaint(answer)) == (400, '"tiny" does not support audio')


def test_a_form_that_stops_coming_is_not_waited_for(keyed: Server) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: {WHOLE['Content-Type']}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection((keyed.host, keyed.port), timeout=patience(20)) as connection:
        connection.sendall(head.encode() + BODY[:400])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")


def test_other_routes_of_audio_are_not_there(server: Server) -> None:
    for path in ("/v1/audio/translations", "/v1/audio/speech"):
        assert server.post(path, model="listener").status == 404


def test_it_is_counted_and_logged_like_every_route(server: Server) -> None:
    ident = ask(server).headers["X-Request-Id"]
    assert f'route="{PATH}"' in server.get("/metrics").body.decode()

    def line() -> dict[str, Any]:
        text = server.log.read_text().splitlines()
        found = [json.loads(each) for each in text if each.startswith("{")]
        return next((each for each in found if each["id"] == ident), {})

    until(lambda: bool(line()), "the line of the request")
    assert (line()["route"], line()["status"], line()["model"]) == (PATH, 200, "listener:latest")
    assert line()["tokens"] == len(WORDS) + 1


async def test_nothing_is_written_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file is made")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    data = bytes(20 << 20)
    headers, body = form({"model": "m"}, {"file": data})
    pieces = [body[at : at + (64 << 10)] for at in range(0, len(body), 64 << 10)]

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    scope = {"type": "http", "headers": [(b"content-type", headers["Content-Type"].encode())]}
    found = await read_form(scope, receive)
    assert (found.files, found.fields) == ({"file": data}, {"model": ["m"]})
