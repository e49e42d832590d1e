"""Deterministic automata over characters: made of patterns, joined, and walked.

State 0 is the first. A character without an edge leads nowhere. Every state of a finished automaton can still reach an
end, so what is written along its edges can always be completed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tropa.schema import characters, pattern
from tropa.schema.characters import Range, Set
from tropa.schema.errors import TooLarge
from tropa.schema.limits import STATES, Budget
from tropa.schema.pattern import Chars, Choice, Edge, Node, Repeat

Edges = tuple[tuple[int, int, int], ...]
"""Ranges of characters and where they lead, sorted."""
NOWHERE = -1
_small: dict[tuple[str, bool], Automaton] = {}
SMALL, KEPT = 300, 256
"""So many automata of so many states are kept from one schema to the next: those of formats, for the most part."""
STATE_COST = 3
"""Steps of a budget for one state."""
_BREAK = ord("\n")


@dataclass(frozen=True)
class Automaton:
    edges: tuple[Edges, ...]
    ends: frozenset[int]

    @property
    def empty(self) -> bool:
        """Whether no text at all is accepted."""
        return not self.ends

    def accepts(self, text: str) -> bool:
        state = 0
        for letter in text:
            state = self.step(state, ord(letter))
            if state == NOWHERE:
                return False
        return state in self.ends

    def step(self, state: int, code: int) -> int:
        for low, high, target in self.edges[state]:
            if low <= code <= high:
                return target
        return NOWHERE

    def words(self, most: int) -> list[str] | None:
        """All texts that are accepted; None if they are more than `most`."""
        found: list[str] = []
        waiting = [(0, "")]
        steps = 0
        while waiting:
            state, text = waiting.pop()
            steps += 1
            if state in self.ends:
                found.append(text)
            if len(found) > most or steps > 40 * most + len(self.edges) or len(text) > len(self.edges):
                return None
            for low, high, target in reversed(self.edges[state]):
                if high - low >= most:
                    return None
                waiting.extend((target, text + chr(code)) for code in range(high, low - 1, -1))
        return found


NOTHING = Automaton(((),), frozenset())


@dataclass
class _Net:
    """A nondeterministic automaton while it is made. Edges without a character need the text's beginning, its end, or
    nothing."""

    chars: list[list[tuple[Set, int]]] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    at_start: list[list[int]] = field(default_factory=list)
    at_end: list[list[int]] = field(default_factory=list)

    def state(self) -> int:
        if len(self.chars) >= STATES * 4:
            raise TooLarge("the pattern is too large: it counts too far")
        for each in (self.free, self.at_start, self.at_end):
            each.append([])
        self.chars.append([])
        return len(self.chars) - 1

    def add(self, node: Node, start: int, *, wide: bool) -> int:
        """Put in what leads from `start` through the node; the state where it ends."""
        match node:
            case Chars(sure, maybe):
                end = self.state()
                self.chars[start].append((maybe if wide else sure, end))
                return end
            case Edge(beginning):
                end = self.state()
                (self.at_start if beginning else self.at_end)[start].append(end)
                return end
            case pattern.Sequence(parts):
                for part in parts:
                    start = self.add(part, start, wide=wide)
                return start
            case Choice(parts):
                end = self.state()
                for part in parts:
                    self.free[self.add(part, start, wide=wide)].append(end)
                return end
            case Repeat(part, least, most):
                for _ in range(least):
                    start = self.add(part, start, wide=wide)
                end = self.state()
                if most is None:
                    loop = self.state()
                    self.free[start].append(loop)
                    self.free[self.add(part, loop, wide=wide)].append(loop)
                    self.free[loop].append(end)
                    return end
                for _ in range(most - least):
                    self.free[start].append(end)
                    start = self.add(part, start, wide=wide)
                self.free[start].append(end)
                return end

    def closure(self, states: Iterable[int], *, first: bool, last: bool = False) -> frozenset[int]:
        found = set(states)
        waiting = list(found)
        while waiting:
            state = waiting.pop()
            reached = [*self.free[state]]
            if first:
                reached += self.at_start[state]
            if last:
                reached += self.at_end[state]
            for each in reached:
                if each not in found:
                    found.add(each)
                    waiting.append(each)
        return frozenset(found)


def of_pattern(text: str, budget: Budget, *, wide: bool = False) -> Automaton:
    """The texts in which the pattern is found somewhere. `wide`: those in which any dialect might find it.

    Raises BadSchema.
    """
    key = (text, wide)
    found = budget.patterns.get(key) or _small.get(key)
    if found is None:
        found = _of_pattern(text, wide=wide)
        if len(found.edges) <= SMALL:
            while len(_small) >= KEPT:
                del _small[next(iter(_small))]
            _small[key] = found
    if key not in budget.patterns:
        budget.patterns[key] = found
        budget.spend(len(found.edges) * STATE_COST)
    return found


def _of_pattern(text: str, *, wide: bool) -> Automaton:
    node, ahead = pattern.read(text)
    found = _of_node(node, wide=wide)
    if not ahead:
        return found
    begins = [
        (_of_node(pattern.Sequence((Edge(True), each.node)), wide=wide == each.wanted), each.wanted)
        for each in ahead
    ]
    wanted = [found, *(each for each, yes in begins if yes)]
    return joined(wanted, [each for each, yes in begins if not yes], 0, None, Budget())


def _of_node(node: Node, *, wide: bool) -> Automaton:
    net = _Net()
    start = net.state()
    net.chars[start].append((characters.ALL, start))
    inner = net.state()
    net.free[start].append(inner)
    end = net.add(node, inner, wide=wide)
    net.chars[end].append((characters.ALL, end))
    first = net.closure([start], first=True)
    whole = frozenset([end])

    def accepted(state: _Place) -> bool:
        return end in net.closure(state.states, first=state.first, last=True)

    def follow(state: _Place) -> list[tuple[int, int, Hashable]]:
        if end in state.states:  # whatever comes now
            return [(low, high, _Place(whole)) for low, high in characters.ALL]
        moves = [
            (low, high, to) for each in state.states for chars, to in net.chars[each] for low, high in chars
        ]
        if wide and accepted(state):
            moves.append((_BREAK, _BREAK, NOWHERE))
        return [
            (low, high, _Place(net.closure(targets - {NOWHERE}, first=False), late=NOWHERE in targets))
            for low, high, targets in _pieces(moves)
        ]

    return explore(_Place(first, first=True), follow, lambda state: state.late or accepted(state))


class _Place(NamedTuple):
    """`late`: behind the last line break, before which some dialects see the text's end."""

    states: frozenset[int]
    first: bool = False
    late: bool = False


