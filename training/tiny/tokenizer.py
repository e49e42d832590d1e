"""Byte-level BPE whose words are the same tokens with and without a space before them.

Merges are learnt on words without their spaces; joining a space to a finished piece comes last. So " banana"
is "banana" with its first piece exchanged for that piece's spaced twin, whatever the word: what the model has
learnt about a word holds at the start of a line too, and repeating a new word is a plain copy of pieces.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder

from training.tiny.chat import END, END_OF_TEXT, START

SPECIAL = (END_OF_TEXT, START, END)
# llama.cpp's name for exactly the splitting that `pre_tokenizers.ByteLevel` does.
PRE_TOKENIZER = "gpt-2"
SPACE = "Ġ"


def _bare_trainer_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # Digits stay single, so that every number is spelled the same way.
            pre_tokenizers.Split(Regex(r"\s|\p{N}"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    return tokenizer


def _assemble(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    return tokenizer


def train_tokenizer(texts: Iterable[str], *, size: int, bare: int) -> Tokenizer:
    """A tokenizer of `size` tokens, `bare` of them without a leading space (special tokens not counted)."""
    lines = list(texts)
    first = _bare_trainer_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=bare,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    first.train_from_iterator(lines, trainer)
    learnt = json.loads(first.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    merges = [(left, right) for left, right in learnt["merges"]]

    # Which pieces follow a space, most frequent first; ties by spelling, so that two runs agree.
    draft = _assemble({piece: index for index, piece in enumerate(pieces)}, merges)
    followers: Counter[str] = Counter()
    for line in lines:
        tokens = draft.encode(line).tokens
        followers.update(after for before, after in pairwise(tokens) if before == SPACE)
    room = size - len(SPECIAL) - len(pieces)
    ranked = sorted(followers.items(), key=lambda item: (-item[1], item[0]))
    twins = [piece for piece, _ in ranked if SPACE not in piece and piece not in SPECIAL][:room]
    if len(twins) < room:
        msg = f"only {len(twins)} of {room} spaced pieces occur in the text"
        raise ValueError(msg)

    vocab = {
        piece: index for index, piece in enumerate((*SPECIAL, *pieces, *(SPACE + piece for piece in twins)))
    }
    return _assemble(vocab, [*merges, *((SPACE, piece) for piece in twins)])


def plain_pieces(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The tokens that are printable ASCII text without a space: material for made-up words."""
    pieces = sorted(tokenizer.get_vocab())
    return tuple(piece for piece in pieces if piece.isascii() and piece.isalnum())
