"""A tokenizer.model of tiktoken's kind, as GLM-4-9b-chat and CodeGeeX4 have: each line a token in base64 and its rank.

There are no merges in it: two neighbours merge if what they make is a token, the one of the lowest rank first. Listing
each way to cut a token in two others, in the order of the token's rank, says the same.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer.vocabulary import LARGEST, Type, Vocabulary

FILE = "tokenizer.model"
SETTINGS = "tokenizer_config.json"
LONGEST = 512
"""Bytes of one token; the longest there are are runs of 128 blanks."""


def is_one(data: bytes) -> bool:
    """Whether these look like such a file and not like SentencePiece's, which begins with a field of a message."""
    first, _, _ = data[: 4 * LONGEST].partition(b"\n")
    return _entry(first) is not None


def read(folder: Folder, pre: str) -> Vocabulary:
    """The vocabulary, with the special tokens that tokenizer_config.json lists. Raises InvalidModelFolder."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(folder.bytes(FILE).splitlines()):
        if not line:
            continue
        found = _entry(line)
        if found is None:
            raise InvalidModelFolder(f"{FILE}: line {number + 1} is no token in base64 and its rank")
        token, rank = found
        if token in ranks or rank != len(ranks) or rank >= LARGEST:
            raise InvalidModelFolder(
                f"{FILE}: line {number + 1} has the rank {rank}; {len(ranks)} was expected"
            )
        ranks[token] = rank
    letters = _letters()
    spelt = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [f"{spelt[left]} {spelt[right]}" for left, right in _merges(ranks)]
    by_id = {rank: (spelt[token], int(Type.NORMAL)) for token, rank in ranks.items()}
    by_id |= _special(folder, len(ranks))
    entries = [
        by_id.get(i) or (f"[PAD{i}]", int(Type.USER_DEFINED)) for i in range(max(by_id, default=-1) + 1)
    ]
    tokens, types = [text for text, _ in entries], [kind for _, kind in entries]
    return Vocabulary("gpt2", tokens, [float(i) for i in range(len(tokens))], types, merges, pre)


def _entry(line: bytes) -> tuple[bytes, int] | None:
    text, _, number = line.partition(b" ")
    if not number.isdigit() or len(number) > 8:
        return None
    try:
        token = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return (token, int(number)) if 0 < len(token) <= LONGEST else None


def _merges(ranks: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    for token in ranks:  # in the order of their ranks
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        yield from sorted(
            (cut for cut in cuts if cut[0] in ranks and cut[1] in ranks),
            key=lambda cut: (ranks[cut[0]], ranks[cut[1]]),
        )


def _special(folder: Folder, first: int) -> dict[int, tuple[str, int]]:
    """By id, behind the others."""
    listed = (folder.json(SETTINGS) or {}).get("added_tokens_decoder")
    if not isinstance(listed, dict) or not listed:
        raise InvalidModelFolder(
            f"{SETTINGS} lists no special tokens (added_tokens_decoder), and {FILE} has only the others",
            hint="download the model again: its newer revisions list them",
        )
    found = {}
    for key, entry in listed.items():
        text = entry.get("content") if isinstance(entry, dict) else None
        if (
            not key.isdecimal()
            or len(key) > 8
            or not first <= int(key) < LARGEST
            or not isinstance(text, str)
        ):
            raise InvalidModelFolder(
                f"{SETTINGS}: added_tokens_decoder has {key[:20]!r}, which is no token with an id from {first}"
            )
        found[int(key)] = text, int(Type.CONTROL if entry.get("special") is True else Type.USER_DEFINED)
    return found


def _letters() -> list[str]:
    """The letters that stand for the 256 bytes in byte-level vocabularies."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(others)) for byte in range(256)]
