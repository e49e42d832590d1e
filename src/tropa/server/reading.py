"""Bodies of the OpenAI and Anthropic dialects, read field by field.

What the native API says in Go's words is said plainly here: the error names the field by its path and says what it
must be. Keys match in any letter case, unknown keys are ignored, `null` is the same as leaving a field out, and
nothing is coerced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tropa.server.body import BadRequest, parse

DEEPEST = 128
"""Levels of a value that is passed on as it came: a schema, a tool's parameters. Nobody writes as many by hand, and
whoever has to walk them later has no endless stack."""

MOST_INTEGER = 1 << 53  # beyond it, JSON in many languages no longer tells neighbours apart


class BadField(BadRequest):
    """A field has the wrong type, or a value without meaning. `path` is `messages[2].content`, or empty: the body."""

    code = "bad-field"

    def __init__(self, path: str, complaint: str) -> None:
        super().__init__(f"'{path}' {complaint}" if path else f"the request body {complaint}")
        self.path = path


def read(body: bytes) -> Fields:
    """The object in `body`; nothing but `null` counts as an empty one. Raises BadRequest, BadField."""
    value = parse(body)
    return Fields({} if value is None else value)


class Fields:
    """One JSON object and where it stands in the body."""

    __slots__ = ("_values", "path")

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise BadField(path, f"must be an object, not {kind_of(value)}")
        self._values = {name.lower(): item for name, item in value.items()}
        self.path = path

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def names(self) -> list[str]:
        """Of all fields that are set, in lower case."""
        return [name for name, value in self._values.items() if value is not None]

    def raw(self) -> dict[str, Any]:
        """The object itself, its keys in lower case, each value at most DEEPEST levels deep."""
        return {name: self.get(name) for name in self._values}

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any:
        """The value as it came, at most DEEPEST levels deep; None when it is left out."""
        value = self._values.get(name)
        if isinstance(value, dict | list) and not _shallow(value):
            raise BadField(self.at(name), f"is nested too deeply: {DEEPEST} levels are allowed")
        return value

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self._not(name, "a string")

    def required_text(self, name: str) -> str:
        """A string that is there and not empty."""
        if value := self.text(name):
            return value
        raise BadField(self.at(name), "is required")

    def flag(self, name: str) -> bool | None:
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._not(name, "a boolean")

    def number(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._not(name, "a number")
        if not abs(value) <= MOST_INTEGER or not math.isfinite(value):
            raise BadField(self.at(name), "is out of range")
        return float(value)

    def integer(self, name: str, least: int = -MOST_INTEGER, most: int = MOST_INTEGER) -> int | None:
        """A whole number from `least` to `most`."""
        number = self.number(name)
        if number is None:
            return None
        if number != int(number):
            raise BadField(self.at(name), f"must be a whole number, not {number:g}")
        if not least <= number <= most:
            bound = f"at least {least}" if number < least else f"at most {most}"
            raise BadField(self.at(name), f"must be {bound}, not {int(number)}")
        return int(number)

    def choice(self, name: str, among: Sequence[str]) -> str | None:
        """One of some words."""
        value = self.text(name)
        if value is not None and value not in among:
            words = ", ".join(f'"{word}"' for word in among)
            raise BadField(self.at(name), f'must be one of {words}, not "{value[:80]}"')
        return value

    def texts(self, name: str) -> list[str] | None:
        """A string, or a list of them."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise self._not(name, "a string or a list of strings")

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object whose keys are the client's own, as it came."""
        value = self.get(name)
        if value is None or isinstance(value, dict):
            return value
        raise self._not(name, "an object")

    def object(self, name: str) -> Fields | None:
        value = self._values.get(name)
        return None if value is None else Fields(value, self.at(name))

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; empty when it is left out."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._not(name, "a list")
        return [Fields(item, f"{self.at(name)}[{index}]") for index, item in enumerate(value)]

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """Raises BadField for the first of these fields that asks for something: false and what is empty do not."""
        for name, why in reasons.items():
            value: Any = self.get(name)
            if value is not None and value is not False and value not in ("", [], {}):
                raise BadField(self.at(name), why)

    def _not(self, name: str, wanted: str) -> BadField:
        return BadField(self.at(name), f"must be {wanted}, not {kind_of(self._values[name])}")


def kind_of(value: Any) -> str:
    """What people call the JSON type of `value`."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _shallow(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [item for each in level for item in _inside(each) if isinstance(item, dict | list)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value)
