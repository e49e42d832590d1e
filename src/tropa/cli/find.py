"""From the word that was typed to the command: by name, by alias, or with a guess at what was meant."""

from __future__ import annotations

from tropa.cli.command import Command, UsageError
from tropa.cli.commands import COMMANDS
from tropa.cli.parse import quoted
from tropa.text.distance import distance

_LONGEST = 40
"""Letters beyond which nothing is a slip of the finger."""

_MEANT = {
    "list": ("models", "images"),
    "ps": ("status", "loaded", "running"),
    "rm": ("delete", "remove", "del", "uninstall"),
    "cp": ("copy", "rename", "mv"),
    "stop": ("unload", "kill"),
    "run": ("chat", "ask", "generate"),
    "pull": ("download", "fetch", "install", "get"),
    "push": ("upload", "publish"),
    "show": ("inspect", "info"),
    "--version": ("version",),
}
"""Words of other programs, by what they are called here."""

_NOT_HERE = {
    "signin": (
        "there is no account to sign in to: models run on this machine",
        "'tropa login' logs in to a registry, or shows the key that the default one knows you by",
    ),
    "signout": (
        "there is no account to sign out of: models run on this machine",
        "'tropa logout' forgets the login of a registry",
    ),
    "launch": (
        "starting other programs is left to you",
        "give them the address of the server, http://127.0.0.1:11434 unless OLLAMA_HOST says otherwise",
    ),
}
"""Commands of Ollama that make no sense here: why, and what to do instead."""


def find(name: str) -> Command:
    """Raises UsageError, with suggestions, if there is no such command."""
    for command in COMMANDS:
        if name in (command.name, *command.aliases):
            return command
    if name in _NOT_HERE:
        why, instead = _NOT_HERE[name]
        raise UsageError(f"{name}: {why}", hint=instead)
    text = f'unknown command {quoted(name)} for "tropa"'
    if likely := suggestions(name):
        text += "\n\nDid you mean this?\n" + "".join(f"\t{each}\n" for each in likely)
    raise UsageError(text)


def suggestions(name: str) -> list[str]:
    """The commands that `name` begins, is at most two letters away from, or means elsewhere."""
    typed = name.lower()
    if not typed or len(typed) > _LONGEST:
        return []
    found = [command.name for command in COMMANDS if _is_like(typed, command.name)]
    return found or [meant for meant, words in _MEANT.items() if typed in words]


def _is_like(typed: str, name: str) -> bool:
    """Of a name of two letters one has to be right."""
    return name.startswith(typed) or distance(typed, name) <= min(2, len(name) - 1)
