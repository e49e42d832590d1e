"""Open WebUI, unmodified, chats through a server of ours, in a real browser."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.open_webui.cast import DESK
from tests.heavy.open_webui.page import Page
from tests.heavy.open_webui.program import WebUI
from tests.heavy.open_webui.traffic import Traffic
from tests.support.bundled import questions
from tests.support.processes import until
from tests.support.projector import picture
from tests.support.server import Server

DIALECTS = {
    "": "POST /api/chat",
    "openai.": "POST /v1/chat/completions",
    "responses.": "POST /v1/responses",
}
"""What a connection puts before a model's name, and where its chats then go."""

by_every_connection = pytest.mark.parametrize("prefix", DIALECTS, ids=["ollama", "openai", "responses"])


@pytest.fixture(scope="module")
def tiny(webui: WebUI) -> str:
    """The bundled model, set up as one without tools has to be: else Open WebUI sends some with every chat."""
    for prefix in DIALECTS:
        name = f"{prefix}tiny:latest"
        params = {"function_calling": "legacy", "temperature": 0}
        made = webui.post("/api/v1/models/create", id=name, name=name, meta={}, params=params)
        assert made.status == 200, made.body
    return "tiny:latest"


def test_every_connection_finds_the_models(page: Page, tiny: str, webui: WebUI, server: Server) -> None:
    ours = [entry["name"] for entry in server.get("/api/tags").json["models"]]
    assert len(ours) > 5
    assert {*webui.known()} >= {prefix + name for prefix in DIALECTS for name in ours}
    page.open(tiny)
    page.find(tiny)
    until(lambda: {*page.offered} >= {prefix + tiny for prefix in DIALECTS}, "tiny is offered by all")


@by_every_connection
def test_what_is_known_is_asked_and_answered_twice(
    page: Page, tiny: str, prefix: str, traffic: Traffic
) -> None:
    first, second = questions()[:2]
    page.open(prefix + tiny)
    page.ask(first.question)
    page.answered(first.answer)
    page.ask(second.question)
    page.answered(second.answer)
    assert page.answers == [first.answer, second.answer]
    until(lambda: len(_chats(traffic, prefix, tiny)) == 2, "two chats are told in the access log")
    once, again = _chats(traffic, prefix, tiny)
    assert again["prompt_tokens"] > once["prompt_tokens"]
    assert again["cached_tokens"] > 0
    assert page.complaints() == []


@by_every_connection
def test_an_answer_is_shown_while_it_is_made_and_stopping_it_frees_the_slot(
    page: Page, server: Server, prefix: str, traffic: Traffic
) -> None:
    page.open(f"{prefix}slow:latest")
    page.ask("Go on and on.")
    until(lambda: page.answers and len(page.answers[0]) > 100, "the answer has begun")
    begun = len(page.answers[0])
    until(lambda: len(page.answers[0]) > begun + 100, "the answer grows")
    assert server.busy("slow:latest") == 1
    page.click("Stop")
    until(lambda: server.busy("slow:latest") == 0, "the slot is free", within=5)
    page.ask("And again.")
    until(lambda: len(page.answers) == 2 and len(page.answers[1]) > 100, "the next one is answered")
    page.click("Stop")
    traffic.expected.add(f"{DIALECTS[prefix]} cut")
    until(lambda: _cut(_chats(traffic, prefix, "slow:latest")) == 2, "both answers end early", within=5)


@by_every_connection
def test_a_tool_is_called_and_what_it_says_goes_back(page: Page, prefix: str, traffic: Traffic) -> None:
    """One of those that Open WebUI has itself, run by it."""
    page.open(f"{prefix}caller:latest")
    page.ask("What time is it?")
    until(lambda: page.answers and page.answers[0].endswith("It is noon."), "the model has the last word")
    page.shows("get_current_timestamp")
    assert len(_chats(traffic, prefix, "caller:latest")) == 2


