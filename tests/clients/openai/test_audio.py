"""The official `openai` client, unmodified, with sounds: written down, and as parts of messages."""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients import test_node
from tests.support.ear import FRAME, RATE, ear, tone
from tests.support.places import short_folder
from tests.support.processes import patience
from tests.support.scripted import scripted
from tests.support.server import Server, serving

SAID = "Good morning, herd."

programs = test_node.programs


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With models that hear and say SAID: `go` by a template of ours, `jinja` by the engine's."""
    with short_folder() as folder, serving(folder) as server:
        jinja = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
        words = ["Good", " morning", ",", " herd", "."]
        path = scripted(folder / "m.gguf", {"<go>": words}, template=jinja)
        files = {each.name: server.upload(each) for each in (path, ear(folder / "ear.gguf"))}
        go = "{{ range .Messages }}{{ .Content }}{{ end }}<go>"
        made: dict[str, dict[str, Any]] = {"go": {"template": go}, "jinja": {}}
        for name, fields in made.items():
            answer = server.post("/api/create", model=name, files=files, **fields)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
        yield server


BOTH = pytest.mark.parametrize("model", ["go", "jinja"])


@BOTH
def test_a_recording_is_written_down(client: openai.OpenAI, model: str, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(tone())
    with path.open("rb") as file:
        made = client.audio.transcriptions.create(model=model, file=file)
    assert made.text == SAID
    assert made.usage
    assert made.usage.type == "tokens"
    assert made.usage.output_tokens == 6


def test_with_everything_one_can_say_about_it(client: openai.OpenAI) -> None:
    made = client.audio.transcriptions.create(
        model="jinja",
        file=("Grüße.mp3", io.BytesIO(tone()), "audio/mpeg"),
        language="en",
        prompt="Hello, llamas.",
        temperature=0.0,
        response_format="json",
        include=["logprobs"],
        extra_body={"options": {"num_ctx": 2048}},
    )
    assert made.text == SAID
    assert made.logprobs
    assert "".join(each.token or "" for each in made.logprobs).startswith(SAID)


def test_as_plain_text(client: openai.OpenAI) -> None:
    made = client.audio.transcriptions.create(model="jinja", file=("a.wav", tone()), response_format="text")
    assert made == SAID


def test_verbosely(client: openai.OpenAI) -> None:
    made = client.audio.transcriptions.create(
        model="jinja", file=("a.wav", tone(1.5)), response_format="verbose_json", language="en"
    )
    assert (made.text, made.duration, made.language, made.segments) == (SAID, 1.5, "en", None)


@BOTH
def test_streamed(client: openai.OpenAI, model: str) -> None:
    *deltas, done = client.audio.transcriptions.create(model=model, file=("a.wav", tone()), stream=True)
    assert [each.delta for each in deltas if each.type == "transcript.text.delta"] == [
        "Good",
        " morning",
        ",",
        " herd",
        ".",
    ]
    assert done.type == "transcript.text.done"
    assert (done.text, done.usage is not None) == (SAID, True)


async def test_by_the_asynchronous_client(aclient: openai.AsyncOpenAI) -> None:
    made = await aclient.audio.transcriptions.create(model="jinja", file=("a.wav", tone()))
    assert made.text == SAID
    stream = await aclient.audio.transcriptions.create(model="jinja", file=("a.wav", tone()), stream=True)
    assert [event.type async for event in stream][-1] == "transcript.text.done"


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="nobody", file=("a.wav", tone()))
    with pytest.raises(openai.BadRequestError, match='"tiny" does not support audio'):
        client.audio.transcriptions.create(model="tiny", file=("a.wav", tone()))
    with pytest.raises(openai.BadRequestError, match='"text" are possible'):
        client.audio.transcriptions.create(model="jinja", file=("a.wav", tone()), response_format="vtt")
    with pytest.raises(openai.NotFoundError):
        client.audio.speech.create(model="jinja", input="Hi", voice="alloy")


def part(data: str, form: str = "wav") -> Any:
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


@BOTH
def test_a_sound_in_a_chat(client: openai.OpenAI, model: str) -> None:
    def asked(*parts: Any) -> Any:
        content = [{"type": "text", "text": "What is said?"}, *parts]
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])

    assert asked(part(packed(tone()))).choices[0].message.content == SAID
    short, long = (asked(part(packed(tone(seconds)))).usage.prompt_tokens for seconds in (1, 2))
    assert long - short == RATE // FRAME
    # The content counts, and not what is said of it; some clients write an address.
    assert asked(part(f"data:audio/wav;base64,{packed(tone())}", "mp3")).choices[0].message.content == SAID


def test_a_sound_in_a_response(client: openai.OpenAI) -> None:
    message: Any = {
        "role": "user",
        "content": [{"type": "input_text", "text": "What is said?"}, part(packed(tone()))],
    }
    assert client.responses.create(model="jinja", input=[message]).output_text == SAID


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        ("nothing", "invalid input_audio format"),
        ({}, "invalid input_audio format: missing data"),
        ({"data": "", "format": "wav"}, "invalid input_audio format: missing data"),
        ({"data": 7}, "must be a string"),
        ({"data": "%%%"}, "invalid input_audio base64 data: illegal base64 data at input byte 0"),
        ({"data": packed(b"OggS" + bytes(40))}, "it is Ogg; WAV, MP3 and FLAC are taken"),
        ({"data": packed(b"hello")}, "it is of no known kind"),
    ],
)
def test_what_is_no_sound_is_named(client: openai.OpenAI, sound: Any, why: str) -> None:
    content: Any = [{"type": "input_audio", "input_audio": sound}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="jinja", messages=[{"role": "user", "content": content}])
    assert why in str(caught.value)
    assert str(caught.value.param).startswith("messages[0].content[0].input_audio")


@test_node.pytestmark[0]
@test_node.pytestmark[1]
def test_the_client_from_npm(server: Server, programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(tone())
    command = [str(test_node.NODE), str(programs / "hear_openai.mjs"), server.url, "jinja", SAID, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_model_without_ears_says_so(client: openai.OpenAI) -> None:
    content: Any = [part(packed(tone()))]
    with pytest.raises(openai.BadRequestError, match='"tiny" does not support audio'):
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": content}])
