from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.heavy.open_webui.cast import gather
from tests.heavy.open_webui.page import Page, chromium
from tests.heavy.open_webui.program import WebUI, starting
from tests.heavy.open_webui.traffic import Traffic
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving

SHOTS = Path(__file__).parents[3] / "build/heavy"
"""Where each test leaves what its page looked like at the end."""

PLAIN = str.maketrans("[]:/. ", "------")

CONNECTIONS = ({"prefix_id": "openai"}, {"prefix_id": "responses", "api_type": "responses"})
"""Beside the native one: the other two dialects that it speaks. A prefix tells models of the same name apart."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with short_folder() as folder, serving(folder, TROPA_ACCESS_LOG="json") as server:
        gather(server, tmp_path_factory.mktemp("cast"))
        yield server


@pytest.fixture(scope="session")
def webui(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """One for all tests, set up as its administrator would: with our address, and hardly anything else."""
    url, key = f"{server.url}/v1", "sk-any"
    settings = {
        "OLLAMA_BASE_URLS": server.url,
        "OPENAI_API_BASE_URLS": ";".join(url for _ in CONNECTIONS),
        "OPENAI_API_KEYS": ";".join(key for _ in CONNECTIONS),
        "ENABLE_DIRECT_CONNECTIONS": "true",
        "TASK_MODEL": "desk:latest",
        "TASK_MODEL_EXTERNAL": "openai.desk:latest",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_OLLAMA_BASE_URL": server.url,
        "RAG_EMBEDDING_MODEL": "embedder",
        "AUDIO_STT_ENGINE": "openai",
        "AUDIO_STT_OPENAI_API_BASE_URL": url,
        "AUDIO_STT_OPENAI_API_KEY": key,
        "AUDIO_STT_MODEL": "ear",
        "BYPASS_PYDUB_PREPROCESSING": "true",  # it would want ffmpeg
    }
    with starting(tmp_path_factory.mktemp("webui") / "own", **settings) as webui:
        config = webui.get("/openai/config").json
        configs = {str(place): {"enable": True, **each} for place, each in enumerate(CONNECTIONS)}
        changed = webui.post("/openai/config/update", config | {"OPENAI_API_CONFIGS": configs})
        assert changed.status == 200, changed.body
        quiet = {"ui": {"showChangelog": False}}  # else it lies over the first page, once it has come
        assert webui.post("/api/v1/users/user/settings/update", quiet).status == 200
        yield webui


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(
    webui: WebUI, browser: webdriver.Chrome, traffic: Traffic, request: pytest.FixtureRequest
) -> Iterator[Page]:
    page = Page(browser, webui.url)
    yield page
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(SHOTS / f"{request.node.name.translate(PLAIN)}.png"))
    browser.get("about:blank")  # so that nothing of this test goes on


@pytest.fixture(autouse=True)
def traffic(server: Server) -> Iterator[Traffic]:
    """All that Open WebUI asks of us while a test runs is answered, but for what the test expects to be refused."""
    traffic = Traffic(server.log, server.log.stat().st_size)
    yield traffic
    until(lambda: not any(entry["slots_busy"] for entry in server.ps().values()), "nothing works any more")
    assert traffic.trouble == traffic.expected
