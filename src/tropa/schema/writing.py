"""The kinds of values that fit a schema, as rules of a grammar: JSON text, with at most a little space in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, product
from operator import itemgetter
from typing import NoReturn

from tropa.schema import automaton, characters, numerals
from tropa.schema.automaton import Automaton
from tropa.schema.errors import BadSchema, TooLarge
from tropa.schema.grammar import NOTHING, Any, Grammar, Ref, Row, Rule, literal, one_of
from tropa.schema.kinds import Both, Kind, List, Null, Number, Object, Text, Truth, item, least_of, together
from tropa.schema.reading import Schemas, open_ended

SPACE = '(" " | "\\n" [ \\t]{0,32})?'
MOST_DIFFERENT = 8
"""Fixed values of which a list may hold each once."""
MOST_PATTERNS = 5
FEW = 8
"""Rare control characters that are written where just they are asked for."""
MOST_OPTIONAL = 500
"""Members that may be missing: after each comma an engine weighs all that may come."""
MOST_NAMES = 64
"""Names of members that are written one by one where they are all known."""

_SPECIAL = characters.either(characters.CONTROLS, characters.of('"\\\x7f'))
_PLAIN = characters.without(characters.ALL, _SPECIAL)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
_BASICS = {
    "sp": SPACE,
    "hex": "[0-9a-fA-F]",
    "char": f"{one_of(_PLAIN).text} | {literal(chr(92)).text} escaped",
    "escaped": (
        '["\\\\/bfnrt] | "u" ([0-9abcefABCEF] hex hex hex | [dD] [0-7] hex hex'
        ' | [dD] [89abAB] hex hex "\\\\u" [dD] [c-fC-F] hex hex)'
    ),
    "string": '"\\"" char* "\\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,17})',
    "number": '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?',
    "value": 'object | array | string | number | "true" | "false" | "null"',
    "object": '"{" sp ("}" | string ":" sp value ("," sp string ":" sp value)* sp "}")',
    "array": '"[" sp ("]" | value ("," sp value)* sp "]")',
}
_SP = Ref("sp")
_QUOTE = literal('"')
_NEXT = Row((literal(","), _SP))


def written(schemas: Schemas) -> str:
    """The grammar's text. Raises BadSchema."""
    return _Writer(schemas).whole()


