"""How answers end, and how text is cut at the end: stop sequences, characters of several tokens, limits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.service.talking import chat, generate
from tests.support.places import short_folder
from tests.support.scripted import scripted
from tests.support.server import Server

GO = "{{ range .Messages }}{{ .Content }}{{ end }}<go>"
JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
SCRIPTS: dict[str, Sequence[str | bytes]] = {
    "end": ["Hel", "lo<", "|e", "nd|>x", " more"],
    "held": ["a<", "b"],
    "tail": ["ab", "c"],
    "euro": ["one ", b"\xe2", b"\x82", b"\xac", " two"],
    "cut-euro": ["one ", b"\xe2", b"\x82"],
    "emoji": [b"\xf0", b"\x9f", b"\x98", b"\x80", "!"],
    "broken": ["a", b"\xff", "b", b"\xc3", "c"],
    "stuck": ["again ", "again "],
    "blank": ["x", "\n", "\n"],
    "talks": [*(f"w{number} " for number in range(40)), "w0 "],
}


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        for name, pieces in SCRIPTS.items():
            path = scripted(folder / f"{name}.gguf", {"<go>": pieces}, template=JINJA)
            server.create(f"{name}-jinja", path)
            server.create(name, path, template="{{ if .Suffix }}{{ end }}" + GO)
        path = scripted(folder / "stops.gguf", {"<go>": ["one ", "two ", "three"]}, template=JINJA)
        server.create("stops", path, parameters={"stop": ["two"]})
    return server


BOTH = pytest.mark.parametrize("kind", ["", "-jinja"], ids=["go", "jinja"])


@BOTH
@pytest.mark.parametrize(
    ("model", "stops", "text"),
    [
        ("end", ["<|end|>"], "Hello"),
        ("end", ["l"], "He"),
        ("end", ["nothing", "o<", "lo"], "Hel"),
        ("end", [""], "Hello<|end|>x more"),
        ("end", ["<|END|>"], "Hello<|end|>x more"),
        ("held", ["<|end|>"], "a<b"),
        ("tail", ["cd"], "abc"),
        ("euro", ["€"], "one "),
        ("euro", [" two"], "one €"),
        ("emoji", ["!"], "😀"),
    ],
)
def test_stop_sequences(models: Server, kind: str, model: str, stops: list[str], text: str) -> None:
    said = chat(models, model + kind, "Hi", options={"stop": stops})
    assert (said.text, said.end["done_reason"]) == (text, "stop")
    assert generate(models, model + kind, "Hi", options={"stop": stops}).text == text


def test_a_requests_stop_replaces_the_models(models: Server) -> None:
    assert chat(models, "stops", "Hi").text == "one "
    assert chat(models, "stops", "Hi", options={"stop": ["three"]}).text == "one two "
    assert chat(models, "stops", "Hi", options={"stop": []}).text == "one two three"


@BOTH
def test_a_character_of_several_tokens_comes_whole(models: Server, kind: str) -> None:
    assert chat(models, f"euro{kind}", "Hi").pieces == ["one ", "€", " two"]
    assert chat(models, f"emoji{kind}", "Hi").pieces == ["😀", "!"]


@BOTH
@pytest.mark.parametrize("limit", range(1, 6))
def test_half_a_character_is_never_sent(models: Server, kind: str, limit: int) -> None:
    said = chat(models, f"euro{kind}", "Hi", options={"num_predict": limit})
    assert (
        said.text == "one €"
        if limit in (4, 5) and limit != 5
        else said.text in ("one ", "one €", "one € two")
    )
    assert said.text == ("one ", "one ", "one ", "one €", "one € two")[limit - 1]
    assert said.end["done_reason"] == "length"
    assert said.end["eval_count"] == limit
    assert chat(models, f"cut-euro{kind}", "Hi").text == "one "


@BOTH
def test_bytes_that_are_no_text_hold_up_nothing(models: Server, kind: str) -> None:
    said = chat(models, f"broken{kind}", "Hi")
    assert said.text.startswith("a")
    assert said.text.endswith("c")
    assert "b" in said.text


@pytest.mark.parametrize("model", ["stuck", "blank"])
def test_a_model_that_got_stuck_is_stopped(models: Server, model: str) -> None:
    said = chat(models, model, "Hi", options={"num_predict": 200})
    repeated = SCRIPTS[model][-1]
    assert isinstance(repeated, str)
    assert said.text.endswith(repeated * 31)
    assert not said.text.endswith(repeated * 32)
    assert said.end["done_reason"] == "stop"
    assert said.end["eval_count"] in (31, 32)
    assert said.end["prompt_eval_count"] > 0
    assert generate(models, f"{model}-jinja", "Hi", options={"num_predict": 200}).text == said.text


def test_a_chat_by_the_engines_template_may_repeat_itself(models: Server) -> None:
    said = chat(models, "stuck-jinja", "Hi", options={"num_predict": 100})
    assert (len(said.pieces), said.end["done_reason"]) == (100, "length")


@BOTH
@pytest.mark.parametrize("limit", [0, 1, 7, -1, -2])
def test_limits(models: Server, kind: str, limit: int) -> None:
    """Less than none: until the context is full."""
    said = chat(models, f"talks{kind}", "Hi", options={"num_predict": limit, "num_ctx": 64})
    tokens = said.end.get("eval_count", 0)
    assert tokens == (limit if limit >= 0 else 64 - said.end["prompt_eval_count"])
    assert len(said.pieces) == tokens
    assert said.end["done_reason"] == "length"
