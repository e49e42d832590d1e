"""Stop sequences looked for here and not by the engine: where its answer does not say which one it met."""

from __future__ import annotations

from collections.abc import Iterable


class Stopper:
    """Takes text in pieces cut anywhere. What could become a stop sequence is held back until it is known."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = ""
        """The sequence that ended the answer, once it was met."""

    def feed(self, text: str) -> str:
        """The text that is certain. Where sequences overlap, the one that begins first counts."""
        text = self._held + text
        places = [(text.find(stop), -len(stop), stop) for stop in self._stops if stop in text]
        if places:
            at, _, self.found = min(places)
            self._held = ""
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The answer ended by itself: what was held back."""
        text, self._held = self._held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    return next(
        (size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0
    )
