"""`run`: one answer to a prompt, or a chat."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from tropa.cli import media, terminal
from tropa.cli.answer import Printer, show_answer
from tropa.cli.command import Call, UsageError
from tropa.cli.ownserver import server_running
from tropa.cli.parse import quoted
from tropa.cli.pull import pull_model
from tropa.cli.statistics import format_statistics
from tropa.cli.target import client
from tropa.client.client import Client, Json
from tropa.client.errors import NoSuchRoute, ServerError
from tropa.text.durations import DurationError, format_go_duration, parse_go_duration

_LEVELS = ("high", "medium", "low", "max")
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Wishes:
    """The flags of `run`, checked and in the form that requests take. None: not given."""

    model: str
    keep_alive: str | int | None
    format: object
    think: bool | str | None
    hide_thinking: bool
    verbose: bool
    wrap: bool
    raw: bool
    truncate: bool | None
    dimensions: int | None


def run(call: Call) -> int:
    wishes = wishes_of(call)
    words = call.args[1:]
    data = terminal.piped()
    interactive = not words and data is None and terminal.is_terminal(sys.stdout)
    file = media.piped(data) if data else None
    prompt = prompt_of(data.decode("utf-8", "replace") if data and not file else "", words)
    server = client()
    with server_running(server):
        info = _look_up(server, wishes.model, insecure=call.on("insecure"))
        try:
            _answer(server, wishes, info, None if interactive else prompt, file)
        except KeyboardInterrupt:  # a way to end an answer, not a failure
            if terminal.is_terminal(sys.stdout):
                sys.stdout.write("\n")
    return 0


def _answer(server: Client, wishes: Wishes, info: Json, prompt: str | None, file: media.Piped | None) -> None:
    """The way of asking that suits the model. No prompt: a chat."""
    capabilities = info.get("capabilities") or ["completion"]
    if prompt is None:
        sent = media.Prompt("")
    elif "completion" in capabilities:
        sent = media.attach(prompt, media.taken_by(capabilities), wishes.model)
    else:
        sent = media.Prompt(prompt)
    if file:
        sent = file.attached(sent, media.taken_by(capabilities), wishes.model)
    if "embedding" in capabilities and "completion" not in capabilities:
        _embed(server, wishes, sent.text)
    elif prompt is None:
        _chat(server, wishes, info)
    else:
        _generate(server, wishes, sent, can_think="thinking" in capabilities)


def wishes_of(call: Call) -> Wishes:
    """Raises UsageError before anything is sent."""
    return Wishes(
        model=call.args[0],
        keep_alive=_keep_alive(call.text("keepalive")),
        format=_format(call.text("format")),
        think=_think(call.text("think")),
        hide_thinking=call.on("hidethinking"),
        verbose=call.on("verbose"),
        wrap=not call.on("nowordwrap"),
        raw=call.on("raw"),
        truncate=call.switch("truncate"),
        dimensions=call.whole("dimensions"),
    )


def prompt_of(piped: str, words: list[str]) -> str:
    """What was piped in, then the words. A line end that only ends the pipe's last line is no part of it."""
    typed = [word.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for word in words]
    if not piped:
        return " ".join(typed)
    return " ".join((piped, *typed)) if typed else piped.removesuffix("\n")


def _look_up(server: Client, model: str, *, insecure: bool) -> Json:
    """What the model is. One that is not here is fetched first."""
    try:
        return server.post("/api/show", {"model": model})
    except NoSuchRoute:
        return {}
    except ServerError as error:
        if error.status != _NOT_FOUND:
            raise
        _fetch(server, model, error, insecure=insecure)
    return server.post("/api/show", {"model": model})


def _fetch(server: Client, model: str, missing: ServerError, *, insecure: bool) -> None:
    hint = "'tropa list' shows the models that are here, 'tropa create' makes one of a GGUF file"
    try:
        pull_model(server, model, insecure=insecure)
    except NoSuchRoute:  # a server that cannot pull
        missing.hint = hint
        raise missing from None
    except ServerError as error:
        error.hint = error.hint or hint
        raise


def _generate(server: Client, wishes: Wishes, sent: media.Prompt, *, can_think: bool) -> None:
    think = wishes.think if wishes.think is not None or not can_think else True
    sys.stderr.writelines(f"{note}\n" for note in sent.notes)
    body: dict[str, object] = {"model": wishes.model, "prompt": sent.text, "options": {}}
    if sent.images:
        body["images"] = list(sent.images)
    more = {"keep_alive": wishes.keep_alive, "format": wishes.format, "think": think}
    body |= {key: value for key, value in more.items() if value is not None}
    raw = wishes.raw or wishes.format is not None  # JSON is no Markdown
    printer = Printer(sys.stdout, wrap=wishes.wrap, hide_thinking=wishes.hide_thinking, raw=raw)
    answer = show_answer(server, "/api/generate", body, printer, f"waiting for {wishes.model}")
    if sent.text or sent.images:
        sys.stdout.write("\n\n")
    if wishes.verbose and answer.final:
        sys.stdout.flush()
        sys.stderr.write(format_statistics(answer.final))


def _embed(server: Client, wishes: Wishes, prompt: str) -> None:
    if not prompt:
        usage = f'Usage: tropa run {wishes.model} "your text here"'
        raise UsageError(f"embedding models require input text. {usage}")
    body: dict[str, object] = {"model": wishes.model, "input": prompt}
    more = {"truncate": wishes.truncate, "dimensions": wishes.dimensions, "keep_alive": wishes.keep_alive}
    answer = server.post(
        "/api/embed", body | {key: value for key, value in more.items() if value is not None}
    )
    vectors = answer.get("embeddings") or [[]]
    sys.stdout.write(json.dumps(vectors[0], separators=(",", ":")) + "\n")


def _chat(server: Client, wishes: Wishes, info: Json) -> None:
    from tropa.cli.chat.console import Console
    from tropa.cli.chat.session import Session, about
    from tropa.cli.chat.state import Chat
    from tropa.cli.completion import model_names

    chat = Chat(
        wishes.model,
        format=wishes.format,
        keep_alive=wishes.keep_alive,
        hide_thinking=wishes.hide_thinking,
        verbose=wishes.verbose,
        wrap=wishes.wrap,
        raw=wishes.raw,
    )
    Session(server, Console(model_names), about(chat, info, think=wishes.think)).run()


def _keep_alive(text: str | None) -> str | int | None:
    if text is None:
        return None
    try:
        nanoseconds = parse_go_duration(text)
    except DurationError as exc:
        raise UsageError(str(exc)) from exc
    return format_go_duration(nanoseconds) if nanoseconds >= 0 else -1


def _think(text: str | None) -> bool | str | None:
    match text:
        case None:
            return None
        case "true" | "false":
            return text == "true"
        case _ if text in _LEVELS:
            return text
        case _:
            raise UsageError(
                f"invalid value for --think: {quoted(text)} (must be true, false, high, medium, low, or max)"
            )


def _format(text: str | None) -> object:
    """`json`, or a schema written out."""
    if not text:
        return None
    if text == "json":
        return text
    try:
        return json.loads(text)
    except ValueError as exc:
        # The reference says so of any text; it is what people search for.
        go = "json: error calling MarshalJSON for type json.RawMessage"
        first = text.lstrip()[:1]
        if first and first not in '{["-0123456789tfn':
            why = f"invalid character {first!r} looking for beginning of value"
        else:
            why = str(exc)
        raise UsageError(f"{go}: {why}", hint="use json, or a JSON schema as an object") from exc
