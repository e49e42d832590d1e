"""Values of single keywords, read and checked. All raise BadSchema, which names the keyword and where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from tropa.schema.errors import BadSchema
from tropa.schema.numerals import Limits

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
MOST = 1_000_000
"""The largest count that means something."""
SMALLEST, LARGEST = -18, 300
"""Powers of ten of the numbers that bounds may have."""


def refuse(where: str, keyword: str, why: str) -> NoReturn:
    raise BadSchema(f"{where}/{keyword} {why}")


def shown(value: Any) -> str:
    return json.dumps(value)[:60]


def a_list(value: Mapping[str, Any], keyword: str, where: str) -> list[Any]:
    found = value.get(keyword, [])
    if not isinstance(found, list):
        refuse(where, keyword, "must be a list")
    return found


def a_mapping(value: Mapping[str, Any], keyword: str, where: str) -> dict[str, Any]:
    found = value.get(keyword, {})
    if not isinstance(found, dict):
        refuse(where, keyword, "must be an object")
    return found


def types(value: Mapping[str, Any], where: str) -> list[str]:
    """The types that are allowed: all, if it does not say."""
    wanted = value.get("type", [*TYPES])
    names = wanted if isinstance(wanted, list) else [wanted]
    for name in names:
        if name not in TYPES:
            refuse(where, "type", f"{shown(name)} is no type; there are {', '.join(TYPES)}")
    return names


_MEANT = {
    "object": {
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties", "dependentRequired"),
    },
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"pattern", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
_SAID = {"type", "enum", "const", "$ref", "anyOf", "oneOf"}


def meant(value: Any) -> set[str]:
    """The types that a schema speaks of without saying `type`; none, if it is clear or can't be told."""
    if not isinstance(value, dict) or not _SAID.isdisjoint(value):
        return set()
    found = {name for name, keywords in _MEANT.items() if not keywords.isdisjoint(value)}
    both = value.get("allOf")
    return found.union(*map(meant, both)) if isinstance(both, list) else found


def counts(value: Mapping[str, Any], low: str, high: str, where: str) -> tuple[int, int | None]:
    """The least (0, if it does not say) and the most."""
    return _count(value, low, where) or 0, _count(value, high, where)


def _count(value: Mapping[str, Any], keyword: str, where: str) -> int | None:
    if keyword not in value:
        return None
    count = value[keyword]
    if isinstance(count, bool) or not isinstance(count, int | float) or count < 0 or count != int(count):
        refuse(where, keyword, "must be a whole number, 0 or more")
    if count > MOST and keyword.startswith("min"):
        refuse(where, keyword, f"is more than {MOST}: no answer is that long")
    return min(int(count), MOST)


def limits(value: Mapping[str, Any], where: str, *, integer: bool) -> Limits:
    """Which numbers are allowed."""
    low, above = _bound(value, "minimum", "exclusiveMinimum", where, sign=1)
    high, below = _bound(value, "maximum", "exclusiveMaximum", where, sign=-1)
    multiples: tuple[Decimal, ...] = ()
    if "multipleOf" in value:
        multiple = _decimal(value, "multipleOf", where)
        if multiple <= 0:
            refuse(where, "multipleOf", "must be larger than 0")
        multiples = (multiple,)
    return Limits(integer, low, above, high, below, multiples)


def _bound(
    value: Mapping[str, Any], plain: str, exclusive: str, where: str, *, sign: int
) -> tuple[Decimal | None, bool]:
    bound = _decimal(value, plain, where) if plain in value else None
    other = value.get(exclusive)
    if isinstance(other, bool):  # as the fourth draft had it
        return bound, other and bound is not None
    if exclusive in value:
        strict = _decimal(value, exclusive, where)
        if bound is None or strict * sign >= bound * sign:
            return strict, True
    return bound, False


def _decimal(value: Mapping[str, Any], keyword: str, where: str) -> Decimal:
    number = value[keyword]
    if isinstance(number, bool) or not isinstance(number, int | float):
        refuse(where, keyword, "must be a number")
    found = Decimal(repr(number))
    if number and not SMALLEST < found.adjusted() < LARGEST:
        refuse(where, keyword, "is too large or too small a number")
    return found
