"""Random JSON schemas of every kind that people write, and some that nobody does; and the judge of what fits them."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

NAMES = ["a", "b", "ä ö", 'q"uote', "back\\slash", "emoji😀", "", "a/b~c", "tab\t", "id", "kind", "x-y"]
WORDS = [
    "",
    "x",
    "ü",
    "日本",
    'quote"',
    "back\\",
    "new\nline",
    "😀",
    "\u0001",
    "/",
    "a" * 50,
    "</think>",
    "{",
    " lead",
]
NUMBERS = [0, 1.5, -0.25, 1e20, 1e-7, 12345678901234567890, 3.0]
PATTERNS = [
    *(
        "^[a-z]{2,5}$",
        r"^\d{3}-\d{4}$",
        "abc",
        "^(foo|bar)+$",
        "^[^a-z]*$",
        r"\.json$",
        r"^\S+@\S+$",
        "^.{1,3}$",
    ),
    *("^[A-Z][a-z]*( [A-Z][a-z]*)*$", r"^\u00e9+$", r"^[\w-]+$", "^a?b*?c{2}$", "^x|y$", r"^[\x00-\x1f]$"),
    *(r"^(?:ab|(cd))\/?$", '^"\\\\$', "^[äöü😀]{1,3}$", r"^-?\d+(\.\d+)?$", r"^\D*$", r"[^\s]", "^$|^a"),
    *(
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        r"^(?=.*[a-z])(?=.*\d).{2,4}$",
        "^(a|b)",
        "^a|b$",
        "^((?:oo|ab)+|c)",
    ),
]
FORMATS = [
    *(
        "date",
        "time",
        "date-time",
        "duration",
        "uuid",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
    ),
    *(
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ),
    *("int32", "password"),
]


def wrong(schema: Any, text: str) -> str:
    """Why this text is no JSON that fits the schema; nothing if it is."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    try:
        found = next(iter(validator.iter_errors(json.loads(text))), None)
    except ValueError as exc:
        return f"no JSON: {exc}"
    except RecursionError:  # deeper than the judge can look
        return ""
    return "" if found is None else found.message


@cache
def formats_checked() -> frozenset[str]:
    """The formats that the judge knows here."""
    return frozenset(Draft202012Validator.FORMAT_CHECKER.checkers)


def random_schema(rng: random.Random) -> dict[str, Any]:
    """Any depth up to four; sometimes one that nothing fits."""
    names = rng.sample(["n1", "node", "日本", "with/slash"], rng.randrange(3))
    maker = _Maker(rng, [name.replace("/", "~1") for name in names])
    schema = maker.schema(rng.choice([1, 2, 3, 4]))
    found = {"type": "object"} if schema is True or not schema else dict(schema)
    if names:
        found["$defs"] = {name: maker.schema(2) for name in names}
    return found