class _Writer:
    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._grammar = Grammar(_BASICS)
        self._values: dict[Both, Ref] = {}
        self._waiting: list[Both] = []
        self._made: dict[Kind, Ref] = {}

    def whole(self) -> str:
        root = self._value((self._schemas.root,))
        while self._waiting:
            both = self._waiting.pop()
            kinds = self._schemas.fitting(both)
            self._grammar.give(self._values[both], Any(tuple(self._kind(kind, both) for kind in kinds)))
        text = self._grammar.text(root)
        if text is None:
            raise BadSchema("no value can fit the schema: what it says contradicts itself")
        return text

    def _value(self, both: Both) -> Ref:
        """The rule of what fits; it may be written later."""
        if not both:
            return Ref("value")
        if both not in self._values:
            self._values[both] = self._grammar.name("v")
            self._waiting.append(both)
        return self._values[both]

    def _kind(self, kind: Kind, both: Both) -> Rule:
        if kind not in self._made:
            self._schemas.budget.spend()
            try:
                self._made[kind] = self._grammar.new("k", self._rule(kind, both))
            except TooLarge as exc:
                raise exc if exc.placed else TooLarge(f"{self._where(both)}: {exc}", placed=True) from exc
        return self._made[kind]

    def _where(self, both: Both) -> str:
        """One place in the schema that says something of this value."""
        return self._schemas.where(max(both, default=0))

    def _rule(self, kind: Kind, both: Both) -> Rule:
        match kind:
            case Null():
                return literal("null")
            case Truth(values):
                return Any(tuple(literal(json.dumps(value)) for value in values))
            case Number():
                return self._number(kind)
            case Text():
                return self._string(kind)
            case List():
                return self._list(kind, both)
            case Object():
                return self._object(kind, both)

    # Numbers and strings.

    def _number(self, kind: Number) -> Rule:
        if kind.values is not None:
            return Any(tuple(literal(value) for value in kind.values))
        if kind.limits.free:
            return Ref("integer" if kind.limits.integer else "number")
        found = numerals.automaton(kind.limits)
        self._schemas.budget.spend(len(found.edges))
        return self._walk(found, NOTHING)

    def _string(self, kind: Text) -> Rule:
        if kind.words is not None:
            return self._words(self._schemas.spelling.words(kind))
        if kind.patterns:
            return Row((_QUOTE, self._walk(self._schemas.spelling.automaton(kind), _QUOTE)))
        if not kind.least and kind.most is None:
            return Ref("string")
        return Row((_QUOTE, self._grammar.between(Ref("char"), kind.least, kind.most), _QUOTE))

    def _words(self, words: Sequence[str]) -> Rule:
        """These strings, parted where they differ: an engine weighs all alternatives that it is given at once."""
        spelled = sorted({_json(word)[1:] for word in words})
        root = self._grammar.name("w")
        waiting = [(root, spelled, 0)]
        while waiting:
            ref, some, at = waiting.pop()
            rules: list[Rule] = []
            for _, each in groupby(some, key=itemgetter(at)):
                group = [*each]
                if len(group) == 1:
                    rules.append(literal(group[0][at:]))
                    continue
                same = _parting(group[0], group[-1], at)
                rest = self._grammar.name("w")
                rules.append(Row((literal(group[0][at:same]), rest)))
                waiting.append((rest, group, same))
            self._grammar.give(ref, Any(tuple(rules)))
        return Row((_QUOTE, root))

    def _walk(self, of: Automaton, end: Rule) -> Rule:
        """All texts of an automaton, as they stand in JSON, each followed by `end`."""
        if of.empty:
            return Any(())
        names = [self._grammar.name("q") for _ in of.edges]
        needed = [0]
        seen = {0}
        for state in needed:
            rules: list[Rule] = [end] if state in of.ends else []
            for target, ranges in automaton.ranges_to(of.edges[state]).items():
                plain, escaped = _spelled(characters.make(ranges))
                rules += [Row((literal(each), names[target])) for each in escaped]
                if plain:
                    rules.append(Row((one_of(plain), names[target])))
                if target not in seen:
                    seen.add(target)
                    needed.append(target)
            self._grammar.give(names[state], Any(tuple(rules)))
        return names[0]

    # Lists.

    def _list(self, kind: List, both: Both) -> Rule:
        most = kind.most
        for number, part in enumerate((*kind.first, kind.rest)):
            if not self._schemas.fitting(part):
                most = least_of(most, number)
        if kind.unique and (most is None or most > 1):
            return self._different(kind, most, both)
        close = Row((_SP, literal("]")))
        rest = kind.first[: most if most is not None else len(kind.first)]
        at = len(rest)
        tail: Rule = close if at >= kind.least else Any(())
        if most is None or most > at:
            own = self._value(kind.rest)
            if not at:
                left = None if most is None else most - 1
                more = self._grammar.new("more", Row((_NEXT, own)))
                some = Row((own, self._grammar.between(more, max(kind.least - 1, 0), left), close))
                return Row((literal("["), _SP, Any((literal("]"), some) if not kind.least else (some,))))
            more = self._grammar.new("more", Row((_NEXT, own)))
            left = None if most is None else most - at
            tail = Row((self._grammar.between(more, max(kind.least - at, 0), left), close))
        for number in range(at - 1, -1, -1):
            own = self._value(rest[number])
            after = self._grammar.new("l", tail)
            tail = Row((_NEXT, own, after)) if number else Row((own, after))
            if number >= kind.least:
                tail = Any((close if number else literal("]"), tail))
        if not at:
            tail = literal("]") if not kind.least else Any(())
        return Row((literal("["), _SP, self._grammar.new("l", tail)))

    def _different(self, kind: List, most: int | None, both: Both) -> Rule:
        """A list of fixed values, each once at most."""
        longest = max(len(kind.first), 1)
        if kind.first and most is not None and most == kind.least == len(kind.first):
            fixed = [self._fixed(item(kind, number)) for number in range(longest)]
            if all(each is not None and len(each) == 1 for each in fixed) and len(
                {each[0] for each in fixed if each}
            ) == len(fixed):
                return self._list(List(kind.first, kind.rest, kind.least, most), both)
        values = None if kind.first else self._fixed(kind.rest)
        if values is None:
            self._refuse(
                both,
                "uniqueItems",
                f"can be promised only for items that are one of at most {MOST_DIFFERENT} fixed values (enum)",
            )
        names: dict[frozenset[str], Ref] = {}
        needed: list[frozenset[str]] = [frozenset()]
        names[needed[0]] = self._grammar.name("u")
        for used in needed:
            rules: list[Rule] = []
            if len(used) >= kind.least:
                rules.append(Row((_SP, literal("]"))) if used else literal("]"))
            if most is None or len(used) < most:
                for value in values:
                    if value not in used:
                        after = used | {value}
                        if after not in names:
                            names[after] = self._grammar.name("u")
                            needed.append(after)
                        start = (_NEXT,) if used else ()
                        rules.append(Row((*start, literal(value), names[after])))
            self._grammar.give(names[used], Any(tuple(rules)))
        return Row((literal("["), _SP, names[frozenset()]))

    def _fixed(self, both: Both) -> list[str] | None:
        """The few values that fit, as JSON; None if they are more."""
        found: list[str] = []
        for kind in self._schemas.fitting(both):
            match kind:
                case Null():
                    found.append("null")
                case Truth(values):
                    found += [json.dumps(value) for value in values]
                case Number(_, tuple(numbers)):
                    found += {Decimal(each): each for each in numbers}.values()
                case Text() if kind.words is not None:
                    found += map(_json, self._schemas.spelling.words(kind))
                case _:
                    return None
        return found if len(found) <= MOST_DIFFERENT else None

    # Objects.

    def _object(self, kind: Object, both: Both) -> Rule:
        schemas = self._schemas
        entries: list[tuple[Ref, bool]] = []
        for name, part in schemas.members(kind).items():
            if schemas.fitting(part):
                entries.append((self._entry(literal(_json(name)), part), name in kind.required))
        extras: list[Rule] = []
        for keys, part in self._other_names(kind):
            words = keys.words(MOST_NAMES)
            if words is not None:
                entries += [(self._entry(literal(_json(word)), part), False) for word in words]
            else:
                spelled = Row((_QUOTE, self._walk(keys, _QUOTE))) if keys is not _ANY_NAME else Ref("string")
                extras.append(self._entry(spelled, part))
        if sum(not required for _, required in entries) > MOST_OPTIONAL:
            raise TooLarge(f"more than {MOST_OPTIONAL} properties that may be missing")
        if kind.least > len(entries) + bool(extras):
            self._refuse(
                both, "minProperties", "asks for more members than can be told to have different names"
            )
        return Row((literal("{"), _SP, _Members(self._grammar, kind, entries, extras).first()))

    def _entry(self, name: Rule, part: Both) -> Ref:
        return self._grammar.new("m", Row((name, literal(":"), _SP, self._value(part))))

    def _other_names(self, kind: Object) -> list[tuple[Automaton, Both]]:
        """The names that are no known member's, by what their values have to fit."""
        schemas, budget = self._schemas, self._schemas.budget
        patterns = [*dict.fromkeys(pattern for layer in kind.layers for pattern, _ in layer.patterns)]
        if len(patterns) > MOST_PATTERNS:
            raise TooLarge(
                f"the schema is too large: more than {MOST_PATTERNS} patternProperties apply at once",
                placed=True,
            )
        if not patterns and not open_ended(kind) and not kind.names:
            return []
        known = automaton.of_words(kind.members)
        spellings: list[Text] = [Text()]
        if kind.names:
            spellings = [each for each in schemas.fitting(kind.names) if isinstance(each, Text)]
        found = []
        for chosen in product((True, False), repeat=len(patterns)):
            here = {pattern for pattern, yes in zip(patterns, chosen, strict=True) if yes}
            if not here and not open_ended(kind):
                continue
            parts: list[Both] = []
            for layer in kind.layers:
                own = [part for pattern, part in layer.patterns if pattern in here]
                parts += own or ([layer.extra] if layer.extra is not None else [])
            part = together(*parts)
            if not schemas.fitting(part):
                continue
            if spellings == [Text()] and not patterns and not kind.members:
                return [(_ANY_NAME, part)]
            wanted = [automaton.of_pattern(pattern, budget) for pattern in here]
            unwanted = [
                automaton.of_pattern(each, budget, wide=True) for each in patterns if each not in here
            ]
            for text in spellings:
                own_spelling = (
                    [schemas.spelling.automaton(text)] if text.patterns or text.words is not None else []
                )
                low, high = (0, None) if own_spelling else (text.least, text.most)
                high = None if high is None else min(high, max(low, 64))
                keys = automaton.joined([*wanted, *own_spelling], [*unwanted, known], low, high, budget)
                if not keys.empty:
                    found.append((keys, part))
        return found

    def _refuse(self, both: Both, keyword: str, why: str) -> NoReturn:
        raise BadSchema(f"{self._where(both)}/{keyword} {why}")


