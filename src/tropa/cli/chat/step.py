"""One line in, one effect out: the whole grammar of the chat prompt. No terminal, no network, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tropa.cli.chat import texts
from tropa.cli.chat.state import Ask, Bye, Chat, Effect, ListModels, Load, Open, Save, Show, Tell, Turn
from tropa.cli.parse import quoted
from tropa.library.modelfile.parameters import BOOLS, FLOATS, INTS, KNOWN, parameters
from tropa.library.modelfile.syntax import Command, InvalidModelfile

PROMPT, CONTINUATION = ">>> ", "... "
SHOWN = ("info", "license", "modelfile", "parameters", "system", "template")
_QUOTES = '"""'

Result = tuple[Chat, Effect]


def prompt(chat: Chat) -> str:
    return CONTINUATION if chat.open else PROMPT


def step(chat: Chat, line: str, *, is_path: bool = False) -> Result:
    """What `line` does to the chat, and what is to be done outside it. `is_path`: it begins with the name of a file
    that can be sent, and is no command although that begins with a `/`.
    """
    if chat.open:
        return _continue(chat, chat.open, line)
    line = line.rstrip("\n")  # of a paste, or of what was typed and sent while an answer still came
    if line.startswith(_QUOTES):
        text = line.removeprefix(_QUOTES)
        if not text.endswith(_QUOTES):
            return replace(chat, open=Open((text,))), None
        return _say(chat, text.removesuffix(_QUOTES))
    if line.startswith("/") and not is_path and ("\n" not in line or line.startswith("/set system")):
        return _command(chat, line)  # pasted lines are no command, whatever the first of them begins with
    return _say(chat, line)


def _continue(chat: Chat, text: Open, line: str) -> Result:
    if not line.endswith(_QUOTES):
        return replace(chat, open=replace(text, lines=(*text.lines, line))), None
    whole = "\n".join((*text.lines, line.removesuffix(_QUOTES)))
    chat = replace(chat, open=None)
    if text.system:
        return chat.with_system(whole, replacing=False), Tell("Set system message.\n")
    return _say(chat, whole)


def _say(chat: Chat, text: str) -> Result:
    if not text.strip():
        return chat, None
    return chat.said(Turn("user", text)), Ask()


def _command(chat: Chat, line: str) -> Result:
    for prefix, command in _COMMANDS:
        if line.startswith(prefix):
            return command(chat, line)
    return chat, _unknown(line.split()[0])


def _unknown(command: str) -> Tell:
    return Tell(f"Unknown command '{command}'. Type /? for help\n")


def _bye(chat: Chat, _line: str) -> Result:
    return chat, Bye()


def _clear(chat: Chat, _line: str) -> Result:
    return chat.cleared(), Tell("Cleared session context\n")


def _list(chat: Chat, line: str) -> Result:
    return chat, ListModels(*line.split()[1:2])


def _load(chat: Chat, line: str) -> Result:
    words = line.split()
    return chat, Load(words[1]) if len(words) == 2 else Tell("Usage:\n  /load <modelname>\n")


def _save(chat: Chat, line: str) -> Result:
    words = line.split()
    return chat, Save(words[1]) if len(words) == 2 else Tell("Usage:\n  /save <modelname>\n")


def _show(chat: Chat, line: str) -> Result:
    words = line.split()
    if len(words) < 2:
        return chat, Tell(texts.SHOW, aside=True)
    if words[1] not in SHOWN:
        return chat, _unknown(f"/show {words[1]}")
    return chat, Show(words[1])


def _help(chat: Chat, line: str) -> Result:
    topic = line.split()[1:2]
    files = texts.FILES if chat.takes else ""
    return chat, Tell(texts.HELP.get(topic[0] if topic else "", texts.GENERAL + files), aside=True)


def _set(chat: Chat, line: str) -> Result:
    words = line.split(maxsplit=2)
    if len(words) < 2:
        return chat, Tell(texts.SET, aside=True)
    name, rest = words[1], words[2] if len(words) > 2 else ""
    match name:
        case "history" | "nohistory":
            return replace(chat, remember=name == "history"), None
        case "wordwrap" | "nowordwrap":
            return replace(chat, wrap=name == "wordwrap"), Tell(f"Set '{name}' mode.\n")
        case "verbose" | "quiet":
            return replace(chat, verbose=name == "verbose"), Tell(f"Set '{name}' mode.\n")
        case "think":
            return _set_think(chat, rest)
        case "nothink":
            return replace(chat, think=False), Tell("Set 'nothink' mode.\n")
        case "format":
            if rest != "json":
                return chat, Tell("Invalid or missing format. For 'json' mode use '/set format json'\n")
            return replace(chat, format="json"), Tell("Set format to 'json' mode.\n")
        case "noformat":
            return replace(chat, format=None), Tell("Disabled format.\n")
        case "parameter":
            return _set_parameter(chat, rest.split())
        case "system":
            return _set_system(chat, rest)
        case _:
            return chat, _unknown(f"/set {name}")


def _set_think(chat: Chat, level: str) -> Result:
    """A level is not checked here: which ones there are is the server's to say."""
    mode = f"Set 'think' mode to '{level}'.\n" if level else "Set 'think' mode.\n"
    warning = "" if chat.can_think else f'warning: model "{chat.model}" does not support thinking output'
    return replace(chat, think=level or True), Tell(mode, warning=warning)


def _set_system(chat: Chat, text: str) -> Result:
    if not text:
        return chat, Tell(texts.SET, aside=True)
    if text.startswith(_QUOTES):
        text = text.removeprefix(_QUOTES)
        if not text.endswith(_QUOTES):
            return replace(chat, open=Open((text,), system=True)), None
        text = text.removesuffix(_QUOTES)
    return chat.with_system(text, replacing=True), Tell("Set system message.\n")


def _set_parameter(chat: Chat, words: list[str]) -> Result:
    if len(words) < 2:
        return chat, Tell(texts.PARAMETERS, aside=True)
    key, *values = words
    try:
        options, _ = parameters([Command("parameter", value, key) for value in values])
    except InvalidModelfile:
        return chat, Tell(f"Couldn't set parameter: {quoted(_complaint(key, values))}\n")
    return replace(chat, options={**chat.options, **options}), Tell(
        f"Set parameter '{key}' to '{', '.join(values)}'\n"
    )


def _complaint(key: str, values: list[str]) -> str:
    if key not in KNOWN:
        return f"unknown parameter '{key}'"
    kind = "int" if key in INTS else "float" if key in FLOATS else "bool" if key in BOOLS else "string"
    return f"invalid {kind} value [{' '.join(values)}]"


_COMMANDS: tuple[tuple[str, Callable[[Chat, str], Result]], ...] = (
    ("/list", _list),
    ("/load", _load),
    ("/save", _save),
    ("/clear", _clear),
    ("/set", _set),
    ("/show", _show),
    ("/help", _help),
    ("/?", _help),
    ("/exit", _bye),
    ("/bye", _bye),
)
"""In order; a prefix is enough, so `/byebye` leaves too."""
