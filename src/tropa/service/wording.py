"""How a conversation is put to an engine, and how its answer is heard.

Either the engine renders the messages and tells thinking and tool calls from text itself (`EngineWording`), or the
prompt is text of our making and so is the hearing (`TextWording`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tropa.runners.errors import ContextExceeded, EngineRefused
from tropa.runners.herd import Slot
from tropa.service import constraint, forms, relay
from tropa.service import prompt as questions
from tropa.service.events import Piece
from tropa.service.history import Message
from tropa.service.listening import Listener
from tropa.service.media import tokens as room_for
from tropa.service.messages import images_in, in_dialect, marked
from tropa.service.prompt import Prompt
from tropa.service.relay import Finish, Tally
from tropa.service.templating import rendered as render
from tropa.service.vocabulary import vocabulary
from tropa.templates.thinking import ThinkingParser
from tropa.templates.toolcalls import ToolCallParser

if TYPE_CHECKING:
    from tropa.templates.template import Template

WORTH_WAITING = 200
"""Tokens of a prompt that is worth waiting for, rather than to read it twice."""
PATIENCE = 0.3
"""Seconds of that; while others come and go, the engine's noticing can't be seen."""

Render = Callable[[Slot, Sequence[Message]], Awaitable[Prompt]]


class Wording(Protocol):
    """One per request: it remembers what was said."""

    async def prompt(self, slot: Slot, messages: Sequence[Message]) -> Prompt:
        """The text that the engine is given."""
        ...

    async def count(self, slot: Slot, messages: Sequence[Message]) -> int:
        """How many tokens that is."""
        ...

    def run(
        self, slot: Slot, messages: Sequence[Message], body: dict[str, Any]
    ) -> AsyncGenerator[Piece | Finish, None]:
        """The answer. Raises ContextExceeded before its first piece."""
        ...

    async def transcript(self, slot: Slot) -> str:
        """After `run`: the prompt and all that the model wrote."""
        ...


@dataclass(slots=True)
class EngineWording:
    """The engine renders, by the template in the GGUF. `told`: what it is told besides the messages.

    `watched`: a model that got stuck is stopped, and what it says is kept for the transcript. `choosing`: the model may
    call a tool instead of answering, also where the answer has to have a form.
    """

    told: Mapping[str, Any]
    top: int = 0
    watched: bool = False
    choosing: bool = False
    thinks: bool = False
    """The model may think before it answers, and no form is for its thoughts."""
    name_stop: bool = False
    """Stop sequences are looked for here: such an engine does not say which one it met."""
    _said: Sequence[Message] = ()
    _heard: list[str] = field(default_factory=list)

    async def prompt(self, slot: Slot, messages: Sequence[Message]) -> Prompt:
        return await by_engine(self.told)(slot, messages)

    async def count(self, slot: Slot, messages: Sequence[Message]) -> int:
        prompt = await self.prompt(slot, messages)
        return await questions.length(slot, prompt.text) + await room_for(prompt.images)

    async def run(
        self, slot: Slot, messages: Sequence[Message], body: dict[str, Any]
    ) -> AsyncGenerator[Piece | Finish, None]:
        self._said = messages
        asked = {**body, **self.told, "messages": in_dialect(messages)}
        if self.told.get("tools"):
            # With tools the engine streams no log-probabilities by this name, but it does by the other.
            asked.pop("logprobs", None), asked.pop("top_logprobs", None)
        if forms.FORM in asked:
            free = self.choosing or self.thinks
            answer = self._in_two_steps(slot, asked) if free else self._held(slot, asked, None)
        else:
            stops = asked.pop("stop", ()) if self.name_stop else ()
            answer = relay.chat(slot, asked, self.top, watched=self.watched, stops=stops)
        async with aclosing(answer) as events:
            async for event in events:
                if self.watched and isinstance(event, Piece):
                    self._heard.append(event.text)
                yield event

    async def _in_two_steps(self, slot: Slot, asked: dict[str, Any]) -> AsyncGenerator[Piece | Finish, None]:
        """The model first speaks freely: it thinks, and may call a tool. Only if it answers, it is asked to go on from
        its thoughts, held to the form."""
        free = {key: value for key, value in asked.items() if key != forms.FORM}
        tally = Tally(slot, aloud=True)
        called = False
        thought: list[str] = []
        async with aclosing(relay.chat(slot, free, self.top, tally=tally)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    if called or event.reason == "length":
                        yield event
                        return
                    tally.timings = event.timings
                    break
                called = called or bool(event.tool_calls)
                thought.append(event.thinking)
                if event.thinking or event.tool_calls:
                    yield msgspec.structs.replace(event, text="")
                if event.text.strip() and not called:
                    break
        left = _left(asked, tally)
        if left is None:
            yield Finish("length", tally.timings, tally.prompt_tokens)
            return
        await _given_up(slot, tally)
        begun = False
        try:
            async with aclosing(self._held(slot, left, "".join(thought))) as events:
                async for event in events:
                    begun = True
                    yield event.after(tally.timings) if isinstance(event, Finish) else event
        except ContextExceeded:  # the thinking left no room for an answer
            if begun:
                raise
            yield Finish("length", tally.timings, tally.prompt_tokens)

    async def _held(
        self, slot: Slot, asked: dict[str, Any], thought: str | None
    ) -> AsyncGenerator[Piece | Finish, None]:
        """An answer held to the form. The prompt goes to the engine as text: all that it writes then is heard."""
        prompt = await self._after(slot, thought)
        body = {key: value for key, value in asked.items() if key != "messages" and key not in self.told}
        body["prompt"] = (await vocabulary(slot)).given(prompt)
        async with aclosing(relay.completion(slot, body, self.top)) as events:
            async for event in events:
                yield event

    async def _after(self, slot: Slot, thought: str | None) -> Prompt:
        """The prompt up to where the answer begins: behind the thoughts, if there are any."""
        if thought is None:
            return await self.prompt(slot, self._said)
        if thought:
            more = {"add_generation_prompt": False, "continue_final_message": "content"}
            last: Message = {"role": "assistant", "content": "", "thinking": thought}
            # A template may know no thoughts, and another engine may not be able to go on from some.
            with suppress(EngineRefused):
                return await by_engine({**self.told, **more})(slot, [*self._said, last])
        return await by_engine({**self.told, **constraint.told(False)})(slot, self._said)

    async def transcript(self, slot: Slot) -> str:
        return (await self.prompt(slot, self._said)).text + "".join(self._heard)


@dataclass(slots=True)
class TextWording:
    """The prompt is text; `render` makes it. `thinking` and `calls` say what to listen for: the tags of a thought; the
    tag of a tool call and the names of the tools."""

    render: Render
    thinking: tuple[str, str] | None = None
    calls: tuple[str, Sequence[str]] | None = None
    top: int = 0
    needs_engine: bool = False
    """Whether `render` asks the slot's engine."""
    _prompt: Prompt = field(default_factory=lambda: Prompt(""))
    _heard: list[str] = field(default_factory=list)

    async def prompt(self, slot: Slot, messages: Sequence[Message]) -> Prompt:
        return await self.render(slot, messages)

    async def count(self, slot: Slot, messages: Sequence[Message]) -> int:
        prompt = await self.render(slot, messages)
        text = (await vocabulary(slot)).undoubled(prompt.text)
        return await questions.length(slot, text) + await room_for(prompt.images)

    async def transcript(self, slot: Slot) -> str:
        return self._prompt.text + "".join(self._heard)

    async def run(
        self, slot: Slot, messages: Sequence[Message], body: dict[str, Any]
    ) -> AsyncGenerator[Piece | Finish, None]:
        self._prompt = await self.render(slot, messages)
        self._heard = []
        asked = {**body, "prompt": (await vocabulary(slot)).given(self._prompt)}
        listener = self._listener() if body.get("n_predict") != 0 else None
        if listener is None:
            answer = self._plainly(slot, asked)
        elif forms.FORM in asked:
            answer = self._in_two_steps(slot, asked, listener)
        else:
            answer = self._listening(slot, asked, listener)
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    def _listener(self) -> Listener | None:
        if self.thinking is None and self.calls is None:
            return None
        thinking = None
        if self.thinking:
            opening, closing = self.thinking
            thinking = ThinkingParser(opening, closing, inside=self._prompt.text.rstrip().endswith(opening))
        return Listener(thinking, ToolCallParser(*self.calls) if self.calls else None)

    def _shown(self) -> dict[str, Any]:
        """Tags can be special tokens, which an engine leaves out of its text unless it is asked not to."""
        tags = [*(self.thinking or ())]
        if self.calls:
            tag = self.calls[0]
            tags += [tag, tag.split()[0]]
        return {"preserved_tokens": tags}

    async def _plainly(self, slot: Slot, asked: dict[str, Any]) -> AsyncGenerator[Piece | Finish, None]:
        async with aclosing(relay.completion(slot, asked, self.top)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    self._heard.append(event.text)
                yield event

    async def _listening(
        self, slot: Slot, asked: dict[str, Any], listener: Listener
    ) -> AsyncGenerator[Piece | Finish, None]:
        async with aclosing(relay.completion(slot, {**asked, **self._shown()}, self.top)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    self._heard.append(event.text)
                    for piece in listener.feed(event):
                        yield piece
                else:
                    for piece in listener.finish():
                        yield piece
                    yield event

    async def _in_two_steps(
        self, slot: Slot, asked: dict[str, Any], listener: Listener
    ) -> AsyncGenerator[Piece | Finish, None]:
        """A form is for the answer, not for the thinking before it and not for a tool call instead of it. So the model
        first speaks freely, and where its answer begins it is asked again, held to the form."""
        free = {key: value for key, value in asked.items() if key != forms.FORM} | self._shown()
        tally = Tally(slot, aloud=True)
        ended: Finish | None = None
        async with aclosing(relay.completion(slot, free, self.top, tally)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    ended = event
                    pieces = listener.finish()
                else:
                    self._heard.append(event.text)
                    pieces = listener.feed(event)
                free_to_say = listener.called or (ended is not None and ended.reason == "length")
                for piece in pieces:
                    if free_to_say or not piece.text:
                        yield piece
                if ended is not None and free_to_say:
                    yield ended
                if ended is not None or (not free_to_say and any(piece.text.strip() for piece in pieces)):
                    break
        if ended is not None and free_to_say:
            return
        spent = ended.timings if ended else tally.timings
        raw = "".join(self._heard)
        thought = raw[: len(raw) - listener.answer]
        if listener.thinking and self.thinking:  # it ended in the middle of its thoughts
            thought += f"{self.thinking[1]}\n\n"
        self._heard = [thought]
        tally.timings = spent
        left = _left(asked, tally)
        if left is None:
            yield Finish("length", spent, tally.prompt_tokens)
            return
        await _given_up(slot, tally)
        again = Prompt(self._prompt.text + thought, self._prompt.images)
        left["prompt"] = (await vocabulary(slot)).given(again)
        try:
            async with aclosing(self._plainly(slot, left)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        yield event.after(spent)
                    else:
                        yield event
        except ContextExceeded:  # the thinking left no room for an answer
            yield Finish("length", spent, tally.prompt_tokens)


def _left(asked: dict[str, Any], tally: Tally) -> dict[str, Any] | None:
    """The same with as many tokens as were not spent; None if all were."""
    allowed = asked.get("n_predict", -1)
    if allowed <= 0:
        return {**asked}
    spent = tally.timings.predicted_n
    return {**asked, "n_predict": allowed - spent} if allowed > spent else None


async def _given_up(slot: Slot, tally: Tally) -> None:
    """Wait until the engine has noticed that we hung up: before that it would put the prompt that we go on with in
    another place of its own, and read all of it again."""
    if slot.slots == 1 or tally.prompt_tokens < WORTH_WAITING:
        return
    until = time.monotonic() + PATIENCE
    with suppress(EngineRefused):  # another engine may not tell
        most = await slot.busy()
        while most and time.monotonic() < until:
            await asyncio.sleep(0.005)
            now = await slot.busy()
            if now < most:
                return
            most = now


def by_template(template: Template, tools: Sequence[Mapping[str, Any]], think: bool | str | None) -> Render:
    """Render with a template of ours. It may come from anywhere, so its time is not the event loop's."""

    async def rendered(_: Slot | None, messages: Sequence[Message]) -> Prompt:
        with_marks, images = marked(messages)
        return Prompt(await asyncio.to_thread(render, template, with_marks, tools, think), images)

    return rendered


def by_engine(told: Mapping[str, Any]) -> Render:
    """Let the engine render, and take its text."""

    async def rendered(slot: Slot, messages: Sequence[Message]) -> Prompt:
        said = in_dialect(messages)
        text = await questions.render(slot, said, told)
        images = images_in(said)
        return (await vocabulary(slot)).marked(text, images) if images else Prompt(text)

    return rendered


def as_it_is(prompt: Prompt) -> Render:
    """This text, whatever the messages."""

    async def rendered(_slot: Slot | None, _messages: Sequence[Message]) -> Prompt:
        return prompt

    return rendered


def after(context: Sequence[int], render: Render) -> Render:
    """The text of an earlier `context`, then what `render` makes."""

    async def rendered(slot: Slot, messages: Sequence[Message]) -> Prompt:
        prompt = await render(slot, messages)
        return Prompt(await questions.text(slot, context) + prompt.text, prompt.images)

    return rendered