_ANY_NAME = Automaton((tuple((low, high, 0) for low, high in characters.ALL),), frozenset([0]))


class _Members:
    """The members of an object, in their order, then any others; those that may be missing may be missing."""

    def __init__(
        self, grammar: Grammar, kind: Object, entries: Sequence[tuple[Ref, bool]], extras: Sequence[Rule]
    ) -> None:
        self._grammar = grammar
        self._entries = entries
        self._extras = tuple(extras)
        self._least = kind.least if kind.least > sum(required for _, required in entries) else 0
        possible = None if extras else len(entries)
        self._most = (
            kind.most if possible is None or (kind.most is not None and kind.most < possible) else None
        )
        self._last = max((place for place, (_, required) in enumerate(entries, 1) if required), default=0)
        """The first place behind all that has to be there."""
        self._rules: dict[tuple[int, ...], Ref] = {}
        self._waiting: list[tuple[tuple[int, ...], Ref]] = []

    def first(self) -> Rule:
        """What comes behind the brace."""
        first = self._one(0, 0, 0)
        while self._waiting:
            (more, *place), ref = self._waiting.pop()
            self._grammar.give(ref, self._after(*place) if more else self._choice(*place))
        return first if self._last or self._least else Any((first, literal("}")))

    def _one(self, at: int, known: int, all_: int) -> Rule:
        """At least one more member, from this place on. `known` of those before are counted as different ones."""
        if self._most is not None and all_ >= self._most:
            return Any(())
        return self._ref(False, at, known, all_)

    def _ref(self, *place: int) -> Ref:
        if place not in self._rules:
            self._rules[place] = self._grammar.name("o")
            self._waiting.append((place, self._rules[place]))
        return self._rules[place]

    def _choice(self, at: int, known: int, all_: int) -> Rule:
        different, total = min(known + 1, self._least), 0 if self._most is None else all_ + 1
        if at >= len(self._entries):
            # Names may repeat among the others: only the first is sure to be a new one.
            after = self._ref(
                True, len(self._entries) + 1, different if at == len(self._entries) else known, total
            )
            return Any(tuple(Row((extra, after)) for extra in self._extras))
        entry, required = self._entries[at]
        this = Row((entry, self._ref(True, at + 1, different, total)))
        return this if required else Any((this, self._one(at + 1, known, all_)))

    def _after(self, at: int, known: int, all_: int) -> Rule:
        """The end, or a comma and more."""
        more = Row((_NEXT, self._one(at, known, all_)))
        if known < self._least or at < self._last:
            return more
        return Any((Row((_SP, literal("}"))), more))


def _parting(one: str, other: str, at: int) -> int:
    """The place from `at` on where two different texts part."""
    while one[at] == other[at]:
        at += 1
    return at


def _spelled(chars: characters.Set) -> tuple[characters.Set, list[str]]:
    """Of these characters, those that stand in JSON as they are, and what the others are written as."""
    special = characters.both(chars, _SPECIAL)
    if not special:
        return chars, []
    codes = [code for low, high in special for code in range(low, high + 1)]
    found = [_ESCAPES[chr(code)] for code in codes if chr(code) in _ESCAPES]
    rare = [code for code in codes if chr(code) not in _ESCAPES]
    if len(rare) <= FEW:  # else a class that leaves something out, and nobody wants these
        found += [f"\\u{code:04x}" for code in rare]
    return characters.both(chars, _PLAIN), found


def _json(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(word)
    return json.dumps(word, ensure_ascii=False)
