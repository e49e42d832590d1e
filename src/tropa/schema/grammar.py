"""A grammar in the words of llama.cpp: rules made of terminals, references, choices and repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from tropa.schema.errors import TooLarge
from tropa.schema.limits import RULES, TEXT


@dataclass(frozen=True, slots=True)
class Terminal:
    """In the grammar's own words."""

    text: str


@dataclass(frozen=True, slots=True)
class Ref:
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of these."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """`part` is a terminal class or a reference. `most` None: without end."""

    part: Ref
    least: int
    most: int | None


Rule = Terminal | Ref | Row | Any | Times
NOTHING = Terminal('""')
AT_ONCE = 200
"""Repetitions that the engine is given by their number. It lets larger ones pass uncounted."""


def literal(text: str) -> Terminal:
    """These characters."""
    return Terminal('"' + "".join(map(_spelled, text)) + '"')


def one_of(ranges: Sequence[tuple[int, int]]) -> Terminal:
    """One character of these ranges."""
    return Terminal(
        "["
        + "".join(
            _spelled(chr(low)) if low == high else f"{_spelled(chr(low))}-{_spelled(chr(high))}"
            for low, high in ranges
        )
        + "]"
    )


def _spelled(letter: str) -> str:
    if letter.isascii() and (letter.isalnum() or letter in " _:,.{}()+*/=@#%&;<>!?~'`|$"):
        return letter
    code = ord(letter)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


class Grammar:
    """Rules by name. A rule is given once. `basics`: rules that are there from the start, in the grammar's words."""

    def __init__(self, basics: Mapping[str, str]) -> None:
        self._basics = basics
        self._rules: dict[str, Rule] = {}
        self._numbers = count()

    def name(self, kind: str) -> Ref:
        """A name that no rule has yet."""
        return Ref(f"{kind}{next(self._numbers)}")

    def give(self, ref: Ref, rule: Rule) -> Ref:
        if len(self._rules) >= RULES:
            raise TooLarge(
                f"the schema is too large: it needs more than {RULES} rules of a grammar", placed=True
            )
        self._rules[ref.name] = rule
        return ref

    def new(self, kind: str, rule: Rule) -> Ref:
        return self.give(self.name(kind), rule)

    def between(self, part: Ref, least: int, most: int | None) -> Rule:
        """`part` so many times. Large numbers are counted in hundreds, and those in hundreds again."""
        if most is None:
            many = Times(part, 0, None)
            return many if not least else Row((self._exactly(part, least), many))
        if least:
            rest = self.between(part, 0, most - least)
            return Row((self._exactly(part, least), rest)) if most > least else self._exactly(part, least)
        if most <= AT_ONCE:
            return Times(part, 0, most) if most else NOTHING
        hundred = self.new("h", Times(part, 100, 100))
        whole, left = divmod(most, 100)
        few = Row((self.between(hundred, 0, whole - 1), Times(part, 0, 99)))
        full = Row((self._exactly(hundred, whole), Times(part, 0, left) if left else NOTHING))
        return Any((few, full))

    def _exactly(self, part: Ref, times: int) -> Rule:
        if times <= AT_ONCE:
            return Times(part, times, times)
        hundred = self.new("h", Times(part, 100, 100))
        whole, left = divmod(times, 100)
        return Row((self._exactly(hundred, whole), Times(part, left, left) if left else NOTHING))

    def text(self, root: Ref) -> str | None:
        """The grammar's text, its rules in order; None if nothing can be written by it.

        What could never be finished is left out: an engine that is led into it finds no next token, and may die of it.
        """
        good = self._finished()
        if root.name not in good:
            return None
        kept: dict[str, Rule] = {}
        waiting = [root.name]
        while waiting:
            name = waiting.pop()
            if name not in kept and name not in self._basics:
                rule = _pruned(self._rules[name], good)
                assert rule is not None
                kept[name] = rule
                waiting.extend(_refs(rule))
        lines = [f"root ::= {root.name}", *(f"{name} ::= {text}" for name, text in self._basics.items())]
        lines += [f"{name} ::= {_printed(rule)}" for name, rule in kept.items()]
        text = "\n".join(lines) + "\n"
        if len(text) > TEXT:
            raise TooLarge(
                f"the schema is too large: its grammar has more than {TEXT} characters", placed=True
            )
        return text

    def _finished(self) -> set[str]:
        """The rules by which some text can be written whole."""
        users: dict[str, list[str]] = {}
        for name, rule in self._rules.items():
            for used in _refs(rule):
                users.setdefault(used, []).append(name)
        good = {*self._basics}
        waiting = [*self._rules]
        while waiting:
            name = waiting.pop()
            if name not in good and _pruned(self._rules[name], good) is not None:
                good.add(name)
                waiting.extend(users.get(name, ()))
        return good


def _refs(rule: Rule) -> list[str]:
    match rule:
        case Ref(name) | Times(Ref(name)):
            return [name]
        case Row(parts) | Any(parts):
            return [name for part in parts for name in _refs(part)]
        case _:
            return []


def _pruned(rule: Rule, good: set[str]) -> Rule | None:
    """What is left of a rule; None if it can't be finished."""
    match rule:
        case Terminal():
            return rule
        case Ref(name):
            return rule if name in good else None
        case Times(part, least):
            if part.name in good:
                return rule
            return None if least else NOTHING
        case Row(parts):
            left = [_pruned(part, good) for part in parts]
            whole = [part for part in left if part is not None]
            return Row(tuple(whole)) if len(whole) == len(left) else None
        case Any(parts):
            some = [each for part in parts if (each := _pruned(part, good)) is not None]
            return Any(tuple(some)) if some else None


def _printed(rule: Rule) -> str:
    match rule:
        case Terminal(text):
            return text
        case Ref(name):
            return name
        case Times(part, least, most):
            if (least, most) == (1, 1):
                return part.name
            if (least, most) == (0, 1):
                return f"{part.name}?"
            if most is None:
                return f"{part.name}*" if not least else f"{part.name}{{{least},}}"
            return f"{part.name}{{{least}}}" if least == most else f"{part.name}{{{least},{most}}}"
        case Row(parts):
            return " ".join(
                f"({_printed(part)})" if isinstance(part, Any) else _printed(part) for part in parts
            )
        case Any(parts):
            return " | ".join(map(_printed, parts))
