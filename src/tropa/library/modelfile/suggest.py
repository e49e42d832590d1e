"""Did you mean …?"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The one known word that a typing error away is likely to have become `word`."""
    from difflib import get_close_matches  # only ever needed after a mistake

    close = get_close_matches(word[:80].lower().replace("-", "_"), list(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else None
