"""config.json, read with suspicion: every number has the kind and range its use needs, or an error names its key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tropa.library.convert.errors import InvalidModelFolder

LARGEST = (1 << 31) - 1
"""No count in a model is larger; the engine keeps them in 32 bits."""


class Config:
    """The fields of a config file, or of an object in it. `file` is how messages call it."""

    def __init__(self, fields: Mapping[str, Any], file: str = "config.json") -> None:
        self.fields = fields
        self.file = file

    def __contains__(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def count(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """A whole number, at least `least`, under the first of `keys` that is there."""
        key, value = self._first(keys, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise self.wrong(key, value, f"a whole number from {least}")
        return value

    def number(self, *keys: str, default: float | None = None) -> float:
        """A finite number under the first of `keys` that is there."""
        key, value = self._first(keys, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, value, "a number")
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found) or abs(found) > 3.4e38:
            raise self.wrong(key, value, "a number that fits 32 bits")
        return found

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.fields.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self.fields.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value

    def numbers(self, key: str, length: int) -> list[float]:
        """A list of exactly `length` finite numbers."""
        value = self.fields.get(key)
        if not isinstance(value, list) or len(value) != length:
            raise self.wrong(key, value, f"a list of {length} numbers")
        inner = Config({str(i): each for i, each in enumerate(value)}, f"{self.file}: {key}")
        return [inner.number(str(i)) for i in range(length)]

    def inner(self, key: str) -> Config | None:
        """The object under `key`, None if there is none."""
        value = self.fields.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, value, "an object")
        return Config(value, f"{self.file}: {key}")

    def wrong(self, key: str, value: object, wanted: str) -> InvalidModelFolder:
        return InvalidModelFolder(f"{self.file}: {key} is {_short(value)}, and should be {wanted}")

    def _first(self, keys: tuple[str, ...], default: float | None) -> tuple[str, Any]:
        for key in keys:
            if (value := self.fields.get(key)) is not None:
                return key, value
        if default is None:
            raise InvalidModelFolder(f"{self.file}: {' or '.join(keys)} is missing")
        return keys[0], default


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number beyond all sizes"
    return text if len(text) <= 80 else f"{text[:77]}..."
