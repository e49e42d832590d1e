"""Thousands of spoilt GGUFs, each put before everything that reads one.

To run it: `python -m tests.gguf.mutants FOLDER SEED COUNT`.

Runs in a process of its own, whose memory is limited: what follows a number in a file instead of its bytes is
killed by that, as is what hangs by the alarm. What is neither an answer nor one of our own errors ends it, with the
mutant's number in the message. The last line is JSON: how many were read, and what was said of the others.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.gguf.raw import ARRAY, BOOL, F32, STRING, U32, U64, Raw, RawTensor, key, sample, string
from tests.library.making import make
from tropa.errors import TropaError
from tropa.gguf import Array, InvalidGGUF, read
from tropa.library.errors import ModelNotFound
from tropa.library.library import Library
from tropa.library.show import show
from tropa.runners.demand import demand_of

MEMORY = 1 << 30
SECONDS = 5  # for one mutant; a thousandth of it is usual
EDGES = (0, 1, 2, 7, 8, 9, 12, 13, 31, 63, 127, 128, 255, 1 << 16, 1 << 20, 1 << 31, (1 << 32) - 1)
HUGE = (1 << 32, 1 << 40, (1 << 48) + 1, (1 << 62) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1)


def model() -> Raw:
    """What a language model says of itself, with all that predictions look at."""
    own = {"block_count": 2, "embedding_length": 32, "context_length": 64, "feed_forward_length": 64}
    heads = {"attention.head_count": 4, "attention.head_count_kv": 2, "attention.sliding_window": 16}
    keys = [key("general.architecture", STRING, "llama"), key("general.alignment", U32, 32)]
    keys += [key(f"llama.{name}", U32, number) for name, number in (own | heads).items()]
    keys += [
        key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        key("llama.attention.causal", BOOL, True),
        key("tokenizer.ggml.model", STRING, "gpt2"),
        key("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m.content }}{% endfor %}"),
        key("tokenizer.ggml.tokens", ARRAY, (STRING, [f"w{n}" for n in range(40)])),
        key("tokenizer.ggml.scores", ARRAY, (F32, [0.5] * 40)),
        key("llama.attention.sliding_window_pattern", ARRAY, (BOOL, [True, False])),
    ]
    names = ("token_embd.weight", "blk.0.attn_norm.weight", "blk.1.ffn_up.weight", "output.weight")
    tensors = [RawTensor(name, (32, 4), 0, 512 * number) for number, name in enumerate(names)]
    return Raw(keys=keys, tensors=tensors, data=bytes(2048))


def vision() -> Raw:
    """A projector."""
    keys = [key("general.architecture", STRING, "clip"), key("clip.has_vision_encoder", BOOL, True)]
    numbers = {"block_count": 1, "embedding_length": 32, "image_size": 28, "patch_size": 14}
    keys += [key(f"clip.vision.{name}", U32, number) for name, number in numbers.items()]
    return Raw(keys=keys, tensors=[RawTensor("v.blk.0.w", (32, 4))], data=bytes(512))


def mutant(dice: random.Random) -> bytes:
    """One of the good files with something wrong; one in some dozens is still good."""
    raw = dice.choice((sample, model, vision))()
    spoil: Callable[[Raw, random.Random], bytes] = dice.choice(
        (_cut, _bytes, _bytes, _number, _number, _number, _counts, _keys, _tensors, _nested, _spliced)
    )
    return spoil(raw, dice)


def _cut(raw: Raw, dice: random.Random) -> bytes:
    whole = raw.encode()
    return whole[: dice.randrange(len(whole) + 1)]


def _bytes(raw: Raw, dice: random.Random) -> bytes:
    whole = bytearray(raw.encode())
    header = len(raw.header())
    for _ in range(dice.randint(1, 4)):
        whole[dice.randrange(header)] ^= dice.choice((1, 2, 4, 8, 128, 255, dice.randrange(1, 256)))
    return bytes(whole)


def _number(raw: Raw, dice: random.Random) -> bytes:
    """A length, count, type or offset of another size, wherever one may be."""
    whole = bytearray(raw.encode())
    size = dice.choice((4, 8))
    at = dice.randrange(4, len(raw.header()) - size)
    number = dice.choice((*EDGES, *HUGE, dice.randrange(len(whole))))
    whole[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(whole)


def _counts(raw: Raw, dice: random.Random) -> bytes:
    number = dice.choice((*EDGES, *HUGE))
    if dice.random() < 0.5:
        raw.key_count = number
    else:
        raw.tensor_count = number
    return raw.encode()


def _keys(raw: Raw, dice: random.Random) -> bytes:
    """Keys twice, in another order, of another type, or an alignment that is none."""
    match dice.randrange(4):
        case 0:
            raw.keys.append(dice.choice(raw.keys))
        case 1:
            dice.shuffle(raw.keys)
        case 2:
            kind, content = dice.choice(
                ((STRING, "much"), (F32, float("nan")), (U64, HUGE[-1]), (BOOL, True))
            )
            at = dice.randrange(len(raw.keys))
            (length,) = struct.unpack_from("<Q", raw.keys[at])
            raw.keys[at] = key(raw.keys[at][8 : 8 + length], kind, content)
        case _:
            raw.keys = [each for each in raw.keys if b"general.alignment" not in each]
            raw.keys.append(key("general.alignment", U32, dice.choice((*EDGES[:-1], 3, 48, 1 << 30))))
    return raw.encode()


def _tensors(raw: Raw, dice: random.Random) -> bytes:
    """Beyond the file, on top of each other, of no type, no size or all sizes, or there twice."""
    tensor = dice.choice(raw.tensors)
    match dice.randrange(5):
        case 0:
            tensor.offset = dice.choice((*EDGES, *HUGE))
        case 1:
            tensor.dims = tuple(dice.choice((*EDGES, *HUGE)) for _ in range(dice.randint(0, 6)))
        case 2:
            tensor.type = dice.choice((*range(45), *EDGES))
        case 3:
            tensor.name = dice.choice(
                (b"", b"\xff\xfe", "n" * 64, "blk.999999.w", "v.x", raw.tensors[0].name)
            )
        case _:
            raw.tensors.append(tensor)
    return raw.encode()


def _nested(raw: Raw, dice: random.Random) -> bytes:
    """Arrays in arrays, each with a length that may lie."""
    inside = struct.pack("<IQ", dice.choice((0, 4, STRING)), dice.choice((0, 1, *HUGE)))
    for _ in range(dice.choice((1, 2, 3, 4, 5, 200, 2000))):
        inside = struct.pack("<IQ", ARRAY, dice.choice((1, 1, 1, 2, HUGE[0]))) + inside
    raw.keys.append(string("deep") + struct.pack("<I", ARRAY) + inside + bytes(8))
    return raw.encode()


def _spliced(raw: Raw, dice: random.Random) -> bytes:
    """The start of one file and the rest of another."""
    one, other = raw.encode(), dice.choice((sample, model, vision))().encode()
    return one[: dice.randrange(len(one))] + other[dice.randrange(len(other)) :]


class Trial:
    """A store with one model, whose weights are the mutant of the moment."""

    def __init__(self, folder: Path) -> None:
        self.library = Library(folder)
        self.library.open()
        make(self.library, "trial", model().encode())
        found = self.library.find("trial").weights
        assert found is not None
        self._weights = found.path
        self.said: Counter[str] = Counter()

    def put(self, content: bytes, *, also_create: bool) -> None:
        """Raises what should never be raised."""
        self._weights.unlink()  # a new file: its inode or time says that it is another
        self._weights.write_bytes(content)
        try:
            gguf = read(self._weights)
        except InvalidGGUF as error:
            named = str(self._weights) in str(error)
            self.said[error.code if named else "of which file?"] += 1
        else:
            self.said["read"] += 1
            for value in gguf.metadata.values():
                if isinstance(value, Array):
                    with suppress(InvalidGGUF):  # its texts may not be text: nobody has looked before
                        assert len(value.values()) == len(value)
                    assert len(value.values(lossy=True)) == len(value)
        with suppress(InvalidGGUF):
            demand_of(self._weights)
        assert len(self.library.models()) == 1  # a bad model is listed, not in the way
        with suppress(TropaError):
            show(self.library.find("trial"), verbose=True)
        if also_create:
            with suppress(TropaError):
                make(self.library, "made", content)
                show(self.library.find("made"), verbose=True)
            with suppress(ModelNotFound):
                self.library.delete("made")


def main(folder: Path, seed: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    dice = random.Random(seed)
    trial = Trial(folder)
    for number in range(count):
        content = mutant(dice)
        signal.alarm(SECONDS)
        try:
            trial.put(content, also_create=number % 20 == 0)
        except BaseException:
            print(f"seed {seed}, mutant {number}: {content[:4096].hex()}", file=sys.stderr)
            raise
    signal.alarm(0)
    print(json.dumps(trial.said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
