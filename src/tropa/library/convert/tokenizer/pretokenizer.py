"""Which of the engine's ways to cut text into words a tokenizer.json means.

The engine knows them by name, tokenizer.json writes regular expressions. They are told by a hash over the expressions
of all `Split` steps. A wrong guess costs quality that nobody sees, so an unknown one is a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

SPLITS = {
    "d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f": "llama-bpe",
    "03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02": "deepseek-llm",
    "21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e": "deepseek-coder",
    "1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e": "qwen2",
    "00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba": "qwen35",
    "b92c0824a58e1d8dc3221cf3e12c433c3a86f57e46d57229993489f0798e7702": "laguna",
}
"""SHA-256 of the expressions, one after the other."""

_CL100K = r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
_WORD = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_TAIL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_START = r"[^\r\n\p{L}\p{N}]?"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
EXPRESSIONS = {
    # upper and lower case apart: Mistral's Tekken, and what GPT-4o uses
    rf"{_START}{_WORD}*{_TAIL}+|{_START}{_WORD}+{_TAIL}*|\p{{N}}{_REST}": "tekken",
    rf"{_START}{_WORD}*{_TAIL}+{_ENDING}|{_START}{_WORD}+{_TAIL}*{_ENDING}|\p{{N}}{{1,3}}{_REST}": "gpt-4o",
    # GPT-4's own spelling (Phi-4): possessive, and otherwise llama-bpe's
    rf"'(?i:[sdmt]|ll|ve|re)|{_CL100K}": "dbrx",
    rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|{_CL100K}": "dbrx",
    # three steps, one after the other: numbers, Chinese and Japanese, the rest
    r"\p{N}{1,3}"
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"|\s*[\r\n]+|\s+(?!\S)|\s+": "deepseek-v3",
    # as llama-bpe, spelt without (?i:): GLM-4
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "chatglm-bpe",
}

GPT2 = "gpt-2"
"""What `ByteLevel` does by itself. (The engine's "default" is another list, Falcon's.)"""
GPT2_DIGITS = "smollm"
"""The same with every digit by itself."""
DEFAULT = "default"


def name(tokenizer: dict[str, Any]) -> tuple[str, str | None]:
    """The engine's name for it, and what to warn of, if anything."""
    steps = list(_steps(tokenizer.get("pre_tokenizer")))
    expressions = [text for step in steps if step.get("type") == "Split" and (text := _expression(step))]
    if expressions:
        joined = "".join(expressions)
        escaped = joined.replace("\r", r"\r").replace("\n", r"\n")  # they may stand there as themselves
        known = EXPRESSIONS.get(escaped) or SPLITS.get(
            hashlib.sha256(joined.encode(errors="replace")).hexdigest()
        )
        if known:
            return known, None
    elif any(step.get("type") == "ByteLevel" and step.get("use_regex", True) for step in steps):
        digits = any(step.get("type") == "Digits" and step.get("individual_digits") for step in steps)
        return (GPT2_DIGITS if digits else GPT2), None
    return DEFAULT, (
        "tokenizer.json cuts text into words in a way that is not known here; "
        "the engine's default is used instead, and answers may be worse for it"
    )


def byte_level(tokenizer: dict[str, Any]) -> bool:
    """Whether its tokens are spelt in the 256 letters that stand for bytes."""
    parts = [tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")]
    return any(step.get("type") == "ByteLevel" for part in parts for step in _steps(part))


def _steps(part: object) -> Iterator[dict[str, Any]]:
    """A pre-tokenizer or decoder, or the steps of a sequence."""
    if not isinstance(part, dict):
        return
    for key in ("pretokenizers", "decoders"):
        if isinstance(inner := part.get(key), list):
            yield from (step for step in inner if isinstance(step, dict))
            return
    yield part


def _expression(step: dict[str, Any]) -> str:
    pattern = step.get("pattern")
    found = pattern.get("Regex") if isinstance(pattern, dict) else None
    return found if isinstance(found, str) else ""
