"""The special tokens of a model file's vocabulary."""

from __future__ import annotations

from pathlib import Path

from tropa.errors import TropaError
from tropa.gguf.recent import recent
from tropa.gguf.value import Array

TYPES, WORDS = "tokenizer.ggml.token_type", "tokenizer.ggml.tokens"
UNKNOWN, CONTROL = 2, 3  # the types that are special tokens only to who asks for them


def specials(weights: Path) -> frozenset[str] | None:
    """As they are spelled; None where the file does not say, or cannot be read. A vocabulary of 250,000 words takes a
    tenth of a second."""
    try:
        metadata = recent.read(weights).metadata
        types, words = metadata.get(TYPES), metadata.get(WORDS)
        if not isinstance(types, Array) or not isinstance(words, Array):
            return None
        places = [place for place, kind in enumerate(types.values()) if kind in (UNKNOWN, CONTROL)]
        spelled = words.values(lossy=True) if places else ()
    except TropaError:
        return None
    return frozenset(str(spelled[place]) for place in places if place < len(spelled))