def _pieces(moves: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, frozenset[int]]]:
    """Overlapping ranges cut so that each piece has one set of targets."""
    cuts: dict[int, list[tuple[int, int]]] = {}
    for low, high, target in moves:
        cuts.setdefault(low, []).append((1, target))
        cuts.setdefault(high + 1, []).append((-1, target))
    counts: dict[int, int] = {}
    found = []
    places = sorted(cuts)
    for place, following in pairwise(places):
        for sign, target in cuts[place]:
            counts[target] = counts.get(target, 0) + sign
        targets = frozenset(target for target, count in counts.items() if count)
        if targets:
            found.append((place, following - 1, targets))
    return found


def explore(
    first: Hashable,
    follow: Callable[..., Iterable[tuple[int, int, Hashable]]],
    ends: Callable[..., bool],
) -> Automaton:
    """The automaton whose states are reached from `first`. Raises TooLarge."""
    numbers: dict[Hashable, int] = {first: 0}
    order = [first]
    rows: list[list[tuple[int, int, int]]] = []
    for state in order:  # it grows on the way
        row = []
        for low, high, target in follow(state):
            if target not in numbers:
                if len(numbers) >= STATES:
                    raise TooLarge(f"it needs an automaton of more than {STATES} states")
                numbers[target] = len(order)
                order.append(target)
            row.append((low, high, numbers[target]))
        rows.append(row)
    return _trimmed(rows, {number for state, number in numbers.items() if ends(state)})


def _trimmed(rows: Sequence[Sequence[tuple[int, int, int]]], ends: set[int]) -> Automaton:
    """Without states from which no end can be reached."""
    back: list[list[int]] = [[] for _ in rows]
    for state, row in enumerate(rows):
        for _, _, target in row:
            back[target].append(state)
    alive = set(ends)
    waiting = list(ends)
    while waiting:
        for state in back[waiting.pop()]:
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    if 0 not in alive:
        return NOTHING
    numbers = {state: number for number, state in enumerate(sorted(alive))}
    return Automaton(
        tuple(
            tuple(
                sorted((low, high, numbers[target]) for low, high, target in rows[state] if target in alive)
            )
            for state in sorted(alive)
        ),
        frozenset(numbers[state] for state in ends),
    )


