"""Sounds in a prompt: they come as images do, reach the engine by either kind of template, and need a model with
ears."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import ollama
import pytest

from tests.service.talking import GREEDY, chat, generate, prompted, rendered, user
from tests.service.test_sound import flac, mp3, wav
from tests.support.ear import FRAME, RATE, ear, tone
from tests.support.places import short_folder
from tests.support.projector import picture, projector
from tests.support.scripted import scripted
from tests.support.server import Server
from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.library.model import Blob, Model
from tropa.service import media
from tropa.service.errors import BadSound, NotCapable


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


HALF, WHOLE = packed(tone(0.5)), packed(tone(1.0))
BESIDE = len("<|audio>") + len("<audio|>")
"""Tokens round each sound: words of another family, which the scripted model spells."""


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        jinja = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
        go = "{{ range .Messages }}{{ .Content }}{{ end }}<go>"
        path = scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template=jinja)
        files = {each.name: server.upload(each) for each in (path, ear(folder / "ear.gguf"))}
        seeing = {each.name: server.upload(each) for each in (path, projector(folder / "eye.gguf"))}
        made: dict[str, dict[str, Any]] = {
            "go": {"files": files, "template": go},
            "jinja": {"files": files},
            "eye": {"files": seeing},
        }
        for name, fields in made.items():
            answer = server.post("/api/create", model=name, **fields)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
    return server


BOTH = pytest.mark.parametrize("model", ["go", "jinja"])


@BOTH
def test_a_sound_takes_its_place_in_the_prompt(models: Server, model: str) -> None:
    assert rendered(models, model, [user("What is it?", images=[HALF])]) == "[img-0]What is it?<go>"
    without = chat(models, model, "What is it?").end["prompt_eval_count"]
    for sounds, seconds in (([HALF], 0.5), ([WHOLE], 1.0), ([HALF, WHOLE], 1.5)):
        heard = chat(models, model, [user("What is it?", images=sounds)])
        assert heard.text == "Yes"
        frames = sum(-(-int(each * RATE) // FRAME) for each in ([0.5, 1.0] if seconds == 1.5 else [seconds]))
        assert heard.end["prompt_eval_count"] == without + frames + BESIDE * len(sounds)


@BOTH
def test_the_author_says_where_sounds_stand(models: Server, model: str) -> None:
    shown = prompted(models, model, "First [img] then [img].", images=[HALF, WHOLE])
    assert shown == "First [img-0] then [img-1].<go>"
    assert generate(models, model, "First [img] then [img].", images=[HALF, WHOLE]).text == "Yes"


def test_a_raw_prompt_has_its_own_marks(models: Server) -> None:
    heard = generate(models, "go", "[img-0]<go>", raw=True, images=[HALF]).end["prompt_eval_count"]
    assert heard > generate(models, "go", "<go>", raw=True, images=[HALF]).end["prompt_eval_count"]


@BOTH
@pytest.mark.parametrize("data", [mp3(20), wav(bytes(RATE), claim=0xFFFFFFFF)])
def test_other_ways_to_write_a_sound(models: Server, model: str, data: bytes) -> None:
    assert chat(models, model, [user("What?", images=[packed(data)])]).text == "Yes"


def test_the_official_client_sends_a_sound_as_an_image(models: Server, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(tone())
    values: tuple[Path | bytes | str, ...] = (path, tone(), HALF)
    with ollama.Client(host=models.url) as client:
        for image in (ollama.Image(value=value) for value in values):
            message = ollama.Message(role="user", content="What?", images=[image])
            assert client.chat("jinja", [message]).message.content == "Yes"
            assert client.generate("jinja", "What?", images=[image]).response == "Yes"


def test_a_model_says_that_it_hears(models: Server) -> None:
    capabilities = {
        name: models.post("/api/show", model=name).json["capabilities"] for name in ("jinja", "eye", "tiny")
    }
    assert capabilities == {
        "jinja": ["completion", "audio"],
        "eye": ["completion", "vision"],
        "tiny": ["completion"],
    }
    tags = {entry["model"]: entry.get("capabilities") for entry in models.get("/api/tags").json["models"]}
    assert tags["jinja:latest"] == capabilities["jinja"]


@pytest.mark.parametrize(
    ("model", "data", "complaint"),
    [
        ("tiny", HALF, '"tiny" does not support audio'),
        ("eye", HALF, '"eye" does not support audio'),
        ("jinja", picture(), '"jinja" does not support images'),
        ("jinja", packed(b"OggS" + bytes(40)), "the sound is Ogg: WAV, MP3 and FLAC are taken"),
        ("jinja", packed(wav(rate=1)), "the request holds more than 60 minutes of sound: send it in pieces"),
        (
            "jinja",
            packed(flac(1 << 30)),
            "the request holds more than 60 minutes of sound: send it in pieces",
        ),
        ("jinja", packed(flac(0)), "the FLAC does not say how long it is"),
        ("jinja", packed(wav(b"\1\0")), "the sound is shorter than 0.02 seconds"),
        ("jinja", packed(mp3(1, says=1, silence=(0, 1151))), "the sound is shorter than 0.02 seconds"),
    ],
)
def test_what_a_model_can_not_hear_is_refused_before_it_is_loaded(
    models: Server, model: str, data: str, complaint: str
) -> None:
    told = {"options": GREEDY | {"num_ctx": 2304}}  # which would be a runner of its own
    for path, body in (
        ("/api/chat", {"messages": [user("What?", images=[data])]}),
        ("/api/generate", {"prompt": "What?", "images": [data]}),
    ):
        answer = models.post(path, model=model, **body, **told)
        assert (answer.status, answer.error[: len(complaint)]) == (400, complaint)
        assert models.ps().get(f"{model}:latest", {}).get("context_length") != 2304


@pytest.mark.parametrize("samples", [320, 321, FRAME, FRAME + 1])
def test_the_shortest_sounds_do_no_harm(models: Server, samples: int) -> None:
    """One of a single sample ends an engine; these are the shortest that are let through."""
    assert chat(models, "jinja", [user("What?", images=[packed(wav(bytes(2 * samples)))])]).text == "Yes"


def test_a_broken_sound_is_the_senders_mistake(models: Server) -> None:
    answer = models.post("/api/chat", model="jinja", messages=[user("What?", images=[packed(flac(RATE))])])
    assert answer.status == 400
    assert "audio" in answer.error
    assert chat(models, "jinja", [user("What?", images=[HALF])]).text == "Yes"


def test_what_does_not_fit_names_both_numbers(models: Server) -> None:
    answer = models.post(
        "/api/chat",
        model="jinja",
        messages=[user("What?", images=[packed(tone(100))])],
        options={"num_ctx": 2048},
        truncate=False,
    )
    assert answer.status == 400
    assert "2048" in answer.error
    assert str(100 * RATE // FRAME + BESIDE + len("What?") + 2) in answer.error


def test_sounds_of_dropped_messages_go_too(models: Server) -> None:
    turns = [user("A" * 900, images=[HALF]), user("B" * 900, images=[WHOLE]), user("C" * 100, images=[HALF])]
    messages = [each for turn in turns for each in (turn, {"role": "assistant", "content": "x"})][:-1]
    shown = rendered(models, "jinja", messages, options={"num_ctx": 2048})
    assert ("A" in shown, "B" in shown, "C" in shown) == (False, False, True)


# Without an engine.


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    model = Library(tmp_path_factory.mktemp("models"), packaged()).find("tiny")
    assert model.weights is not None
    beside = (Blob(model.weights.digest, model.weights.path),)
    return replace(model, projectors=beside, capabilities=("completion", "audio"))


async def test_text_alone_needs_nothing(hearing: Model) -> None:
    await media.check(replace(hearing, projectors=(), capabilities=()), "tiny", [])


async def test_ears_without_a_projector_are_of_no_use(hearing: Model) -> None:
    with pytest.raises(NotCapable, match='"m" does not support audio'):
        await media.check(replace(hearing, projectors=()), "m", [HALF])


async def test_all_sounds_of_a_request_count_together(hearing: Model) -> None:
    long = packed(flac(RATE * 2000))
    await media.check(hearing, "m", [long])
    with pytest.raises(BadSound, match="more than 60 minutes"):
        await media.check(hearing, "m", [long, long])


async def test_a_sound_counts_for_as_much_as_its_length_can_be() -> None:
    assert await media.tokens([]) == 0
    assert await media.tokens([picture(), HALF]) == 2 * 768
    assert await media.tokens([packed(flac(RATE * 90))]) == 3 * 768
