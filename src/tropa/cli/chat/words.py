"""What the word at the end of a line of the chat could become: commands, their arguments, names of models, paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tropa.cli.chat.paths import is_path, paths
from tropa.cli.chat.step import SHOWN
from tropa.library.modelfile.parameters import KNOWN

COMMANDS = ("/set", "/show", "/load", "/save", "/clear", "/list", "/bye", "/help", "/?")
SETTINGS = (
    *("parameter", "system", "history", "nohistory", "wordwrap", "nowordwrap", "format", "noformat"),
    *("verbose", "quiet", "think", "nothink"),
)
TOPICS = ("set", "show", "shortcuts")
LEVELS = ("low", "medium", "high")


def completions(
    line: str, models: Callable[[], Iterable[str]], files: Callable[[str], Iterable[str]] = paths
) -> list[str]:
    """Whole words that begin as the last one of `line` does. `models` is asked only where a model is meant, `files`
    only for a path.
    """
    word = last_word(line)
    if line.startswith("/"):
        before = line.removesuffix(word).split()
        if found := [each for each in _choices(before, models) if each.startswith(word)]:
            return found
    return [*files(word)] if is_path(word) else []


def last_word(line: str) -> str:
    """What a completion replaces. A blank after a backslash is part of it."""
    return re.split(r"(?<!\\)\s", line)[-1]


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
