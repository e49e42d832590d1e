"""A schema's text read: each of its parts as the kinds of values that fit it.

What is written for a schema has to fit it; not everything that fits has to be writable. So an object with named members
gets no others unless the schema speaks of them, and a format is written as every checker takes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NoReturn

from tropa.schema import automaton, formats
from tropa.schema.automaton import Automaton
from tropa.schema.errors import BadSchema, TooLarge
from tropa.schema.kinds import (
    ANYTHING,
    NEVER,
    Both,
    Kind,
    Layer,
    List,
    Null,
    Number,
    Object,
    Text,
    Truth,
    met,
    together,
)
from tropa.schema.limits import DEEPEST, STEPS, VALUES, Budget
from tropa.schema.numerals import Limits

REFUSED = (
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "dependentSchemas",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
)
"""Keywords that no grammar of ours can promise."""
NAMES = ("object", "array", "string", "number", "integer", "boolean", "null")
MOST_KINDS = 2_000
MOST_NESTED = 150
MOST_LENGTH = 256
"""A string with a pattern or a format that may be longer than this is not made longer, where its length counts."""
COUNT_LIMIT = 1_000_000


class Schemas:
    """All parts of one schema, by number. Number 0 is fitted by nothing."""

    def __init__(self, root: Any) -> None:
        _check_size(root)
        self._root = root
        self.budget = Budget(STEPS)
        self._parts: list[tuple[Any, str]] = [(False, "#")]
        self._numbers: dict[int, int] = {}
        self._kinds: dict[int, tuple[Kind, ...]] = {}
        self._fitting: dict[Both, tuple[Kind, ...]] = {}
        self._reading: set[int] = set()
        self._looking: set[Both] = set()
        self._circles = 0
        self._anchors: dict[str, tuple[Any, str]] | None = None
        self._automata: dict[Text, Automaton] = {}
        self.root = self._number(root, "#")

    def where(self, part: int) -> str:
        return self._parts[part][1]

    # What fits.

    def fitting(self, both: Both) -> tuple[Kind, ...]:
        """The kinds of values that fit all of these schemas; none, if nothing can. Raises BadSchema."""
        if both in self._fitting:
            return self._fitting[both]
        if len(self._looking) > MOST_NESTED:
            raise TooLarge(f"the schema is too large: more than {MOST_NESTED} parts inside each other")
        circles = self._circles
        self._looking.add(both)
        kinds: tuple[Kind, ...] = ANYTHING
        for part in both:
            kinds = self._met(kinds, self._of(part), part)
        kinds = tuple(kind for kind in kinds if self._possible(kind))
        self._looking.discard(both)
        if circles == self._circles or not self._looking:
            self._fitting[both] = kinds
        return kinds

    def _met(self, some: tuple[Kind, ...], others: tuple[Kind, ...], part: int) -> tuple[Kind, ...]:
        self.budget.spend(1 + len(some) * len(others) // 4)
        found = met(some, others)
        if len(found) > MOST_KINDS:
            raise TooLarge(f"the schema at {self.where(part)} has more than {MOST_KINDS} alternatives")
        return found

    def _possible(self, kind: Kind) -> bool:
        """Whether there is any such value, as far as one can see without going in circles."""
        match kind:
            case Text():
                return not self.automaton(kind).empty if kind.patterns or kind.words is not None else True
            case List():
                return all(self._fillable(part) for part in (*kind.first, kind.rest)[: kind.least])
            case Object():
                return all(self._fillable(self.member(kind, name)) for name in kind.required)
            case _:
                return True

    def _fillable(self, both: Both) -> bool:
        return both in self._looking or bool(self.fitting(both))

    def automaton(self, text: Text) -> Automaton:
        """The strings of a kind that has patterns or words."""
        if text not in self._automata:
            self._automata[text] = self._automaton(text)
        return self._automata[text]

    def _automaton(self, text: Text) -> Automaton:
        patterns = [automaton.of_pattern(each, self.budget) for each in text.patterns]
        if text.words is not None:
            self.budget.spend(len(text.words) * (1 + len(patterns)))
            return automaton.of_words(
                word
                for word in text.words
                if text.least <= len(word) <= (len(word) if text.most is None else text.most)
                and all(machine.accepts(word) for machine in patterns)
            )
        if len(patterns) == 1 and not text.least and text.most is None:
            return patterns[0]
        most = None if text.most is None else min(text.most, max(text.least, MOST_LENGTH))
        return automaton.joined(patterns, (), text.least, most, self.budget)

    def member(self, of: Object, name: str) -> Both:
        """What the member of this name has to fit."""
        parts: list[Both] = []
        for layer in of.layers:
            own = [part for known, part in layer.members if known == name]
            sure = bool(own)
            for pattern, part in layer.patterns:
                if automaton.of_pattern(pattern, self.budget, wide=True).accepts(name):
                    own.append(part)
                    sure = sure or automaton.of_pattern(pattern, self.budget).accepts(name)
            if not sure and layer.extra is not None:
                own.append(layer.extra)
            parts += own
        if of.names and not self.named(of.names, name):
            return NEVER
        return together(*parts)

    def named(self, names: Both, name: str) -> bool:
        """Whether a name fits these schemas."""
        return any(self._spells(kind, name) for kind in self.fitting(names))

    def _spells(self, kind: Kind, name: str) -> bool:
        if not isinstance(kind, Text):
            return False
        if kind.patterns or kind.words is not None:
            return self.automaton(kind).accepts(name)
        return kind.least <= len(name) <= (len(name) if kind.most is None else kind.most)

    # What a part says.

    def _of(self, part: int) -> tuple[Kind, ...]:
        if part in self._kinds:
            return self._kinds[part]
        if part in self._reading:  # it is what it is, and nothing besides
            self._circles += 1
            return ()
        if len(self._reading) > MOST_NESTED:
            raise TooLarge(f"the schema is too large: more than {MOST_NESTED} references in a row")
        circles = self._circles
        self._reading.add(part)
        try:
            kinds = self._read(part)
        finally:
            self._reading.discard(part)
        if circles == self._circles or not self._reading:
            self._kinds[part] = kinds
        return kinds

    def _read(self, part: int) -> tuple[Kind, ...]:
        value, where = self._parts[part]
        if value is False:
            return ()
        self.budget.spend()
        for keyword in REFUSED:
            if keyword in value and not (keyword in ("then", "else") and "if" not in value):
                self._refuse(where, keyword, "is not supported: an answer can't be held to it")
        kinds = tuple(self._typed(value, where))
        if "const" in value:
            kinds = self._met(kinds, self._exactly([value["const"]], where, "const"), part)
        if "enum" in value:
            members = self._list(value, "enum", where)
            if not members:
                self._refuse(where, "enum", "is empty: no value fits it")
            kinds = self._met(kinds, self._exactly(members, where, "enum"), part)
        if "$ref" in value:
            kinds = self._met(kinds, self._of(self._referred(value["$ref"], where)), part)
        for number, one in enumerate(self._list(value, "allOf", where)):
            kinds = self._met(kinds, self._of(self._number(one, f"{where}/allOf/{number}")), part)
        for keyword in ("anyOf", "oneOf"):
            if keyword in value:
                kinds = self._met(kinds, self._alternatives(value, keyword, where), part)
        for name, needed in self._needs(value, where):
            kinds = self._met(kinds, (*self._without(name), Object(required=(name, *needed))), part)
        if value.get("unevaluatedProperties", True) is not True:
            if value["unevaluatedProperties"] is not False:
                self._refuse(where, "unevaluatedProperties", "is supported only with the value false")
            kinds = tuple(_sealed(kind) for kind in kinds)
        return kinds

    def _alternatives(self, value: Mapping[str, Any], keyword: str, where: str) -> tuple[Kind, ...]:
        options = self._list(value, keyword, where)
        if not options:
            self._refuse(where, keyword, "is empty: no value fits it")
        parts = [self._number(one, f"{where}/{keyword}/{number}") for number, one in enumerate(options)]
        kinds = [self._of(part) for part in parts]
        if keyword == "oneOf":
            self._check_apart(kinds, where)
        return tuple(dict.fromkeys(kind for one in kinds for kind in one))

    def _check_apart(self, kinds: list[tuple[Kind, ...]], where: str) -> None:
        """What is written for one alternative must not fit another."""
        for number, one in enumerate(kinds):
            closed = tuple(_closed(kind) for kind in one)
            for other_number, other in enumerate(kinds):
                if number != other_number:
                    self.budget.spend(1 + len(one) * len(other))
                    if any(self._possible(kind) for kind in met(closed, other)):
                        first, second = sorted((number, other_number))
                        self._refuse(
                            where,
                            "oneOf",
                            f"has alternatives ({first} and {second}) that the same value could fit; use anyOf",
                        )

    def _without(self, name: str) -> Iterator[Kind]:
        """Whatever has no such member."""
        yield Object((Layer(((name, NEVER),)),))
        yield from ANYTHING[1:]

    def _needs(self, value: Mapping[str, Any], where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        for keyword in ("dependentRequired", "dependencies"):
            for name, needed in self._mapping(value, keyword, where).items():
                if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
                    self._refuse(where, f"{keyword}/{name}", "is supported only as a list of names")
                yield name, tuple(needed)

    def _typed(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        """The kinds that `type` allows, with the limits of their own keywords."""
        wanted = value.get("type", [*NAMES])
        names = wanted if isinstance(wanted, list) else [wanted]
        for name in names:
            if name not in NAMES:
                self._refuse(where, "type", f"{_shown(name)} is no type; there are {', '.join(NAMES)}")
        for name in dict.fromkeys(
            "number" if name == "integer" and "number" in names else name for name in names
        ):
            match name:
                case "object":
                    yield from self._object(value, where)
                case "array":
                    yield from self._array(value, where)
                case "string":
                    yield from self._string(value, where)
                case "number" | "integer":
                    yield from self._numeric(value, where, integer=name == "integer")
                case "boolean":
                    yield Truth()
                case _:
                    yield Null()

    def _string(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        patterns = []
        if "pattern" in value:
            if not isinstance(value["pattern"], str):
                self._refuse(where, "pattern", "must be a string")
            patterns.append(self._checked(value["pattern"], where, "pattern"))
        if isinstance(name := value.get("format"), str) and (fixed := formats.pattern(name)):
            patterns.append(fixed)
        least, most = self._counts(value, "minLength", "maxLength", where)
        if most is None or least <= most:
            yield Text(tuple(patterns), least, most)

    def _checked(self, pattern: str, where: str, keyword: str) -> str:
        try:
            automaton.of_pattern(pattern, self.budget)
            automaton.of_pattern(pattern, self.budget, wide=True)
        except BadSchema as exc:
            raise type(exc)(f"{where}/{keyword} {json.dumps(pattern)[:100]}: {exc}") from exc
        return pattern

    def _numeric(self, value: Mapping[str, Any], where: str, *, integer: bool) -> Iterator[Kind]:
        low, above = self._bound(value, "minimum", "exclusiveMinimum", where, sign=1)
        high, below = self._bound(value, "maximum", "exclusiveMaximum", where, sign=-1)
        multiples: tuple[Decimal, ...] = ()
        if "multipleOf" in value:
            multiple = self._decimal(value, "multipleOf", where)
            if multiple <= 0:
                self._refuse(where, "multipleOf", "must be larger than 0")
            multiples = (multiple,)
        found = met([Number()], [Number(Limits(integer, low, above, high, below, multiples))])
        yield from found

    def _bound(
        self, value: Mapping[str, Any], plain: str, exclusive: str, where: str, *, sign: int
    ) -> tuple[Decimal | None, bool]:
        bound = self._decimal(value, plain, where) if plain in value else None
        other = value.get(exclusive)
        if isinstance(other, bool):  # as the fourth draft had it
            return bound, other and bound is not None
        if exclusive in value:
            strict = self._decimal(value, exclusive, where)
            if bound is None or strict * sign >= bound * sign:
                return strict, True
        return bound, False

    def _array(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        first, rest, at = [], value.get("items", True), f"{where}/items"
        if "prefixItems" in value:
            first = self._list(value, "prefixItems", where)
        elif isinstance(rest, list):  # as older drafts had it
            first, rest, at = rest, value.get("additionalItems", True), f"{where}/additionalItems"
        least, most = self._counts(value, "minItems", "maxItems", where)
        parts = tuple(self._part(one, f"{where}/prefixItems/{number}") for number, one in enumerate(first))
        unique = value.get("uniqueItems", False) is True
        if most is None or least <= most:
            yield List(parts, self._part(rest, at), least, most, unique)

    def _object(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        members = tuple(
            (name, self._part(one, f"{where}/properties/{name}"))
            for name, one in self._mapping(value, "properties", where).items()
        )
        patterns = tuple(
            (
                self._checked(name, where, "patternProperties"),
                self._part(one, f"{where}/patternProperties/{name}"),
            )
            for name, one in self._mapping(value, "patternProperties", where).items()
        )
        extra: Both | None = None
        if "additionalProperties" in value:
            extra = self._part(value["additionalProperties"], f"{where}/additionalProperties")
        names: Both = ()
        if "propertyNames" in value:
            names = self._part(value["propertyNames"], f"{where}/propertyNames")
        required = () if isinstance(value.get("required"), bool) else self._list(value, "required", where)
        if not all(isinstance(name, str) for name in required):
            self._refuse(where, "required", "must be a list of names")
        least, most = self._counts(value, "minProperties", "maxProperties", where)
        layers = (Layer(members, patterns, extra),) if members or patterns or extra is not None else ()
        found = Object(layers, tuple(dict.fromkeys(required)), names, least, most)
        if most is None or max(least, len(found.required)) <= most:
            yield found

    def _exactly(self, values: list[Any], where: str, keyword: str) -> tuple[Kind, ...]:
        """These values and no others."""
        self.budget.spend(len(values))
        truths = tuple(dict.fromkeys(value for value in values if isinstance(value, bool)))
        numbers = tuple(
            json.dumps(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)
        )
        words = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
        found: list[Kind] = []
        if words:
            found.append(Text(words=words))
        if numbers:
            found.append(Number(values=tuple(dict.fromkeys(numbers))))
        if truths:
            found.append(Truth(truths))
        if None in [value for value in values if value is None]:
            found.append(Null())
        for number, value in enumerate(values):
            at = f"{where}/{keyword}" if keyword == "const" else f"{where}/{keyword}/{number}"
            if isinstance(value, list):
                parts = tuple(self._constant(one, at) for one in value)
                found.append(List(parts, NEVER, len(parts), len(parts)))
            elif isinstance(value, dict):
                members = tuple((name, self._constant(one, at)) for name, one in value.items())
                found.append(Object((Layer(members, (), NEVER),), tuple(value), (), len(value), len(value)))
        return tuple(dict.fromkeys(found))

    def _constant(self, value: Any, where: str) -> Both:
        return self._part({"const": value}, where)

    # Finding parts.

    def _part(self, value: Any, where: str) -> Both:
        return () if value is True or value == {} else (self._number(value, where),)

    def _number(self, value: Any, where: str) -> int:
        if value is False:
            return 0
        if value is True:
            value = {}
        if not isinstance(value, dict):
            raise BadSchema(f"{where} must be a schema (an object, true or false), not {_shown(value)}")
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._parts)
            self._parts.append((value, where))  # which also keeps it, so that its id stays its own
        return self._numbers[id(value)]

    def _referred(self, reference: Any, where: str) -> int:
        if not isinstance(reference, str):
            self._refuse(where, "$ref", "must be a string")
        if not reference.startswith("#"):
            base = self._root.get("$id") if isinstance(self._root, dict) else None
            if not isinstance(base, str) or not reference.startswith(base.rstrip("#") + "#"):
                self._refuse(
                    where, "$ref", f"{_shown(reference)} leads out of the schema: only # is looked up"
                )
            reference = reference[len(base.rstrip("#")) :]
        if reference[1:] and not reference.startswith("#/"):
            if self._anchors is None:
                self._anchors = dict(_anchors(self._root))
            if reference[1:] not in self._anchors:
                self._refuse(where, "$ref", f"{_shown(reference)} leads nowhere")
            return self._number(*self._anchors[reference[1:]])
        value = self._root
        for step in reference[2:].split("/") if reference[1:] else ():
            key = _unescaped(step)
            if isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                self._refuse(where, "$ref", f"{_shown(reference)} leads nowhere")
        return self._number(value, reference)

    # Reading keywords.

    def _refuse(self, where: str, keyword: str, why: str) -> NoReturn:
        raise BadSchema(f"{where}/{keyword} {why}")

    def _list(self, value: Mapping[str, Any], keyword: str, where: str) -> list[Any]:
        found = value.get(keyword, [])
        if not isinstance(found, list):
            self._refuse(where, keyword, "must be a list")
        return found

    def _mapping(self, value: Mapping[str, Any], keyword: str, where: str) -> dict[str, Any]:
        found = value.get(keyword, {})
        if not isinstance(found, dict):
            self._refuse(where, keyword, "must be an object")
        return found

    def _counts(self, value: Mapping[str, Any], low: str, high: str, where: str) -> tuple[int, int | None]:
        return self._count(value, low, where) or 0, self._count(value, high, where)

    def _count(self, value: Mapping[str, Any], keyword: str, where: str) -> int | None:
        if keyword not in value:
            return None
        count = value[keyword]
        if isinstance(count, bool) or not isinstance(count, int | float) or count < 0 or count != int(count):
            self._refuse(where, keyword, "must be a whole number, 0 or more")
        if count > COUNT_LIMIT:
            if keyword.startswith("max"):
                return None if keyword != "maxItems" else COUNT_LIMIT
            self._refuse(where, keyword, f"is more than {COUNT_LIMIT}: no answer is that long")
        return int(count)

    def _decimal(self, value: Mapping[str, Any], keyword: str, where: str) -> Decimal:
        number = value[keyword]
        if isinstance(number, bool) or not isinstance(number, int | float):
            self._refuse(where, keyword, "must be a number")
        found = Decimal(repr(number))
        if number and not -18 < found.adjusted() < 300:
            self._refuse(where, keyword, "is too large or too small a number")
        return found


def _closed(kind: Kind) -> Kind:
    """What of this kind is written: an object without members that its schema does not speak of."""
    if not isinstance(kind, Object) or open_ended(kind):
        return kind
    return _sealed(kind)


def open_ended(kind: Object) -> bool:
    """Whether members are written that no layer names and no pattern."""
    said = any(layer.extra is not None for layer in kind.layers)
    return said or not (kind.members or any(layer.patterns for layer in kind.layers))


def _sealed(kind: Kind) -> Kind:
    """With no members but those that it names. Those it spoke of by `additionalProperties` stay."""
    if not isinstance(kind, Object) or any(layer.extra not in (None, NEVER) for layer in kind.layers):
        return kind
    members = tuple(
        (name, ()) for name in kind.members if any(name == n for la in kind.layers for n, _ in la.members)
    )
    patterns = tuple((pattern, ()) for layer in kind.layers for pattern, _ in layer.patterns)
    return replace(kind, layers=(*kind.layers, Layer(members, patterns, NEVER)))


def _unescaped(step: str) -> str:
    from urllib.parse import unquote

    return unquote(step).replace("~1", "/").replace("~0", "~")


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


def _shown(value: Any) -> str:
    return json.dumps(value)[:60]


def _check_size(root: Any) -> None:
    """Raises TooLarge before anything walks the schema by recursion."""
    level, depth, count = [root], 0, 0
    while level:
        depth += 1
        count += len(level)
        if depth > DEEPEST:
            raise TooLarge(f"the schema is nested too deeply: {DEEPEST} levels are allowed")
        if count > VALUES:
            raise TooLarge(f"the schema is too large: {VALUES} values are allowed")
        level = [
            one
            for value in level
            if isinstance(value, dict | list)
            for one in (value.values() if isinstance(value, dict) else value)
        ]
