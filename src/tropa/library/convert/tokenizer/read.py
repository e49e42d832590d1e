"""The tokenizer of a folder: the vocabulary from tokenizer.model if there is one, else from tokenizer.json."""

from __future__ import annotations

from dataclasses import replace

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer import bpe, sentencepiece, special
from tropa.library.convert.tokenizer.bpe import Added
from tropa.library.convert.tokenizer.pretokenizer import DEFAULT
from tropa.library.convert.tokenizer.vocabulary import LARGEST, Type, Vocabulary

MODEL = "tokenizer.model"
MARKERS = {"<start_of_turn>", "<end_of_turn>", "<start_function_call>", "<end_function_call>"}
"""Pieces of Gemma's that are control tokens, whatever the file says."""
LATE = -1000.0
"""The score of tokens that were added to a SentencePiece vocabulary: no merge makes them."""


def read(folder: Folder) -> Vocabulary:
    """A vocabulary with its special ids, flags and chat template. Raises InvalidModelFolder."""
    tokenizer = folder.json(bpe.FILE)
    model = (
        MODEL if MODEL in folder else next(iter(folder.names(f"/{MODEL}")), None)
    )  # perhaps one level down
    if model is not None:
        found = _pieces(folder, model, bpe.added(tokenizer) if tokenizer else [])
    elif tokenizer is not None:
        found = bpe.read(tokenizer)
    else:
        raise InvalidModelFolder(
            "unknown tokenizer format: neither tokenizer.model nor tokenizer.json is among the files"
        )
    return surrounded(folder, found)


def surrounded(folder: Folder, vocabulary: Vocabulary) -> Vocabulary:
    """With special ids, flags and the chat template."""
    tokenizer = folder.json(bpe.FILE)
    added = bpe.added(tokenizer) if tokenizer else []
    by_itself = vocabulary.model == "llama"
    extra = special.keys(folder, vocabulary.tokens, added, bos_by_itself=by_itself)
    warnings = vocabulary.warnings
    if vocabulary.model == "gpt2" and "tokenizer.ggml.eos_token_id" not in {**vocabulary.extra, **extra}:
        odd = vocabulary.tokens[11:12]
        warnings += (f"no file names a token that ends a text: the engine takes token 11 {odd} for one",)
    return replace(vocabulary, extra={**vocabulary.extra, **extra}, warnings=warnings)


def _pieces(folder: Folder, model: str, added: list[Added]) -> Vocabulary:
    found = sentencepiece.read(folder.bytes(model), model)
    if found.algorithm != sentencepiece.BPE:
        algorithm = sentencepiece.ALGORITHMS.get(found.algorithm, str(found.algorithm))
        raise InvalidModelFolder(
            f"{model} was trained as {algorithm}; the engine cuts text like that only for models of other families",
            hint="models with BPE vocabularies can be imported",
        )
    tokens, scores, types = found.tokens, found.scores, found.types
    control = MARKERS | _additional(folder)
    for i, text in enumerate(tokens):
        if types[i] in (Type.NORMAL, Type.USER_DEFINED) and text in control:
            types[i] = Type.CONTROL
    _add_listed(folder, tokens, scores, types)
    for each in sorted(added, key=lambda each: each.id):
        kind = int(Type.CONTROL if each.special else Type.USER_DEFINED)
        if each.id < len(tokens):
            if types[each.id] in (Type.NORMAL, Type.USER_DEFINED, Type.UNUSED):
                tokens[each.id] = each.text
                types[each.id] = kind
            continue
        while len(tokens) < each.id:
            tokens.append(f"[PAD{len(tokens)}]")
            scores.append(-1.0)
            types.append(int(Type.USER_DEFINED))
        tokens.append(each.text)
        scores.append(LATE)
        types.append(kind)
    extra: dict[str, bool | int] = {"tokenizer.ggml.add_space_prefix": found.blank_in_front}
    ids = {"bos": found.bos, "eos": found.eos, "unknown": found.unk, "padding": found.pad}
    for name, number in ids.items():
        if 0 <= number < len(tokens):
            extra[f"tokenizer.ggml.{name}_token_id"] = number
    return Vocabulary("llama", tokens, scores, types, pre=DEFAULT, extra=extra)


def _add_listed(folder: Folder, tokens: list[str], scores: list[float], types: list[int]) -> None:
    """added_tokens.json: text to id."""
    listed = folder.json("added_tokens.json") or {}
    for text, number in listed.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < LARGEST:
            raise InvalidModelFolder(f"added_tokens.json: the id of {text[:80]!r} is {str(number)[:80]}")
    for text, number in sorted(listed.items(), key=lambda each: each[1]):
        if number < len(tokens):
            if tokens[number] != text:
                raise InvalidModelFolder(f"token mismatch: {text} != {tokens[number]} at pos [{number}]")
            continue
        if number > len(tokens):
            raise InvalidModelFolder(f"invalid token id: [{number}] as pos [{len(tokens)}]")
        tokens.append(text)
        scores.append(LATE)
        types.append(int(Type.USER_DEFINED))


def _additional(folder: Folder) -> set[str]:
    """special_tokens_map.json: texts, or objects with a text."""
    listed = (folder.json("special_tokens_map.json") or {}).get("additional_special_tokens")
    found = set()
    for each in listed if isinstance(listed, list) else []:
        text = each.get("content") if isinstance(each, dict) else each
        if isinstance(text, str):
            found.add(text)
    return found