class _Maker:
    def __init__(self, rng: random.Random, definitions: list[str]) -> None:
        self._rng = rng
        self._definitions = definitions

    def schema(self, depth: int) -> Any:
        made = [self._string, self._pattern, self._format, self._number, self._enum, self._const, self._types]
        if depth > 0:
            more = [self._object] * 5 + [self._array] * 2 + [self._any_of] * 2
            more += [self._one_of, self._all_of, self._tagged, self._chain, self._reference]
            return self._rng.choice([*made, *more])(depth)
        return self._rng.choice(made)(depth)

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _value(self, depth: int = 2) -> Any:
        rng = self._rng
        match rng.randrange(12):
            case 0:
                return None
            case 1:
                return rng.choice([True, False])
            case 2:
                return rng.randint(-1000, 1000)
            case 3:
                return rng.choice(NUMBERS)
            case 4 if depth:
                return [self._value(depth - 1) for _ in range(rng.randrange(3))]
            case 5 if depth:
                return {rng.choice(NAMES): self._value(depth - 1) for _ in range(rng.randrange(3))}
            case _:
                return rng.choice(WORDS)

    def _string(self, _depth: int) -> Any:
        found: dict[str, Any] = {"type": "string"}
        if self._chance(0.3):
            found["minLength"] = self._rng.randrange(6)
        if self._chance(0.3):
            found["maxLength"] = found.get("minLength", 0) + self._rng.choice([0, 1, 4, 40, 900])
        return found

    def _pattern(self, _depth: int) -> Any:
        found = {"type": "string", "pattern": self._rng.choice(PATTERNS)}
        return found | ({"maxLength": self._rng.choice([3, 9, 70])} if self._chance(0.2) else {})

    def _format(self, _depth: int) -> Any:
        return {"type": "string", "format": self._rng.choice(FORMATS)}

    def _number(self, _depth: int) -> Any:
        rng = self._rng
        found: dict[str, Any] = {"type": rng.choice(["integer", "number"])}
        low = rng.choice([rng.randint(-200, 200), rng.randint(-2000, 2000) / 10])
        if self._chance(0.6):
            found[rng.choice(["minimum", "exclusiveMinimum"])] = low
        if self._chance(0.6):
            found[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.choice(
                [1, 5, rng.randint(1, 2000)]
            )
        if self._chance(0.2):
            found["multipleOf"] = rng.choice([1, 2, 3, 7, 10, 25])
        return found

    def _enum(self, _depth: int) -> Any:
        return {"enum": [self._value() for _ in range(self._rng.choice([1, 2, 5, 30]))]}

    def _const(self, _depth: int) -> Any:
        return {"const": self._value()}

    def _types(self, _depth: int) -> Any:
        some = [
            "boolean",
            "null",
            ["string", "null"],
            ["integer", "boolean"],
            ["array", "null"],
            ["object", "null"],
        ]
        return self._rng.choice([{"type": kind} for kind in some] + [{}, True, {"description": "x"}])

    def _reference(self, depth: int) -> Any:
        if not self._definitions:
            return self._string(depth)
        return {"$ref": f"#/$defs/{self._rng.choice(self._definitions)}"}

    def _any_of(self, depth: int) -> Any:
        return {"anyOf": [self.schema(depth - 1) for _ in range(self._rng.randrange(1, 4))]}

    def _one_of(self, depth: int) -> Any:
        return {"oneOf": [self.schema(depth - 1) for _ in range(self._rng.randrange(1, 4))]}

    def _all_of(self, depth: int) -> Any:
        return {"allOf": [self.schema(depth - 1) for _ in range(self._rng.randrange(1, 3))]}

    def _tagged(self, depth: int) -> Any:
        first = {"kind": {"const": "a"}, "va": self.schema(depth - 1)}
        second = {"kind": {"const": "b"}, "vb": self.schema(depth - 1)}
        return {
            "type": "object",
            "properties": {"kind": {"enum": ["a", "b"]}},
            "required": ["kind"],
            "oneOf": [
                {"type": "object", "properties": first, "required": ["kind", "va"]},
                {"type": "object", "properties": second, "required": ["kind"]},
            ],
        }

    def _chain(self, depth: int) -> Any:
        members = {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "v": self.schema(depth - 1)}
        return {"type": "object", "properties": members, "required": ["next", "v"]}

    def _array(self, depth: int) -> Any:
        rng = self._rng
        found: dict[str, Any] = {"type": "array"}
        if self._chance(0.9):
            found["items"] = self.schema(depth - 1)
        if self._chance(0.3):
            found["prefixItems"] = [self.schema(depth - 1) for _ in range(rng.randrange(1, 4))]
        if self._chance(0.4):
            found["minItems"] = rng.randrange(4)
        if self._chance(0.4):
            found["maxItems"] = found.get("minItems", 0) + rng.choice([0, 1, 3, 500])
        if self._chance(0.1):
            found = {"type": "array", "uniqueItems": True, "items": {"enum": ["a", 1, True, None, "ü"]}}
        return found

    def _object(self, depth: int) -> Any:
        rng = self._rng
        names = rng.sample(NAMES, rng.randrange(6))
        found: dict[str, Any] = {"type": "object"}
        if names:
            found["properties"] = {name: self.schema(depth - 1) for name in names}
            found["required"] = rng.sample(names, rng.randrange(len(names) + 1))
        if self._chance(0.1):
            found.setdefault("required", []).append("extra")
        if self._chance(0.4):
            found["additionalProperties"] = rng.choice([False, False, True, self.schema(depth - 1)])
        if self._chance(0.15):
            some = rng.sample(["^x-", "[0-9]$", "^[a-z]$", "ä"], 2)
            found["patternProperties"] = {pattern: self.schema(depth - 1) for pattern in some}
        if self._chance(0.1):
            found["propertyNames"] = rng.choice(
                [{"pattern": "^[a-z]+$"}, {"maxLength": 4}, {"enum": ["a", "b", "zz"]}]
            )
        if self._chance(0.1):
            found["minProperties"] = rng.randrange(3)
        if self._chance(0.1):
            found["maxProperties"] = rng.randrange(1, 5)
        if self._chance(0.1) and len(names) > 1:
            found["dependentRequired"] = {names[0]: [names[1]]}
        if self._chance(0.1):
            found["unevaluatedProperties"] = False
        if self._chance(0.1):
            del found["type"]
        return found
