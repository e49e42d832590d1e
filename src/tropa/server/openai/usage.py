"""What an answer cost, in tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tropa.service.events import End


def usage(ends: Iterable[End]) -> dict[str, Any]:
    """Of the answers to one prompt, which counts once."""
    ends = list(ends)
    counts = [end.counts for end in ends]
    prompt = max((each.prompt_tokens for each in counts), default=0)
    said = sum(each.tokens for each in counts)
    dropped = next((end.dropped for end in ends if end.dropped), None)
    more = {"truncated": dropped} if dropped else {}  # beyond the dialect: nothing is cut in silence
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": max((each.cached_tokens for each in counts), default=0)},
        **more,
    }
