"""A program that reads spoilt GGUF files with little memory and little time. Run by `test_fuzz.py`, and by hand:

    python -m tests.gguf.fuzzing <seed> <how many> [seconds]

It prints one JSON line: how many were read and how many refused, the slowest, the most memory, and each mutant that
ended otherwise (an exception that is not ours, or too slow) with what is needed to make it again.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gguf.raw import ARRAY, BOOL, F32, STRING, U32, Raw, RawTensor, key, sample
from tropa.gguf import Array, InvalidGGUF, read
from tropa.gguf.memory import Load, predict
from tropa.library.header import describe

MEMORY = 96 << 20  # more than the program has when it begins: a mutant may not want more
SLOW = 2.0  # seconds for one mutant, whatever the machine does beside
NUMBERS = (
    *(0, 1, 2, 7, 8, 9, 10, 12, 13, 31, 32, 33, 255, 256, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1),
)


def model() -> Raw:
    """The header of a small language model as converters write it: every key that we look at."""
    numbers = {
        "block_count": 2, "context_length": 2048, "embedding_length": 64, "feed_forward_length": 96,
        "attention.head_count": 4, "attention.head_count_kv": 2, "attention.key_length": 16,
        "attention.sliding_window": 32, "vocab_size": 40, "expert_count": 4, "expert_used_count": 2,
    }  # fmt: skip
    words = [f"word{number}" for number in range(40)]
    tensors = [RawTensor("token_embd.weight", (64, 40), 0, 0)]
    end = 64 * 40 * 4
    for layer in range(2):
        for name, dims in (("attn_q", (64, 64)), ("attn_k", (64, 32)), ("ffn_up", (64, 96))):
            tensors.append(RawTensor(f"blk.{layer}.{name}.weight", dims, 8, end))
            end += dims[0] * dims[1] // 32 * 34
            end += -end % 32
    return Raw(
        keys=[
            key("general.architecture", STRING, "llama"),
            key("general.file_type", U32, 7),
            key("general.alignment", U32, 32),
            *(key(f"llama.{name}", U32, number) for name, number in numbers.items()),
            key("llama.rope.freq_base", F32, 10000.0),
            key("llama.attention.sliding_window_pattern", ARRAY, (BOOL, [True, False])),
            key("tokenizer.ggml.tokens", ARRAY, (STRING, words)),
            key("tokenizer.ggml.token_type", ARRAY, (U32, [1] * 40)),
            key("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m.content }}{% endfor %}"),
        ],
        tensors=tensors,
        data=bytes(end),
    )


def spoilt(good: bytes, chance: random.Random) -> bytes:
    """One to four things wrong with it, most of them in the header."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        chance.choices(SPOILERS, (8, 8, 2, 1, 1, 1))[0](data, chance)
    return bytes(data)


def _at(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(min(len(data), 2048) or 1)


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[_at(data, chance)] ^= 1 << chance.randrange(8)


def _number(data: bytearray, chance: random.Random) -> None:
    form = chance.choice(("<Q", "<I", "<H", "<B"))
    size = struct.calcsize(form)
    at = _at(data, chance)
    data[at : at + size] = struct.pack(form, chance.choice(NUMBERS) % (1 << 8 * size))


def _noise(data: bytearray, chance: random.Random) -> None:
    at, size = _at(data, chance), chance.randint(1, 24)
    data[at : at + size] = chance.randbytes(size)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _move(data: bytearray, chance: random.Random) -> None:
    """A piece of it once more, somewhere else: valid keys and tensors in the wrong places."""
    start = _at(data, chance)
    piece = data[start : start + chance.randint(1, 300)]
    at = _at(data, chance)
    data[at : at + (len(piece) if chance.random() < 0.5 else 0)] = piece


def _drop(data: bytearray, chance: random.Random) -> None:
    at = _at(data, chance)
    del data[at : at + chance.randint(1, 40)]


SPOILERS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _number,
    _noise,
    _cut,
    _move,
    _drop,
)


def look(path: Path) -> None:
    """All that is done with a header before an engine sees the file."""
    gguf = read(path, part=True)
    for value in gguf.metadata.values():
        if isinstance(value, Array):
            value.values()
    for tensor in gguf.tensors:
        assert gguf.data_offset + tensor.offset + tensor.nbytes <= path.stat().st_size, tensor
    describe(gguf)
    predict(gguf, Load(4096, slots=2))


def run(seed: int, count: int, seconds: float) -> dict[str, Any]:
    good = [sample().encode(), model().encode()]
    chance = random.Random(seed)
    begin = time.monotonic()
    taken = refused = 0
    slowest = 0.0
    wrong: list[str] = []
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder) / "mutant.gguf"
        for number in range(count):
            if time.monotonic() - begin > seconds:
                break
            path.write_bytes(spoilt(chance.choice(good), chance))
            start = time.monotonic()
            try:
                look(path)
                taken += 1
            except InvalidGGUF as error:
                refused += 1
                if str(path) not in str(error) or len(str(error)) > 2000:
                    wrong.append(f"seed {seed}, mutant {number}: says {str(error)[:300]!r}")
            except Exception as error:  # noqa: BLE001 - any other is the finding
                wrong.append(f"seed {seed}, mutant {number}: {type(error).__name__}: {str(error)[:300]}")
            took = time.monotonic() - start
            slowest = max(slowest, took)
            if took > SLOW:
                wrong.append(f"seed {seed}, mutant {number}: took {took:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"taken": taken, "refused": refused, "slowest": round(slowest, 4), "peak_kb": peak, "wrong": wrong}


def main(seed: str, count: str, seconds: str = "1e9") -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print(json.dumps(run(int(seed), int(count), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
