"""What a user of Open WebUI has before them: its page in a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.processes import until

QUIET = (
    "--headless=new",
    "--no-sandbox",  # root may not have one
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
    "--window-size=1280,1000",
)

SEARCH = "model-search-input"


@contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser that keeps what it knows in this folder, until the block ends."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program is not None, "no browser: install Debian's package chromium"
    assert driver is not None, "nothing to drive the browser: install Debian's package chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (*QUIET, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


class Page:
    """One tab, with the means of somebody who looks, clicks and types."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url

    def open(self, model: str) -> None:
        """A new chat with this model."""
        self.browser.get(f"{self.url}/?models={quote(model)}")
        until(lambda: self.chosen == model, f"{model} is chosen", within=60)

    @property
    def chosen(self) -> str:
        return str(
            self._run(
                "const b = document.querySelector('[id^=model-selector]');"
                "return b ? (b.getAttribute('aria-label') || '').replace('Selected model: ', '') : ''"
            )
        )

    def find(self, name: str) -> None:
        """Open the list of models and look for a name."""
        if not self.browser.find_elements(By.ID, SEARCH):
            self.browser.find_element(By.CSS_SELECTOR, "[id^=model-selector]").click()
        until(lambda: self.browser.find_elements(By.ID, SEARCH), "the list of models opens")
        box = self.browser.find_element(By.ID, SEARCH)
        box.clear()
        box.send_keys(name)

    @property
    def offered(self) -> list[str]:
        """The models in the open list."""
        found = self._run("return [...document.querySelectorAll('[role=option]')].map(e => e.dataset.value)")
        return cast("list[str]", found)

    def ask(self, text: str) -> None:
        box = self.browser.find_element(By.ID, "chat-input")
        box.click()
        box.send_keys(text, Keys.ENTER)

    @property
    def answers(self) -> list[str]:
        """What stands in the answers so far, as it is seen."""
        return cast(
            "list[str]",
            self._run(
                "return [...document.querySelectorAll('.chat-assistant')].map(e => e.innerText.trim())"
            ),
        )

    @property
    def text(self) -> str:
        return str(self._run("return document.body.innerText"))

    def answered(self, text: str) -> None:
        """Wait until the last answer is this."""
        until(lambda: self.answers[-1:] == [text], f"{text!r} is answered")

    def shows(self, text: str) -> None:
        until(lambda: text in self.text, f"{text!r} stands on the page")

    @property
    def title(self) -> str:
        """Of the tab."""
        return str(self.browser.title)

    def attach(self, file: Path) -> None:
        """Add a file to what will be asked."""
        box = self.browser.find_element(By.CSS_SELECTOR, "input[type=file]")
        box.send_keys(str(file))

    def click(self, label: str) -> None:
        """A button, by what it is called for those who can't see it, or by what stands on it."""
        path = f"//button[@aria-label='{label}' or normalize-space(.)='{label}']"

        def pressed() -> bool:
            self.browser.find_element(By.XPATH, f"({path})[last()]").click()
            return True

        until(lambda: _calm(pressed), f"there is a button {label!r}")

    def complaints(self) -> list[str]:
        """What the page's own scripts said went wrong, since last asked."""
        log = cast("list[dict[str, Any]]", self.browser.get_log("browser"))
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def _run(self, script: str) -> Any:
        return self.browser.execute_script(script)


def _calm(act: Callable[[], bool]) -> bool:
    """Whether it could be done: what is looked at or clicked may just be drawn anew."""
    try:
        return act()
    except WebDriverException:
        return False
