"""Values as text, as Go's `%v` writes them."""

from __future__ import annotations

from tropa.templates.numerals import shortest
from tropa.templates.values import NOTHING, Struct, View


def printed(value: object) -> str:
    """What an action prints."""
    if type(value) is str:
        return value
    return "<no value>" if value is None or value is NOTHING else show(value)


def show(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return shortest(value)
        case View() if (text := value.shown()) is not None:
            return text
        case bytes():
            return "[" + " ".join(map(str, value)) + "]"
        case list() | tuple():
            return "[" + " ".join(map(show, value)) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{show(value[key])}" for key in sorted(value)) + "]"
        case Struct():
            return "{" + " ".join(map(show, value.fields.values())) + "}"
    return "<nil>"


def spaced(values: list[object]) -> str:
    """As `print`: a blank between two operands when neither is a string."""
    parts: list[str] = []
    after_text = True
    for value in values:
        text = isinstance(value, str)
        if not (text or after_text):
            parts.append(" ")
        parts.append(show(value))
        after_text = text
    return "".join(parts)


def joined(values: list[object]) -> str:
    """The argument of `html`, `js` and `urlquery`."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return spaced(["<no value>" if value is None else value for value in values])
