"""Which strings a kind of strings holds: its patterns, formats, lengths and words, worked out."""

from __future__ import annotations

from tropa.schema import automaton
from tropa.schema.automaton import Automaton
from tropa.schema.errors import TooLarge
from tropa.schema.kinds import Text
from tropa.schema.limits import STATES, Budget

MOST_LENGTH = 256
"""A string with a pattern is written up to this long if its length has to be counted at all."""


class Spelling:
    """Remembers what it has worked out. All raise TooLarge."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._words: dict[Text, tuple[str, ...]] = {}
        self._automata: dict[Text, Automaton] = {}

    def possible(self, text: Text) -> bool:
        """Whether there is any such string."""
        if text.words is not None:
            return bool(self.words(text))
        return not text.patterns or not self.automaton(text).empty

    def words(self, text: Text) -> tuple[str, ...]:
        """Those of its words that fit."""
        assert text.words is not None
        if text not in self._words:
            patterns = [automaton.of_pattern(each, self._budget) for each in text.patterns]
            self._budget.spend(sum(map(len, text.words)) // 10 * (1 + len(patterns)) + len(text.words))
            self._words[text] = tuple(
                word
                for word in text.words
                if _long_enough(text, word) and all(machine.accepts(word) for machine in patterns)
            )
        return self._words[text]

    def holds(self, text: Text, word: str) -> bool:
        """Whether this string is one of them."""
        if text.words is not None:
            return word in self.words(text)
        if text.patterns:
            return self.automaton(text).accepts(word)
        return _long_enough(text, word)

    def automaton(self, text: Text) -> Automaton:
        """The strings of a kind that has patterns or words."""
        if text not in self._automata:
            self._automata[text] = self._worked_out(text)
        return self._automata[text]

    def _worked_out(self, text: Text) -> Automaton:
        if text.words is not None:
            return automaton.of_words(self.words(text))
        patterns = [automaton.of_pattern(each, self._budget) for each in text.patterns]
        found = patterns[0] if len(patterns) == 1 else automaton.joined(patterns, (), 0, None, self._budget)
        shortest, longest = automaton.lengths(found)
        most = text.most
        if shortest >= text.least and (most is None or (longest is not None and longest <= most)):
            return found
        if text.least * len(found.edges) > STATES * 4:
            raise TooLarge("minLength is too large for its pattern or format")
        if most is not None:
            most = min(
                most, max(text.least, min(MOST_LENGTH, STATES * 3 // 4 // max(len(found.edges), 1)), shortest)
            )
        return automaton.joined([found], (), text.least, most, self._budget)


def _long_enough(text: Text, word: str) -> bool:
    return text.least <= len(word) and (text.most is None or len(word) <= text.most)
