"""Carries out what the lines of a chat ask for: answers, loading, saving, showing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol, assert_never

from tropa.cli import media
from tropa.cli.answer import Printer, show_answer
from tropa.cli.chat.state import Ask, Bye, Chat, Effect, ListModels, Load, Save, Show, Tell, Turn
from tropa.cli.chat.step import PROMPT, prompt, step
from tropa.cli.listing import model_table
from tropa.cli.progress import waiting
from tropa.cli.show import model_sections
from tropa.cli.statistics import format_statistics
from tropa.client.client import Client, Json
from tropa.client.errors import ClientError, ServerError
from tropa.library.name import InvalidName, Name

_LEAVE = "\nUse Ctrl + d or /bye to exit.\n"
_NOT_FOUND = 404


class Lines(Protocol):
    """Where lines come from and texts go: the terminal, or a test."""

    def read(self, prompt: str, *, remember: bool) -> str: ...

    def tell(self, text: str, *, aside: bool = False) -> None: ...


def about(chat: Chat, info: Json, *, think: bool | str | None) -> Chat:
    """The chat with what the server says about its model."""
    capabilities = info.get("capabilities") or []
    can_think = "thinking" in capabilities
    stored = tuple(Turn(each["role"], each["content"]) for each in info.get("messages") or [])
    return replace(
        chat,
        can_think=can_think,
        takes=media.taken_by(capabilities),
        stored=stored,
        think=(True if can_think else None) if think is None else think,
    )


class Session:
    """One chat, from the first prompt to the last. Errors of the server are told and cost only their turn."""

    def __init__(self, server: Client, console: Lines, chat: Chat) -> None:
        self._server = server
        self._console = console
        self._chat = chat

    def run(self) -> None:
        """Load the model, say what was said before, and take lines until the user leaves. Raises ClientError
        if the model can't be loaded.
        """
        self._warm(self._chat)
        self._replay()
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One line and what comes of it. False if the user leaves."""
        try:
            effect = self._next()
            if isinstance(effect, Bye):
                return False
            self._do(effect)
        except KeyboardInterrupt:  # pressed again while the first was seen to: no reason to leave
            self._console.tell("\n")
        return True

    def _next(self) -> Effect:
        try:
            line = self._console.read(prompt(self._chat), remember=self._chat.remember)
        except EOFError:
            self._console.tell("\n")
            return Bye()
        except KeyboardInterrupt:
            self._chat = self._chat.interrupted()
            return Tell(_LEAVE)
        self._chat, effect = step(self._chat, line, is_path=not self._chat.open and self._is_path(line))
        return effect

    def _is_path(self, line: str) -> bool:
        """Whether a line that looks like a command begins with a file to send. Why one can't be sent is told."""
        file = media.file_at_start(line)
        if file is None:
            return False
        if why := media.why_not(file, self._chat.takes, self._chat.model):
            self._aside([why])
        return file.there and not why

    def _do(self, effect: Tell | Ask | Load | Save | Show | ListModels | None) -> None:
        try:
            match effect:
                case None:
                    pass
                case Tell(text, aside, warning):
                    self._aside([warning] if warning else [])
                    self._console.tell(text, aside=aside)
                case Ask():
                    self._answer()
                case Load(name):
                    self._load(name)
                case Save(name):
                    self._save(name)
                case Show(part):
                    self._console.tell(shown(part, self._ask_about(self._chat, part), self._chat))
                case ListModels(prefix):
                    self._console.tell(model_table(self._server.get("/api/tags"), prefix))
                case _:
                    assert_never(effect)
        except (ClientError, media.MediaError) as error:
            self._console.tell(f"Error: {error}\n", aside=True)
        except KeyboardInterrupt:
            self._console.tell("\n")

    def _answer(self) -> None:
        try:
            sent = media.attach(self._chat.turns[-1].content, self._chat.takes, self._chat.model)
        except media.MediaError:
            self._chat = self._chat.without_last()
            raise
        self._aside(sent.notes)
        self._chat = chat = self._chat.last_as(sent.text, sent.images)
        raw = chat.raw or chat.format is not None  # JSON is no Markdown
        printer = Printer(sys.stdout, wrap=chat.wrap, hide_thinking=chat.hide_thinking, raw=raw)
        try:
            answer = show_answer(
                self._server, "/api/chat", chat.request(), printer, f"waiting for {chat.model}"
            )
        except ClientError:
            self._chat = chat.without_last()
            raise
        self._console.tell("\n\n")
        self._chat = chat.said(Turn("assistant", "".join(answer.text), "".join(answer.thinking)))
        if chat.verbose and answer.final:
            self._console.tell(format_statistics(answer.final), aside=True)

    def _aside(self, notes: Sequence[str]) -> None:
        for note in notes:
            self._console.tell(f"{note}\n", aside=True)

    def _load(self, name: str) -> None:
        try:
            info = self._server.post("/api/show", {"model": name})
        except ServerError as error:
            if error.status != _NOT_FOUND:
                raise
            self._console.tell(f"Couldn't find model '{name}'\n")
            return
        self._console.tell(f"Loading model '{name}'\n")
        chat = about(replace(self._chat, model=name, turns=()), info, think=None)
        self._warm(chat)
        self._chat = chat
        self._replay()

    def _save(self, name: str) -> None:
        try:
            Name.parse(name)
        except InvalidName:
            self._console.tell(f"error: The model name '{name}' is invalid\n")
            return
        with (
            waiting(f"saving {name}"),
            closing(self._server.stream("/api/create", self._chat.saved_as(name))) as records,
        ):
            for _ in records:
                pass
        self._console.tell(f"Created new model '{name}'\n")
        if any(turn.images for turn in self._chat.turns):
            self._aside(["images and audio of this chat are not part of it"])

    def _ask_about(self, chat: Chat, part: str) -> Json:
        """A Modelfile shows what is set in this session too."""
        body: dict[str, object] = {"model": chat.model}
        if part == "modelfile":
            body |= {"system": chat.system, "options": dict(chat.options)}
        return self._server.post("/api/show", body)

    def _warm(self, chat: Chat) -> None:
        body: dict[str, object] = {"model": chat.model, "options": dict(chat.options)}
        if chat.keep_alive is not None:
            body["keep_alive"] = chat.keep_alive
        with waiting(f"loading {chat.model}"), closing(self._server.stream("/api/generate", body)) as records:
            for _ in records:
                pass

    def _replay(self) -> None:
        for turn in self._chat.stored:
            match turn.role:
                case "user":
                    self._console.tell(f"{PROMPT}{turn.content}\n")
                case "assistant":
                    self._console.tell(f"{turn.content}\n\n")


def shown(part: str, info: Json, chat: Chat) -> str:
    """What `/show PART` prints, for an answer of `POST /api/show`."""
    match part:
        case "info":
            return model_sections(info)
        case "parameters":
            return _parameters(str(info.get("parameters") or ""), chat.options)
        case "system":
            missing = "No system message was specified for this model."
            return f"{chat.system or info.get('system') or missing}\n"
        case "license":
            return f"{info.get('license') or 'No license was specified for this model.'}\n"
        case "template":
            return f"{info.get('template') or 'No prompt template was specified for this model.'}\n"
        case _:
            return f"{info.get(part) or ''}\n"


def _parameters(stored: str, mine: Mapping[str, object]) -> str:
    lines = ["Model defined parameters:"]
    none = ["No additional parameters were specified for this model."]
    lines += [f"  {line}" for line in stored.splitlines() or none]
    lines.append("")
    if mine:
        lines.append("User defined parameters:")
        lines += [f"  {key:<30} {_value(value)}" for key, value in sorted(mine.items())]
        lines.append("")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{' '.join(str(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0")
