"""A schema's text read: each of its parts as the kinds of values that fit it.

What is written for a schema has to fit it; not everything that fits has to be writable. So an object with named members
gets no others unless the schema speaks of them, and a format is written as every checker takes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tropa.schema import automaton, formats
from tropa.schema.errors import BadSchema, TooLarge
from tropa.schema.keywords import a_list, a_mapping, counts, limits, meant, refuse, shown, types
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
from tropa.schema.limits import STEPS, Budget
from tropa.schema.references import References, check_size
from tropa.schema.spelling import Spelling

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
TYPES_OF: Mapping[type[Kind], str] = {Object: "object", List: "array", Text: "string", Number: "number"}
MOST_KINDS = 300
MOST_NESTED = 150


class Schemas:
    """All parts of one schema, by number. Number 0 is fitted by nothing."""

    def __init__(self, root: Any) -> None:
        check_size(root)
        self.budget = Budget(STEPS)
        self._parts: list[tuple[Any, str]] = [(False, "#")]
        self._numbers: dict[int, int] = {}
        self._full = False
        """Whether all that fits counts now, written or not."""
        self._kinds: dict[tuple[int, bool], tuple[Kind, ...]] = {}
        self._fitting: dict[tuple[Both, bool], tuple[Kind, ...]] = {}
        self._reading: set[tuple[int, bool]] = set()
        self._looking: set[tuple[Both, bool]] = set()
        self._circles = 0
        self._references = References(root)
        self.spelling = Spelling(self.budget)
        self.root = self._number(root, "#")

    def where(self, part: int) -> str:
        return self._parts[part][1]

    # What fits.

    def fitting(self, both: Both) -> tuple[Kind, ...]:
        """The kinds of values that fit all of these schemas; none, if nothing can. Raises BadSchema."""
        key = (both, self._full)
        if key in self._fitting:
            return self._fitting[key]
        if len(self._looking) > MOST_NESTED:
            raise TooLarge(
                f"the schema is too large: more than {MOST_NESTED} parts inside each other", placed=True
            )
        circles = self._circles
        self._looking.add(key)
        kinds: tuple[Kind, ...] = ANYTHING
        for part in both:
            kinds = self._met(kinds, self._meant(part), part)
        try:
            kinds = tuple(kind for kind in kinds if self._possible(kind))
        except TooLarge as exc:
            raise (
                exc if exc.placed else TooLarge(f"{self.where(max(both, default=0))}: {exc}", placed=True)
            ) from exc
        self._looking.discard(key)
        if circles == self._circles or not self._looking:
            self._fitting[key] = kinds
        return kinds

    def _met(self, some: tuple[Kind, ...], others: tuple[Kind, ...], part: int) -> tuple[Kind, ...]:
        self.budget.spend(1 + len(some) * len(others) // 4)
        found = met(some, others)
        if len(found) > MOST_KINDS:
            raise TooLarge(
                f"the schema at {self.where(part)} has more than {MOST_KINDS} alternatives", placed=True
            )
        return found

    def _possible(self, kind: Kind) -> bool:
        """Whether there is any such value, as far as one can see without going in circles."""
        match kind:
            case Text():
                return self.spelling.possible(kind)
            case List():
                return all(self._fillable(part) for part in (*kind.first, kind.rest)[: kind.least])
            case Object():
                if not kind.required:
                    return True
                members = self.members(kind)
                return all(self._fillable(members[name]) for name in kind.required)
            case _:
                return True

    def _fillable(self, both: Both) -> bool:
        return (both, self._full) in self._looking or bool(self.fitting(both))

    def members(self, of: Object) -> dict[str, Both]:
        """What the members that some layer names, or that have to be there, must fit."""
        found = {}
        layers = [(dict(layer.members), layer) for layer in of.layers]
        names = of.members
        self.budget.spend(len(names) * len(layers) // 4)
        for name in names:
            if of.names and not self.named(of.names, name):
                found[name] = NEVER
                continue
            parts: list[Both] = []
            for known, layer in layers:
                sure = name in known
                if sure:
                    parts.append(known[name])
                for pattern, part in layer.patterns:
                    if automaton.of_pattern(pattern, self.budget, wide=True).accepts(name):
                        parts.append(part)
                        sure = sure or automaton.of_pattern(pattern, self.budget).accepts(name)
                if not sure and layer.extra is not None:
                    parts.append(layer.extra)
            found[name] = together(*parts)
        return found

    def named(self, names: Both, name: str) -> bool:
        """Whether a name fits these schemas."""
        return any(isinstance(kind, Text) and self.spelling.holds(kind, name) for kind in self.fitting(names))

    # What a part says.

    def _meant(self, part: int) -> tuple[Kind, ...]:
        """Where it speaks of the members of an object without saying that it is one, it means one."""
        kinds = self._of(part)
        names = set() if self._full else meant(self._parts[part][0])
        return tuple(kind for kind in kinds if TYPES_OF.get(type(kind)) in names) if names else kinds

    def _of(self, part: int) -> tuple[Kind, ...]:
        key = (part, self._full)
        if key in self._kinds:
            return self._kinds[key]
        if key in self._reading:  # it is what it is, and nothing besides
            self._circles += 1
            return ()
        if len(self._reading) > MOST_NESTED:
            raise TooLarge(
                f"the schema is too large: more than {MOST_NESTED} references in a row", placed=True
            )
        circles = self._circles
        self._reading.add(key)
        try:
            kinds = self._read(part)
        finally:
            self._reading.discard(key)
        if circles == self._circles or not self._reading:
            self._kinds[key] = kinds
        return kinds

    def _read(self, part: int) -> tuple[Kind, ...]:
        value, where = self._parts[part]
        if value is False:
            return ()
        self.budget.spend()
        for keyword in REFUSED:
            if keyword in value and not (keyword in ("then", "else") and "if" not in value):
                refuse(where, keyword, "is not supported: an answer can't be held to it")
        kinds = tuple(self._typed(value, where))
        if "const" in value:
            kinds = self._met(kinds, self._exactly([value["const"]], where, "const"), part)
        if "enum" in value:
            members = a_list(value, "enum", where)
            if not members:
                refuse(where, "enum", "is empty: no value fits it")
            kinds = self._met(kinds, self._exactly(members, where, "enum"), part)
        if "$ref" in value:
            kinds = self._met(kinds, self._of(self._referred(value["$ref"], where)), part)
        for number, one in enumerate(a_list(value, "allOf", where)):
            kinds = self._met(kinds, self._of(self._number(one, f"{where}/allOf/{number}")), part)
        for keyword in ("anyOf", "oneOf"):
            if keyword in value:
                kinds = self._met(kinds, self._alternatives(value, keyword, where), part)
        for name, needed in self._needs(value, where):
            kinds = self._met(kinds, (*self._without(name), Object(required=(name, *needed))), part)
        if value.get("unevaluatedProperties", True) is not True:
            if value["unevaluatedProperties"] is not False:
                refuse(where, "unevaluatedProperties", "is supported only with the value false")
            kinds = tuple(_sealed(kind) for kind in kinds)
        return kinds

    def _alternatives(self, value: Mapping[str, Any], keyword: str, where: str) -> tuple[Kind, ...]:
        options = a_list(value, keyword, where)
        if not options:
            refuse(where, keyword, "is empty: no value fits it")
        parts = [self._number(one, f"{where}/{keyword}/{number}") for number, one in enumerate(options)]
        kinds = [self._meant(part) for part in parts]
        if keyword == "oneOf" and not self._full:
            self._full = True
            try:
                self._check_apart(kinds, [self._of(part) for part in parts], where)
            finally:
                self._full = False
        return tuple(dict.fromkeys(kind for one in kinds for kind in one))

    def _check_apart(
        self, kinds: list[tuple[Kind, ...]], fitting: list[tuple[Kind, ...]], where: str
    ) -> None:
        """What is written for one alternative must not fit another. `fitting`: all that fits, written or not."""
        for number, one in enumerate(kinds):
            closed = tuple(_closed(kind) for kind in one)
            for other_number, other in enumerate(fitting):
                if number != other_number:
                    self.budget.spend(1 + len(one) * len(other))
                    if any(self._possible(kind) for kind in met(closed, other)):
                        first, second = sorted((number, other_number))
                        refuse(
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
            for name, needed in a_mapping(value, keyword, where).items():
                if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
                    refuse(where, f"{keyword}/{name}", "is supported only as a list of names")
                yield name, tuple(needed)

    def _typed(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        """The kinds that `type` allows, with the limits of their own keywords."""
        names = types(value, where)
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
                    yield from met([Number()], [Number(limits(value, where, integer=name == "integer"))])
                case "boolean":
                    yield Truth()
                case _:
                    yield Null()

    def _string(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        patterns = []
        if "pattern" in value:
            if not isinstance(value["pattern"], str):
                refuse(where, "pattern", "must be a string")
            patterns.append(self._checked(value["pattern"], where, "pattern"))
        # More fits a format than is written for it, and some checkers look at none.
        name = "" if self._full else value.get("format")
        if isinstance(name, str) and (fixed := formats.pattern(name)):
            patterns.append(fixed)
        least, most = counts(value, "minLength", "maxLength", where)
        if most is None or least <= most:
            yield Text(tuple(patterns), least, most)

    def _checked(self, pattern: str, where: str, keyword: str) -> str:
        try:
            automaton.of_pattern(pattern, self.budget)
            automaton.of_pattern(pattern, self.budget, wide=True)
        except BadSchema as exc:
            raise type(exc)(f"{where}/{keyword} {json.dumps(pattern)[:100]}: {exc}") from exc
        return pattern

    def _array(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        first, rest, at = [], value.get("items", True), f"{where}/items"
        if "prefixItems" in value:
            first = a_list(value, "prefixItems", where)
        elif isinstance(rest, list):  # as older drafts had it
            first, rest, at = rest, value.get("additionalItems", True), f"{where}/additionalItems"
        least, most = counts(value, "minItems", "maxItems", where)
        parts = tuple(self._part(one, f"{where}/prefixItems/{number}") for number, one in enumerate(first))
        unique = value.get("uniqueItems", False) is True
        if most is None or least <= most:
            yield List(parts, self._part(rest, at), least, most, unique)

    def _object(self, value: Mapping[str, Any], where: str) -> Iterator[Kind]:
        members = tuple(
            (name, self._part(one, f"{where}/properties/{name}"))
            for name, one in a_mapping(value, "properties", where).items()
        )
        patterns = tuple(
            (
                self._checked(name, where, "patternProperties"),
                self._part(one, f"{where}/patternProperties/{name}"),
            )
            for name, one in a_mapping(value, "patternProperties", where).items()
        )
        extra: Both | None = None
        if "additionalProperties" in value:
            extra = self._part(value["additionalProperties"], f"{where}/additionalProperties")
        names: Both = ()
        if "propertyNames" in value:
            names = self._part(value["propertyNames"], f"{where}/propertyNames")
        required = () if isinstance(value.get("required"), bool) else a_list(value, "required", where)
        if not all(isinstance(name, str) for name in required):
            refuse(where, "required", "must be a list of names")
        least, most = counts(value, "minProperties", "maxProperties", where)
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
            raise BadSchema(f"{where} must be a schema (an object, true or false), not {shown(value)}")
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._parts)
            self._parts.append((value, where))  # which also keeps it, so that its id stays its own
        return self._numbers[id(value)]

    def _referred(self, reference: Any, where: str) -> int:
        return self._number(*self._references.find(reference, where))


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
