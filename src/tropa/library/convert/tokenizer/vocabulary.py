"""A vocabulary as the engine wants it, whatever files it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import count, islice

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.values import Value

LARGEST = 1 << 21
"""Tokens. The largest vocabularies have a quarter of a million."""


class Type(IntEnum):
    """What a token is, as the engine counts it."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """`model` is the engine's name of the algorithm: gpt2 (byte-level BPE), llama (SentencePiece), bert (WordPiece)."""

    model: str
    tokens: list[str]
    scores: list[float]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    pre: str = ""
    extra: Mapping[str, Value] = field(default_factory=dict)
    """Further keys, whole: special ids, flags, the chat template."""
    warnings: tuple[str, ...] = ()

    def of_size(self, size: int) -> Vocabulary:
        """With as many tokens as the embedding has rows: filled up, or without those that have no row."""
        have = len(self.tokens)
        if size > LARGEST:
            raise InvalidModelFolder(f"config.json: vocab_size is {size}; the limit is {LARGEST}")
        if have < size:
            missing = size - have
            taken = set(self.tokens)
            free = (name for i in count() if (name := f"[PAD{i}]") not in taken)
            return replace(
                self,
                tokens=self.tokens + list(islice(free, missing)),
                scores=self.scores + [-1.0] * missing,
                types=self.types + [int(Type.USER_DEFINED)] * missing,
            )
        if have > size:
            lost = f"{have - size} tokens from {self.tokens[size]!r} on have no row in the embedding"
            return replace(
                self,
                tokens=self.tokens[:size],
                scores=self.scores[:size],
                types=self.types[:size],
                warnings=(*self.warnings, f"the tokenizer has {have} tokens, the model {size}: {lost}"),
            )
        return self

    def keys(self) -> dict[str, Value]:
        """All `tokenizer.` keys."""
        assert len(self.tokens) == len(self.scores) == len(self.types)
        if not self.tokens:
            raise InvalidModelFolder("the tokenizer has no tokens")
        if len(set(self.tokens)) != len(self.tokens):  # the engine would abort
            twice, _ = Counter(self.tokens).most_common(1)[0]
            raise InvalidModelFolder(f"the tokenizer has the token {twice[:80]!r} twice")
        found: dict[str, Value] = {
            "tokenizer.ggml.model": self.model,
            "tokenizer.ggml.tokens": self.tokens,
            "tokenizer.ggml.scores": self.scores,
            "tokenizer.ggml.token_type": self.types,
        }
        if self.pre:
            found["tokenizer.ggml.pre"] = self.pre
        if self.merges:
            found["tokenizer.ggml.merges"] = self.merges
        return found | dict(self.extra)
