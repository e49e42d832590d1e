"""BERT's vocabulary, from tokenizer.json or vocab.txt.

In the files a word's beginning is plain and its continuation has `##` in front; for the engine the beginning has a
`▁` in front and the continuation is plain.
"""

from __future__ import annotations

from typing import Any

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer import bpe
from tropa.library.convert.tokenizer.vocabulary import LARGEST, Type, Vocabulary
from tropa.library.convert.values import Value

TEXT = "vocab.txt"
UNKNOWN = "[UNK]"


def read(folder: Folder) -> Vocabulary:
    """The vocabulary; how text is prepared (lower case, accents) goes with it. Raises InvalidModelFolder."""
    tokenizer = folder.json(bpe.FILE)
    if tokenizer is not None:
        tokens, normalizer = _tokens(tokenizer), tokenizer.get("normalizer")
        special = {each.id for each in bpe.added(tokenizer) if each.special}
    elif TEXT in folder:
        tokens, normalizer, special = folder.text(TEXT).splitlines(), None, set()
    else:
        raise InvalidModelFolder(
            f"unknown tokenizer format: neither {bpe.FILE} nor {TEXT} is among the files"
        )
    types = [
        int(Type.CONTROL if _is_mark(token) or i in special else Type.NORMAL)
        for i, token in enumerate(tokens)
    ]
    if UNKNOWN in tokens:
        types[tokens.index(UNKNOWN)] = int(Type.UNKNOWN)
    spelt = [token if _is_mark(token) or i in special else _engine(token) for i, token in enumerate(tokens)]
    scores = [-1000.0] * len(tokens)
    return Vocabulary("bert", spelt, scores, types, pre="default", extra=_prepared(folder, normalizer))


def _tokens(tokenizer: dict[str, Any]) -> list[str]:
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type") not in ("WordPiece", None):
        kind = model.get("type") if isinstance(model, dict) else None
        raise InvalidModelFolder(f"{bpe.FILE}: model.type is {kind!r}; this family needs WordPiece")
    vocabulary, mark = model.get("vocab"), model.get("continuing_subword_prefix", "##")
    if not isinstance(vocabulary, dict) or mark != "##":
        raise InvalidModelFolder(f"{bpe.FILE}: its vocabulary is no WordPiece one")
    by_id: dict[int, str] = {}
    for text, number in vocabulary.items():
        if (
            isinstance(number, bool)
            or not isinstance(number, int)
            or not 0 <= number < LARGEST
            or number in by_id
        ):
            raise InvalidModelFolder(f"{bpe.FILE}: the id of {text[:80]!r} is {str(number)[:20]}")
        by_id[number] = text
    for each in bpe.added(tokenizer):
        by_id.setdefault(each.id, each.text)
    return [by_id.get(i, f"[PAD{i}]") for i in range(max(by_id, default=-1) + 1)]


def _is_mark(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _engine(token: str) -> str:
    return token[2:] if token.startswith("##") else f"▁{token}"


def _prepared(folder: Folder, normalizer: object) -> dict[str, Value]:
    """Both BERT and the engine take accents away where they make letters small, unless something else is said."""
    steps = normalizer if isinstance(normalizer, dict) else {}
    settings = folder.json("tokenizer_config.json") or {}
    found: dict[str, Value] = {}
    for name, setting in (("lowercase", "do_lower_case"), ("strip_accents", "strip_accents")):
        value = steps.get(name, settings.get(setting))
        if isinstance(value, bool):
            found[f"tokenizer.ggml.normalizer.{name}"] = value
    return found
