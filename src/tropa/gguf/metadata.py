"""The key-value part of a GGUF. Whoever asks for a number gets a number, or an error that names the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import BadMetadata
from tropa.gguf.value import Array, Value, read_value


class Metadata(Mapping[str, Value]):
    """Read-only. The getters return `default` for a missing key; one of another type is a BadMetadata."""

    __slots__ = ("_values", "path")

    def __init__(self, path: Path, values: dict[str, Value]) -> None:
        self.path = path
        self._values = values

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, key: str, default: str = "") -> str:
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._not(key, "a string", value)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self._not(key, "true or false", value)
        return value

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number, 0 or more, small enough for arithmetic on sizes to stay sane."""
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._not(key, "a whole number", value)
        return self._sane(key, value)

    def number(self, key: str, default: float = 0.0) -> float:
        value = self._values.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._not(key, "a number", value)
        return float(value)

    def integers(self, key: str, count: int, default: int = 0) -> tuple[int, ...]:
        """One number per layer, whether the file has one for all or an array of `count`."""
        value = self._values.get(key, default)
        if not isinstance(value, Array):
            return (self.integer(key, default),) * count
        items = value.kept
        if items is None:  # far more than any model has layers, or no numbers
            raise self._not(key, "an array of whole numbers, one per layer", value)
        if len(items) < count:
            raise BadMetadata(self.path, f"key {key!r} has {len(items)} values for {count} layers")
        # A bool is an int here: patterns come as either.
        numbers = [item for item in items[:count] if isinstance(item, int)]
        if len(numbers) < count:
            raise self._not(key, "an array of whole numbers", value)
        return tuple(self._sane(key, number) for number in numbers)

    def _sane(self, key: str, value: int) -> int:
        if not 0 <= value < 1 << 40:
            raise BadMetadata(self.path, f"key {key!r} is {value}, which can't be right")
        return value

    def _not(self, key: str, wanted: str, value: Value) -> BadMetadata:
        kind = "an array" if isinstance(value, Array) else type(value).__name__
        return BadMetadata(self.path, f"key {key!r} should be {wanted}, and is {kind}")


def read_metadata(cursor: Cursor, count: int) -> Metadata:
    values: dict[str, Value] = {}
    for index in range(count):
        key = cursor.string(f"the name of key {index}")
        if not key:
            raise BadMetadata(cursor.path, f"key {index} has no name")
        if key in values:
            raise BadMetadata(cursor.path, f"key {key!r} occurs twice")
        values[key] = read_value(cursor, key)
    return Metadata(cursor.path, values)
