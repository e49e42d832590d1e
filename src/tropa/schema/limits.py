"""What one schema may cost. Schemas come with requests, from anyone.

Together these bound the time of making a grammar (about a second) and what the engine has to do for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tropa.schema.errors import TooLarge

if TYPE_CHECKING:
    from tropa.schema.automaton import Automaton

DEEPEST = 128
"""Levels of lists and objects inside each other, in the schema's own text."""

VALUES = 50_000
"""Values in the schema's text: keywords, names, members of an `enum`."""

STATES = 4_000
"""States of one automaton: a pattern, a format, a bounded number, together with a length."""

STEPS = 60_000
"""Work: automaton states, alternatives of values looked at, words of an `enum`, over the whole schema."""

RULES = 12_000
"""Rules of a grammar."""

TEXT = 1 << 20
"""Characters of a grammar."""


class Budget:
    """Counts the work on one schema."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps
        self.patterns: dict[tuple[str, bool], Automaton] = {}
        """Those that were paid for."""

    def spend(self, steps: int = 1) -> None:
        """Raises TooLarge."""
        self._left -= steps
        if self._left < 0:
            raise TooLarge(
                "the schema is too large: its grammar takes too much work; make it simpler", placed=True
            )
