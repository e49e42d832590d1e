"""`POST /v1/audio/transcriptions`: a recording in, its text out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.server.body import BadRequest
from tropa.server.dialect import peeked
from tropa.server.explained import told, wanted
from tropa.server.intake import TooLarge
from tropa.server.native.inference import client_of
from tropa.server.openai import chunks
from tropa.server.openai.errors import frame
from tropa.server.openai.form import Form, read_form
from tropa.server.reading import MOST_INTEGER, BadField
from tropa.server.respond import encode_json, send_bytes, while_connected
from tropa.server.sse import Header, send_events
from tropa.service import keepalive, sound
from tropa.service.events import End, Event, Piece
from tropa.service.media import MOST_SECONDS
from tropa.service.service import Service
from tropa.service.transcribe import TranscribeAsk

PATH = "/v1/audio/transcriptions"
MOST_FILE = 25 << 20  # bytes of a recording, as OpenAI takes them
MOST_BODY = MOST_FILE + (1 << 20)  # what stands round it included

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"
_FORMATS = ("json", "text", "verbose_json")


async def transcriptions(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The text that a model with ears hears, whole or as it is written."""
    form = await read_form(scope, receive)
    ask = _asked(form, scope)
    more = await _about(form) if form.text("response_format") == "verbose_json" else {}
    explain = wanted(scope, form.flag("explain") if "explain" in form.fields else None)
    await while_connected(receive, _answer(form, service.transcribe(ask), _Heard(more, explain), send))


def _asked(form: Form, scope: Scope) -> TranscribeAsk:
    """Raises BadRequest, BadField, TooLarge. The first two complaints are the reference's."""
    model = form.text("model")
    if not model:
        raise BadRequest("model is required")
    shape = form.text("response_format") or "json"
    if shape not in _FORMATS:
        raise BadField(
            "response_format",
            f'is "{shape[:80]}", and models here say no times and no speakers: "json", "verbose_json" (without '
            'segments) and "text" are possible',
        )
    if form.texts("timestamp_granularities"):
        raise BadField("timestamp_granularities", "is not supported: models here say no times")
    if strange := set(form.texts("include")) - {"logprobs"}:
        raise BadField("include", f'can hold "logprobs" only, not "{min(strange)[:80]}"')
    temperature = form.number("temperature")
    if temperature is not None and temperature < 0:
        raise BadField("temperature", f"must be at least 0, not {temperature:g}")
    options = {name: _plain(value) for name, value in form.inside("options").items()}
    if temperature is not None:
        options["temperature"] = temperature
    return TranscribeAsk(
        model=model,
        client=client_of(scope),
        sound=_sound(form),
        languages=form.texts("language") + form.texts("languages"),
        keywords=form.texts("keywords"),
        prompt=form.text("prompt"),
        options=options,
        keep_alive=keepalive.parse(_plain(alive) if (alive := form.text("keep_alive")) else None),
        logprobs="logprobs" in form.texts("include"),
    )


def _sound(form: Form) -> str:
    data = form.files.get("file")
    if data is None:
        why = "the part has no file name" if "file" in form.fields else "no part of the form has this name"
        raise BadRequest(f"file is required: {why}")
    if not data:
        raise BadRequest("audio file is empty")
    if sound.kind(data[: sound.HEAD]) is None:
        raise BadField(
            "file", f"is {sound.foreign(data[: sound.HEAD]) or 'no sound'}: WAV, MP3 and FLAC are taken"
        )
    if len(data) > MOST_FILE:
        raise TooLarge(
            f"the audio file is larger than {MOST_FILE >> 20} MiB: send it in pieces, or packed as MP3"
        )
    return base64.b64encode(data).decode()


def _plain(text: str) -> Any:
    """A value of an option: forms know texts only."""
    word = text.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    try:
        number = float(word)
    except ValueError:
        return text
    if not abs(number) < MOST_INTEGER:
        return text
    return int(number) if number == int(number) else number


async def _about(form: Form) -> dict[str, Any]:
    """What `verbose_json` says of the recording itself. Raises BadSound."""
    seconds = await asyncio.to_thread(sound.seconds, form.files["file"], MOST_SECONDS)
    return {"task": "transcribe", "language": form.text("language"), "duration": round(seconds, 3)}


async def _answer(form: Form, events: AsyncGenerator[Event, None], heard: _Heard, send: Send) -> None:
    async with aclosing(events):
        if form.flag("stream"):
            _, every = await peeked(events)
            await send_events(send, _frames(every, heard), frame)
            return
        async for event in events:
            heard.add(event)
    if form.text("response_format") == "text":
        await send_bytes(send, heard.text.encode(errors="replace"), 200, TEXT, *heard.headers)
    else:
        await send_bytes(send, encode_json(heard.record()), 200, JSON, *heard.headers)


async def _frames(events: AsyncGenerator[Event, None], heard: _Heard) -> AsyncGenerator[bytes, None]:
    """`transcript.text.delta` for each piece, `transcript.text.done` with all of them."""
    async for event in events:
        if delta := heard.add(event):
            yield _frame({"type": "transcript.text.delta", **delta})
    yield _frame({"type": "transcript.text.done", **heard.record()})


def _frame(record: dict[str, Any]) -> bytes:
    return b"data: " + encode_json(record) + b"\n\n"


class _Heard:
    """A transcript, put together from its events. Blanks before its first word are none of it, nor behind its last.
    `more` stands before it in the answer."""

    def __init__(self, more: dict[str, Any], explain: bool) -> None:
        self._more = more
        self._explain = explain
        self._said: list[str] = []
        self._blank = ""
        self._logprobs: list[dict[str, Any]] = []
        self._end = End("stop")

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def headers(self) -> list[Header]:
        """Whether the text is all that was said, for those who are sent nothing but the text."""
        return [(b"tropa-finish-reason", self._end.reason.encode())]

    def add(self, event: Event) -> dict[str, Any]:
        """What is new in this event, as a stream tells it; nothing, if nothing is certain."""
        if isinstance(event, End):
            self._end = event
        if not isinstance(event, Piece):
            return {}
        found = _tokens(event)
        self._logprobs += found
        text = self._blank + event.text
        if not self._said:
            text = text.lstrip()
        kept = text.rstrip()
        self._blank = text[len(kept) :]
        if not kept:
            return {}
        self._said.append(kept)
        return {"delta": kept, **({"logprobs": found} if found else {})}

    def record(self) -> dict[str, Any]:
        """The answer, and what it cost."""
        counts = self._end.counts
        found: dict[str, Any] = {**self._more, "text": self.text}
        if self._logprobs:
            found["logprobs"] = self._logprobs
        if self._end.reason == "length":
            found["finish_reason"] = "length"  # beyond the dialect: the text is cut off
        found["usage"] = {
            "type": "tokens",
            "input_tokens": counts.prompt_tokens,
            "output_tokens": counts.tokens,
            "total_tokens": counts.prompt_tokens + counts.tokens,
        }
        return found | told(self._explain)


def _tokens(piece: Piece) -> list[dict[str, Any]]:
    return [
        {name: entry[name] for name in ("token", "logprob", "bytes")}
        for entry in chunks.tokens(piece.logprobs)
    ]
