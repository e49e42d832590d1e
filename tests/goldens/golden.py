"""Golden files: what `transformers` said, as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODELS = HERE / "models"
TOKENS = HERE / "tokens"

PROMPTS = (
    "The herd left the valley before the sun was up.",
    (
        "def count(herd):\n    return len(herd)  # 40\n\nThe driver said: \"We'll be there when we're there; "
        "I'd rather arrive with all of them than with half.\" He wasn't joking, and nobody laughed about it at all, "
        "because on the way to the market there had been 39 animals and one goat, and now it was evening."
    ),
    "羊驼群离开了山谷。今天是二零二四年，天气很好 🦙!",  # noqa: RUF001 - so Chinese writes its comma
)
"""The second is longer than every window and every original context of the specs."""
STEPS = 12
"""Tokens that are generated after each."""
TOP = 8
SENSITIVE = 0.04
"""No greedy choice of a golden is a closer one, in nats."""

TEXTS = (
    "Hello world",
    " Hello  world ",
    "hello\n\n\nworld\n",
    "tabs\tand\r\nlines\r",
    "    indented by four\n        by eight\n",
    "          ",
    " \n \n  \n",
    "It's I'M we'Re they'LL o'clock 'tis",
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F ½ ² ٣",
    "for (int i = 0; i < n; i++) { a[i] += b->c; } // !=<>&&||",
    "def f(x: int) -> str:\n\treturn f'{x!r:>8}'\n",
    "羊驼群离开了山谷，没有人叫它们。",  # noqa: RUF001 - so Chinese writes its comma
    "夜明け前に群れは谷を出た。ラマ",
    "Стадо вышло из долины до рассвета",
    "¿Cuántas llamas? Über größer élèves",
    "🦙🦙 👍🏽 👩‍👩‍👧 ❤️ →≠∞",
    "a\u0000b\u0001c\u007fd\u200be\ufefff\u00a0g",
    "zero​width\u2028line\u3000space",
    "<s> </s> <unk> <0x0A> <pad> [CLS] [SEP] [MASK]",
    "<|begin_of_text|>hi<|eot_id|> <|end_of_text|>",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "[gMASK]<sop><|user|>\nhi<|assistant|>",
    "<start_of_turn>user\nhi<end_of_turn>\n",
    "▁ underline_snake_case CamelCaseWord ALLCAPS",
    "https://example.com/a?b=c&d=%20#e user@example.com",
    "",
    "x",
    " ",
)
"""What tokenizers stumble over. No text has a character that normalization (NFC) would change: the engine has none."""


def texts(tokenizer: str) -> list[str]:
    """Those a tokenizer is tried with. Whether a blank follows a special token of Llama 2's is a matter of age:
    transformers changed its mind, the engine kept to the older way."""
    found = [*TEXTS, *PROMPTS]
    return [text for text in found if "<s>" not in text] if tokenizer == "spm" else found


@dataclass(frozen=True)
class Run:
    """A prompt and its greedy continuation: for each step the `TOP` likeliest tokens with the logarithms of their
    probabilities, and for the first step those of a sample of all tokens."""

    text: str
    prompt: list[int]
    next: list[int]
    top: list[list[tuple[int, float]]]
    sample: list[tuple[int, float]]


@dataclass(frozen=True)
class Embedding:
    """A text, its tokens with the special ones, and its pooled and normalized vector."""

    text: str
    ids: list[int]
    vector: list[float]


@dataclass(frozen=True)
class Golden:
    """What is known of one model; `weights` is the SHA-256 of its safetensors file."""

    name: str
    weights: str
    runs: list[Run]
    embeddings: list[Embedding]


@dataclass(frozen=True)
class Case:
    """A text and its tokens: special tokens in it recognized, none added."""

    text: str
    ids: list[int]


def load(name: str) -> Golden:
    """The golden of one of the specs, or of another model that has one."""
    data = json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    runs = [
        Run(
            run["text"],
            run["prompt"],
            run["next"],
            [[(i, p) for i, p in step] for step in run["top"]],
            [(i, p) for i, p in run["sample"]],
        )
        for run in data["runs"]
    ]
    return Golden(name, data["weights"], runs, [Embedding(**each) for each in data["embeddings"]])


def tokens(tokenizer: str) -> list[Case]:
    """The cases of one of the tokenizers."""
    cases = json.loads((TOKENS / f"{tokenizer}.json").read_text(encoding="utf-8"))
    return [Case(**case) for case in cases]


def write(path: Path, content: Any) -> None:
    """JSON with one line for each small thing, so that changes can be read."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(_pretty(content) + "\n", encoding="utf-8")


def _pretty(content: Any, indent: str = "") -> str:
    flat = json.dumps(content, ensure_ascii=True, sort_keys=True)
    if len(flat) <= 100 or not isinstance(content, dict | list):
        return flat
    inner = indent + " "
    if isinstance(content, dict):
        lines = [f"{inner}{json.dumps(key)}: {_pretty(content[key], inner)}" for key in sorted(content)]
        return "{\n" + ",\n".join(lines) + "\n" + indent + "}"
    if all(isinstance(each, int | float) for each in content):
        return flat
    return "[\n" + ",\n".join(inner + _pretty(each, inner) for each in content) + "\n" + indent + "]"
