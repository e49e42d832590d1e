"""Tool calls found in a model's text, which comes in pieces cut anywhere.

The model's template says what a call begins with (its tag); what follows is told by its JSON and by the names of
the tools that it was offered. Ordinary text is never lost: what turns out to be no call is content after all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from tropa.templates.thinking import overlap

BARE = ("{", "[")  # tags that any text may contain: only an answer that begins with one can be a call

_OUTSIDE = re.compile(r'["{}]')
_INSIDE = re.compile(r'["\\]')
_FIRST = {"{": '"', "[": "{"}  # what comes next after a bare tag if it begins a call
_DEPTH = 32  # how deep in an object a call may stand
_MARKUP = re.compile(r"<[|/]?[^<>\s]*>|\[/?[A-Z_]+\]|```\w*")


@dataclass(frozen=True, slots=True)
class Call:
    """`index` counts the calls of one answer from 0."""

    index: int
    name: str
    arguments: dict[str, Any]


class _State(Enum):
    LOOKING = auto()
    CALLING = auto()
    DONE = auto()


class ToolCallParser:
    """`feed` pieces: each returns (content, calls). Then `finish`, which returns the content that was held back.

    However the text is cut, contents join to the same text, and the calls are the same.
    """

    def __init__(self, tag: str, names: Collection[str]) -> None:
        """`tag`: what the template writes before a call. `names`: of the tools that the model was offered."""
        self._tag = tag or "{"
        self._bare = self._doubtful = self._tag in BARE
        self._names = sorted(names, key=len, reverse=True)  # the longest of those at one place is meant
        self._state = _State.LOOKING
        self._held = ""
        self._objects = _Objects()
        self._calls = 0

    def feed(self, text: str) -> tuple[str, list[Call]]:
        """What this piece makes certain."""
        if self._state is _State.DONE:
            return text, []
        if self._state is _State.LOOKING:
            return self._look(text)
        self._held += text
        return self._take()

    def finish(self) -> str:
        """The text ended. A call that was cut off in its arguments is no text that anyone wants to read."""
        held, self._held = self._held, ""
        if self._state is not _State.CALLING or (self._bare and not self._calls):
            return held
        if self._objects.open:
            return ""
        rest = _MARKUP.sub("", held.removeprefix(self._tag)).strip(" \t\r\n,;]}")
        if not rest:
            return ""
        return rest if self._calls else held

    def _look(self, text: str) -> tuple[str, list[Call]]:
        text, self._held = self._held + text, ""
        before, found, after = text.partition(self._tag)
        if self._bare and before.strip():
            self._state = _State.DONE
            return text, []
        if not found:
            held = overlap(text, self._tag)
            self._held = text[len(text) - held :]
            return text[: len(text) - held], []
        self._state = _State.CALLING
        self._held = self._tag + after
        # A bare `{` is the object's own.
        self._objects = _Objects(0 if self._tag == "{" else len(self._tag))
        content, calls = self._take()
        return before + content, calls

    def _take(self) -> tuple[str, list[Call]]:
        """Calls whose arguments have become whole."""
        calls: list[Call] = []
        if self._doubtful:
            rest = self._held[1:].lstrip()
            if rest and not rest.startswith(_FIRST[self._tag]):
                return self._give_up(), []
            self._doubtful = not rest
        while (found := self._objects.next(self._held)) is not None:
            start, end = found
            made = self._made(self._held[:start], self._held[start:end])
            if made:
                calls.extend(
                    Call(index, name, arguments) for index, (name, arguments) in enumerate(made, self._calls)
                )
                self._calls += len(made)
                self._held = self._held[end:]
                self._objects = _Objects()
            elif self._bare and not self._calls:
                return self._give_up(), []
        return "", calls

    def _give_up(self) -> str:
        self._state = _State.DONE
        held, self._held = self._held, ""
        return held

    def _made(self, before: str, text: str) -> list[tuple[str, dict[str, Any]]]:
        """The calls that one object makes, `before` being what stands between it and the last call."""
        try:
            value = json.loads(text, strict=False)  # models write line breaks into strings
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, dict):
            return []
        if made := [*self._said(value)]:
            return made
        named = isinstance(value.get("name"), str) and ("arguments" in value or "parameters" in value)
        if self._bare or named:
            return []
        name = self._named(before.removeprefix(self._tag))
        return [(name, value)] if name else []

    def _said(self, value: Any, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
        """Calls as objects, outermost first: {"name": …, "arguments": …} or {"tool": {…}}."""
        if depth > _DEPTH:
            return
        if isinstance(value, list):
            for each in value:
                yield from self._said(each, depth + 1)
        if not isinstance(value, dict):
            return
        name = value.get("name")
        if isinstance(name, str):
            arguments = _arguments(value)
            if name in self._names and arguments is not None:
                yield name, arguments
                return
            if name in self._names and not self._bare and len(value) == 1:
                yield name, {}
                return
            if "arguments" in value or "parameters" in value:
                return
        for key, each in value.items():
            if key in self._names and isinstance(each, dict):
                yield key, each
            else:
                yield from self._said(each, depth + 1)

    def _named(self, text: str) -> str | None:
        """The tool that `text` names first."""
        found = [(at, number) for number, name in enumerate(self._names) if (at := text.find(name)) >= 0]
        return self._names[min(found)[1]] if found else None


def _arguments(value: dict[str, Any]) -> dict[str, Any] | None:
    for key in ("arguments", "parameters"):
        found = value.get(key)
        if isinstance(found, str):
            try:
                found = json.loads(found, strict=False)
            except (ValueError, RecursionError):
                found = None
        if isinstance(found, dict):
            return found
    return None


class _Objects:
    """Finds the objects in a growing text, looking at each character once."""

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._start = -1
        self._depth = 0
        self._quoted = False

    @property
    def open(self) -> bool:
        """Whether the text ended within an object."""
        return self._depth > 0

    def next(self, text: str) -> tuple[int, int] | None:
        """Where the next whole object begins and ends; None: it takes more text."""
        while True:
            if self._quoted:
                found = _INSIDE.search(text, self._position)
                if found is None:
                    self._position = len(text)
                    return None
                if found[0] == "\\":
                    if found.end() == len(text):  # what it escapes is still to come
                        self._position = found.start()
                        return None
                    self._position = found.end() + 1
                else:
                    self._position = found.end()
                    self._quoted = False
                continue
            found = _OUTSIDE.search(text, self._position)
            if found is None:
                self._position = len(text)
                return None
            self._position = found.end()
            if found[0] == "{":
                if self._depth == 0:
                    self._start = found.start()
                self._depth += 1
            elif self._depth == 0:
                continue
            elif found[0] == '"':
                self._quoted = True
            else:
                self._depth -= 1
                if self._depth == 0:
                    return self._start, self._position