def joined(
    wanted: Sequence[Automaton], unwanted: Sequence[Automaton], least: int, most: int | None, budget: Budget
) -> Automaton:
    """Texts that all of `wanted` accept and none of `unwanted`, of at least and at most so many characters."""
    machines = (*wanted, *unwanted)
    must = len(wanted)
    longest = most if most is not None else least

    def follow(state: tuple[int, ...]) -> Iterable[tuple[int, int, Hashable]]:
        *states, length = state
        if most is not None and length >= most:
            return
        longer = min(length + 1, longest)
        for low, high, targets in _product(machines, states):
            if NOWHERE not in targets[:must]:
                yield low, high, (*targets, longer)

    def ends(state: tuple[int, ...]) -> bool:
        *states, length = state
        accepted = [each in machine.ends for machine, each in zip(machines, states, strict=True)]
        return length >= least and all(accepted[:must]) and not any(accepted[must:])

    found = explore((*(0 for _ in machines), 0), follow, ends)
    budget.spend(len(found.edges) * STATE_COST)
    return found


def _product(machines: Sequence[Automaton], states: Sequence[int]) -> list[tuple[int, int, tuple[int, ...]]]:
    """All characters, cut so that each piece leads every machine to one state."""
    places = {low for low, _ in characters.ALL} | {high + 1 for _, high in characters.ALL}
    rows = [
        machine.edges[state] if state != NOWHERE else ()
        for machine, state in zip(machines, states, strict=True)
    ]
    for row in rows:
        for low, high, _ in row:
            places.add(low)
            places.add(high + 1)
    ordered = sorted(places)
    at = [0] * len(rows)
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for low, following in pairwise(ordered):
        if 0xD800 <= low <= 0xDFFF:
            continue
        targets = []
        for number, row in enumerate(rows):
            while at[number] < len(row) and row[at[number]][1] < low:
                at[number] += 1
            here = row[at[number]] if at[number] < len(row) else None
            targets.append(here[2] if here is not None and here[0] <= low else NOWHERE)
        found.append((low, following - 1, tuple(targets)))
    return found


def of_words(words: Iterable[str]) -> Automaton:
    """These texts and no others."""
    rows: list[dict[int, int]] = [{}]
    ends: set[int] = set()
    for word in words:
        state = 0
        for letter in word:
            row = rows[state]
            if ord(letter) not in row:
                row[ord(letter)] = len(rows)
                rows.append({})
            state = row[ord(letter)]
        ends.add(state)
    return _trimmed([[(code, code, to) for code, to in row.items()] for row in rows], ends)


def ranges_to(edges: Edges) -> dict[int, list[Range]]:
    """For each state that is reached, by which characters."""
    found: dict[int, list[Range]] = {}
    for low, high, target in edges:
        found.setdefault(target, []).append((low, high))
    return found


def lengths(of: Automaton) -> tuple[int, int | None]:
    """Of the shortest text and of the longest; None: they have no end. Zeros if there is no text."""
    shortest, seen, level = 0, {0}, [0]
    while level and not any(state in of.ends for state in level):
        shortest += 1
        level = [*{to for state in level for _, _, to in of.edges[state]} - seen]
        seen.update(level)
    return shortest, _longest(of)


def _longest(of: Automaton) -> int | None:
    """By taking away, again and again, the states that nothing leads to: in a circle, none is ever one."""
    leading = [0] * len(of.edges)
    for row in of.edges:
        for _, _, to in row:
            leading[to] += 1
    longest = [0] * len(of.edges)
    free = [state for state, count in enumerate(leading) if not count]
    gone = 0
    while free:
        state = free.pop()
        gone += 1
        for _, _, to in of.edges[state]:
            longest[to] = max(longest[to], longest[state] + 1)
            leading[to] -= 1
            if not leading[to]:
                free.append(to)
    return max((longest[end] for end in of.ends), default=0) if gone == len(of.edges) else None
