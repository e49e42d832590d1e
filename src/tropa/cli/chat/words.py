"""What the word at the end of a line of the chat could become: commands, their arguments, names of models."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tropa.cli.chat.step import SHOWN
from tropa.library.modelfile.parameters import KNOWN

COMMANDS = ("/set", "/show", "/load", "/save", "/clear", "/list", "/bye", "/help", "/?")
SETTINGS = (
    *("parameter", "system", "history", "nohistory", "wordwrap", "nowordwrap", "format", "noformat"),
    *("verbose", "quiet", "think", "nothink"),
)
TOPICS = ("set", "show", "shortcuts")
LEVELS = ("low", "medium", "high")


def completions(line: str, models: Callable[[], Iterable[str]]) -> list[str]:
    """Whole words that begin as the last one of `line` does. `models` is asked only where a model is meant."""
    if not line.startswith("/"):
        return []
    *before, word = line.split(" ")
    return [each for each in _choices([part for part in before if part], models) if each.startswith(word)]


def _choices(before: list[str], models: Callable[[], Iterable[str]]) -> Iterable[str]:
    match before:
        case []:
            return COMMANDS
        case ["/set"]:
            return SETTINGS
        case ["/set", "parameter"]:
            return sorted(KNOWN)
        case ["/set", "think"]:
            return LEVELS
        case ["/set", "format"]:
            return ("json",)
        case ["/show"]:
            return SHOWN
        case ["/help" | "/?"]:
            return TOPICS
        case ["/load" | "/save"]:
            return models()
        case _:
            return ()
