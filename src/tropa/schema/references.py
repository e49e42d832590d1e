"""The schema's text as a whole: how large it is, and where its references lead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tropa.schema.errors import TooLarge
from tropa.schema.keywords import refuse, shown
from tropa.schema.limits import DEEPEST, VALUES


class References:
    """Looks up what a `$ref` names: a part of the same schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._anchors: dict[str, tuple[Any, str]] | None = None

    def find(self, reference: Any, where: str) -> tuple[Any, str]:
        """The part, and where it stands. Raises BadSchema."""
        if not isinstance(reference, str):
            refuse(where, "$ref", "must be a string")
        place = self._within(reference, where)
        if place and not place.startswith("/"):
            if self._anchors is None:
                self._anchors = dict(_anchors(self._root))
            if place not in self._anchors:
                refuse(where, "$ref", f"{shown(reference)} leads nowhere")
            return self._anchors[place]
        value = self._root
        for step in place[1:].split("/") if place else ():
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                refuse(where, "$ref", f"{shown(reference)} leads nowhere")
        return value, f"#{place}"

    def _within(self, reference: str, where: str) -> str:
        """What stands behind the # of a reference to this schema."""
        base, mark, place = reference.partition("#")
        own = self._root.get("$id") if isinstance(self._root, dict) else None
        if base and not (isinstance(own, str) and base == own.partition("#")[0]):
            refuse(where, "$ref", f"{shown(reference)} leads out of the schema: only # is looked up")
        return place if mark else ""


def _anchors(root: Any) -> Iterator[tuple[str, tuple[Any, str]]]:
    waiting = [(root, "#")]
    while waiting:
        value, where = waiting.pop()
        if isinstance(value, dict):
            if isinstance(name := value.get("$anchor"), str):
                yield name, (value, where)
            waiting.extend((one, f"{where}/{key}") for key, one in value.items())
        elif isinstance(value, list):
            waiting.extend((one, f"{where}/{number}") for number, one in enumerate(value))


def check_size(root: Any, widest: int = VALUES) -> None:
    """Raises TooLarge before anything walks the schema by recursion. `widest`: members that one object may have."""
    level, depth, count = [root], 0, 0
    while level:
        depth += 1
        count += len(level)
        if depth > DEEPEST:
            raise TooLarge(f"the schema is nested too deeply: {DEEPEST} levels are allowed", placed=True)
        if count > VALUES:
            raise TooLarge(f"the schema is too large: {VALUES} values are allowed", placed=True)
        if any(len(value) > widest for value in level if isinstance(value, dict)):
            raise TooLarge(
                f"the schema is too large: {widest} members of one object are allowed", placed=True
            )
        level = [
            one
            for value in level
            if isinstance(value, dict | list)
            for one in (value.values() if isinstance(value, dict) else value)
        ]
