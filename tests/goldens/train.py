"""Trains the small tokenizers of tests/goldens/tokenizers: `python -m tests.goldens.train`.

Needs the extra `goldens`. The results are in the repository; a golden file holds only for the tokenizer it was made
with, so after this `make goldens` has to be run as well. All but `wordpiece` come out the same every time.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from tests.goldens.folder import TOKENIZERS, bytes_of_letters

CORPUS = Path(__file__).with_name("corpus.txt")
SIZE = 1000
"""Tokens of a vocabulary, special ones apart."""

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _WORDS % "{1,3}" + _REST
QWEN2 = _WORDS % "" + _REST

LLAMA3_TOKENS = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
]
QWEN2_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
GLM_TOKENS = [
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
]

LLAMA3_CHAT = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
QWEN2_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
GLM_CHAT = "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}<|assistant|>"
GEMMA_CHAT = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
    "<start_of_turn>model\n"
)
SPM_CHAT = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"

GEMMA_OPTIONS = {
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "pad_piece": "<pad>",
    "eos_piece": "<eos>",
    "bos_piece": "<bos>",
    "add_dummy_prefix": False,
}


def main() -> None:
    byte_level("llama3", LLAMA3, LLAMA3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", chat=LLAMA3_CHAT)
    byte_level("qwen2", QWEN2, QWEN2_TOKENS, eos="<|im_end|>", pad="<|endoftext|>", chat=QWEN2_CHAT)
    byte_level("gpt2", None, ["<|endoftext|>"], bos="<|endoftext|>", eos="<|endoftext|>")
    byte_level("glm", LLAMA3, GLM_TOKENS, eos="<|endoftext|>", pad="<|endoftext|>", chat=GLM_CHAT)
    tiktoken("chatglm", like="glm")
    pieces("spm", {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}, [], chat=SPM_CHAT)
    pieces("gemma", GEMMA_OPTIONS, _gemma_symbols(), chat=GEMMA_CHAT)
    wordpiece("wordpiece")


def byte_level(name: str, split: str | None, special: list[str], chat: str = "", **roles: str) -> None:
    """Byte-level BPE. `split` is the regular expression before it; None is GPT-2's own, built in."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE(ignore_merges=name in ("llama3", "glm")))
    if split is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(split), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(_lines(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if name == "llama3":
        begin = roles["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    folder = _folder(name)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    config |= {f"{role}_token": token for role, token in roles.items()}
    if name == "llama3":
        config["add_bos_token"] = True
    if name == "qwen2":
        config["add_bos_token"] = False
    _config(folder, config, chat)


def tiktoken(name: str, like: str) -> None:
    """The same vocabulary as GLM-4-9b-chat ships its own: bytes and ranks in `tokenizer.model`, special tokens in
    `tokenizer_config.json`, and no `tokenizer.json`."""
    source = json.loads((TOKENIZERS / like / "tokenizer.json").read_text(encoding="utf-8"))
    stand_ins = bytes_of_letters()
    lines = []
    for token, rank in sorted(source["model"]["vocab"].items(), key=lambda each: each[1]):
        raw = bytes(stand_ins[char] for char in token)
        lines.append(f"{base64.b64encode(raw).decode()} {rank}\n")
    folder = _folder(name)
    (folder / "tokenizer.model").write_text("".join(lines))
    config = json.loads((TOKENIZERS / like / "tokenizer_config.json").read_text(encoding="utf-8"))
    chat = config.pop("chat_template")
    config |= {
        "added_tokens_decoder": {
            str(each["id"]): {
                key: each[key]
                for key in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
            }
            for each in source["added_tokens"]
        },
        "tokenizer_class": "ChatGLM4Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLM4Tokenizer", None]},
        "model_max_length": 1024,
        "do_lower_case": False,
        "remove_space": False,
        "padding_side": "left",
    }
    _config(folder, config, chat)


def pieces(name: str, options: dict[str, Any], symbols: list[str], chat: str) -> None:
    """SentencePiece BPE with byte fallback. `symbols` have the ids after the first three or four."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_lines()),
        model_writer=out,
        model_type="bpe",
        vocab_size=SIZE + 256 + len(symbols),
        byte_fallback=True,
        character_coverage=0.9995,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=symbols,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    folder = _folder(name)
    (folder / "tokenizer.model").write_bytes(out.getvalue())
    config: dict[str, Any] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "tokenizer_class": "GemmaTokenizer" if name == "gemma" else "LlamaTokenizer",
        "clean_up_tokenization_spaces": False,
        "legacy": False,
    }
    if name == "gemma":
        config |= {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    else:
        config |= {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    _config(folder, config, chat)


def wordpiece(name: str) -> None:
    """BERT's, lower case."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        _lines(), trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder = _folder(name)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    ordered = sorted(tokenizer.get_vocab().items(), key=lambda each: each[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in ordered), encoding="utf-8")
    names = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128}
    _config(folder, config | {f"{key}_token": special[i] for key, i in names.items()}, "")


def _gemma_symbols() -> list[str]:
    """At the ids that Gemma gives them: turn markers at 106 and 107, the marks for filling in the middle from 67 on."""
    unused = [f"<unused{n}>" for n in range(99)]
    unused[60:64] = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_separator|>"]
    marks = ["<mask>", "<2mass>", "[@BOS@]", *unused, "<start_of_turn>", "<end_of_turn>"]
    return [*marks, *("\n" * n for n in (1, 2, 3)), *("▁" * n for n in range(2, 9))]


def _lines() -> list[str]:
    return CORPUS.read_text(encoding="utf-8").splitlines(keepends=True)


def _folder(name: str) -> Path:
    folder = TOKENIZERS / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _config(folder: Path, config: dict[str, Any], chat: str) -> None:
    if chat:
        config["chat_template"] = chat
    text = json.dumps(config, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
