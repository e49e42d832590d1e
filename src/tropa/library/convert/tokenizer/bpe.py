"""tokenizer.json with byte-pair encoding: either over bytes (gpt2), or SentencePiece in another coat (llama)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.tokenizer import pretokenizer
from tropa.library.convert.tokenizer.vocabulary import LARGEST, Type, Vocabulary
from tropa.library.convert.values import Value

FILE = "tokenizer.json"
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, slots=True)
class Added:
    """A token beside the vocabulary proper. `special`: never seen by users."""

    id: int
    text: str
    special: bool


def added(tokenizer: dict[str, Any]) -> list[Added]:
    """The added tokens. Raises InvalidModelFolder."""
    listed = tokenizer.get("added_tokens") or []
    if not isinstance(listed, list):
        raise InvalidModelFolder(f"{FILE}: added_tokens is no list")
    found = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise InvalidModelFolder(f"{FILE}: an added token has no content")
        found.append(
            Added(_id(entry["content"], entry.get("id")), entry["content"], entry.get("special") is True)
        )
    return found


def read(tokenizer: dict[str, Any]) -> Vocabulary:
    """The vocabulary of a BPE tokenizer.json. Raises InvalidModelFolder."""
    model = _model(tokenizer)
    tokens, types = _tokens(model, added(tokenizer))
    merges = _merges(model)
    if pretokenizer.byte_level(tokenizer):
        pre, warning = pretokenizer.name(tokenizer)
        scores = [float(i) for i in range(len(tokens))]
        return Vocabulary("gpt2", tokens, scores, types, merges, pre, warnings=(warning,) if warning else ())
    if not model.get("byte_fallback"):
        raise InvalidModelFolder(
            f"{FILE}: a BPE tokenizer that works neither on bytes nor falls back to them, which the engine can't run",
            hint="a tokenizer.model from SentencePiece can stand in its place",
        )
    return _sentencepiece(tokenizer, model, tokens, types, merges)


def _sentencepiece(
    tokenizer: dict[str, Any], model: dict[str, Any], tokens: list[str], types: list[int], merges: list[str]
) -> Vocabulary:
    """Merge ranks become scores: a piece is the better the earlier it is made."""
    rank: dict[str, float] = {}
    for i, merge in enumerate(merges):
        left, _, right = merge[1:].partition(" ")
        rank.setdefault(merge[0] + left + right, -float(i))
    unknown = model.get("unk_token")
    for i, token in enumerate(tokens):
        if token == unknown:
            types[i] = Type.UNKNOWN
        elif BYTE.fullmatch(token):
            types[i] = Type.BYTE
    scores = [rank.get(token, 0.0) for token in tokens]
    extra: dict[str, Value] = {"tokenizer.ggml.add_space_prefix": _blank_in_front(tokenizer)}
    return Vocabulary("llama", tokens, scores, types, extra=extra, pre=pretokenizer.DEFAULT)


def _blank_in_front(tokenizer: dict[str, Any]) -> bool:
    """Whether a blank is put before the text: by a normalizer that prepends, or by Metaspace."""

    def flat(part: object, key: str) -> list[dict[str, Any]]:
        if not isinstance(part, dict):
            return []
        inner = part.get(key)
        return [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else [part]

    if any(step.get("type") == "Prepend" for step in flat(tokenizer.get("normalizer"), "normalizers")):
        return True
    for step in flat(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme")
            return (
                scheme != "never" if scheme is not None else step.get("add_prefix_space", True) is not False
            )
    return False


def _model(tokenizer: dict[str, Any]) -> dict[str, Any]:
    model = tokenizer.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        kind = model.get("type") if isinstance(model, dict) else None
        raise InvalidModelFolder(
            f"{FILE}: its vocabulary is no BPE one (model.type is {kind!r})",
            hint="a tokenizer.model from SentencePiece can stand in its place",
        )
    if model.get("type") not in ("BPE", None):
        raise InvalidModelFolder(f"{FILE}: model.type is {model.get('type')!r}; this family needs BPE")
    return model


def _tokens(model: dict[str, Any], extra: list[Added]) -> tuple[list[str], list[int]]:
    """Texts and types by id. A gap is filled: ids are what the weights were trained with."""
    by_id: dict[int, tuple[str, int]] = {}
    for text, number in model["vocab"].items():
        found = _id(text, number)
        if found in by_id:
            raise InvalidModelFolder(f"{FILE}: {by_id[found][0]!r} and {text!r} have the same id {found}")
        by_id[found] = text, int(Type.NORMAL)
    for token in extra:
        by_id[token.id] = token.text, int(Type.CONTROL if token.special else Type.USER_DEFINED)
    if not by_id:
        raise InvalidModelFolder(f"{FILE}: it has no tokens")
    entries = [by_id.get(i) or (f"[PAD{i}]", int(Type.USER_DEFINED)) for i in range(max(by_id) + 1)]
    return [text for text, _ in entries], [kind for _, kind in entries]


def _merges(model: dict[str, Any]) -> list[str]:
    listed = model.get("merges") or []
    if not isinstance(listed, list):
        raise InvalidModelFolder(f"{FILE}: merges is no list")
    found = []
    for merge in listed:
        pair = merge if isinstance(merge, list) else [merge]
        text = " ".join(pair) if all(isinstance(each, str) for each in pair) else ""
        if " " not in text[1:-1]:
            raise InvalidModelFolder(f"{FILE}: a merge is {str(merge)[:80]!r}, and should be two tokens")
        found.append(text)
    return found


def _id(text: str, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InvalidModelFolder(f"{FILE}: the id of {text[:80]!r} is no whole number")
    if number >= LARGEST:
        raise InvalidModelFolder(f"{FILE}: an id of {text[:80]!r} beyond {LARGEST}")
    return number