@by_every_connection
def test_thinking_is_shown_apart(page: Page, prefix: str) -> None:
    page.open(f"{prefix}thinker:latest")
    page.ask("What time is it?")
    until(lambda: page.answers and page.answers[0].endswith("It is noon."), "it is answered")
    assert "Thought" in page.answers[0]
    assert "High sun?" not in page.answers[0]
    assert "think>" not in page.answers[0]


def test_a_chat_gets_a_title_and_questions_to_go_on_with(page: Page) -> None:
    """Asked for by Open WebUI while, and after, the answer is made."""
    page.open("reader:latest")
    page.ask("What does the clock say?")
    page.answered("It says noon.")
    page.shows(DESK["follow_ups"][0])
    until(lambda: str(DESK["title"]) in page.title, "the chat has its title")


@by_every_connection
def test_an_image_is_sent_along(page: Page, prefix: str, tmp_path: Path, traffic: Traffic) -> None:
    image = tmp_path / "red.png"
    image.write_bytes(base64.b64decode(picture()))
    model = f"{prefix}seer:latest"
    page.open(model)
    page.ask("What colour?")
    page.answered("Red.")
    page.open(model)
    page.attach(image)
    page.ask("What colour?")
    page.answered("Red.")
    until(lambda: len(_chats(traffic, prefix, "seer:latest")) == 2, "two chats are told in the access log")
    without, seen = _chats(traffic, prefix, "seer:latest")
    assert seen["prompt_tokens"] > without["prompt_tokens"]


def test_a_document_is_read_and_quoted(page: Page, traffic: Traffic, tmp_path: Path) -> None:
    """It is cut into pieces, and we make each a vector; what is asked then finds the nearest."""
    clocks = tmp_path / "clocks.txt"
    rooms = (f"The clock of room {room} says noon. " + "Tick, tock. " * 60 for room in range(30))
    clocks.write_text("\n\n".join(rooms))
    page.open("reader:latest")
    page.attach(clocks)
    page.shows("clocks.txt")
    page.ask("What does the clock of room 7 say?")
    until(lambda: page.answers and "It says noon." in page.answers[0], "it is answered")
    page.shows("1 Source")
    pieces_and_question = len(traffic.of("POST /api/embed"))
    assert pieces_and_question > 30


def test_the_browser_itself_may_ask_us(page: Page, webui: WebUI, server: Server, traffic: Traffic) -> None:
    """A direct connection: Open WebUI's page, which is of another origin, sends the chat."""
    direct = {
        "OPENAI_API_BASE_URLS": [f"{server.url}/v1"],
        "OPENAI_API_KEYS": ["sk-any"],
        "OPENAI_API_CONFIGS": {"0": {"enable": True, "prefix_id": "direct"}},
    }
    own = webui.get("/api/v1/users/user/settings").json or {}
    changed = own | {"ui": own.get("ui", {}) | {"directConnections": direct}}
    assert webui.post("/api/v1/users/user/settings/update", changed).status == 200
    try:
        page.open("direct.reader:latest")
        page.ask("What does the clock say?")
        page.answered("It says noon.")
    finally:
        assert webui.post("/api/v1/users/user/settings/update", own).status == 200
    assert traffic.of("OPTIONS /v1/chat/completions")


def test_a_model_without_tools_says_so(page: Page, webui: WebUI, tiny: str, traffic: Traffic) -> None:
    """As it would with the reference: Open WebUI sends tools of its own unless it is told not to."""
    assert webui.post("/ollama/api/copy", source=tiny, destination="plain").status == 200
    assert "plain:latest" in webui.known()
    page.open("plain:latest")
    page.ask("Hello!")
    page.shows("plain:latest does not support tools")
    traffic.expected.add("POST /api/chat 400")


def _chats(traffic: Traffic, prefix: str, model: str) -> list[dict[str, Any]]:
    return [line for line in traffic.of(DIALECTS[prefix]) if line.get("model") == model]


def _cut(chats: list[dict[str, Any]]) -> int:
    return sum(chat.get("cut", False) for chat in chats)
