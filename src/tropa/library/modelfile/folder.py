"""Which files of a folder make a model or an adapter, for FROM, ADAPTER and DRAFT.

The folder may come from anywhere: a link in it must not take a file of the user's along that has nothing to do
with it, and checkpoints that run code when they are read are refused here, before hours of upload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from tropa.library.modelfile.syntax import InvalidModelfile

SAFETENSORS, GGUF, PICKLE = "safetensors", "gguf", "pickle"
_MODEL: tuple[
    tuple[tuple[str, ...], str], ...
] = (  # patterns of weights, and what must be in them; first match wins
    (("model*.safetensors", "*/model*.safetensors"), SAFETENSORS),
    (("consolidated*.safetensors",), SAFETENSORS),
    (("*.safetensors",), SAFETENSORS),
    (("*.gguf",), GGUF),
    (("*.bin",), GGUF),
)
_ADAPTER = ((("adapter_model*.safetensors",), SAFETENSORS), (("adapters.safetensors",), SAFETENSORS), *_MODEL)
_PICKLES = ("pytorch_model*.bin", "consolidated*.pth", "*.pt", "*.pth", "*.ckpt", "*.bin")
_BESIDE = ("*.json", "*/*.json", "chat_template.jinja", "vocab.txt", "merges.txt")
_TOKENIZERS = ("tokenizer.model", "*/tokenizer.model")
_LARGEST_HEADER = 100 << 20
_LFS = b"version https://git-lfs"


class NoWeights(InvalidModelfile):
    """A folder in which there is no model."""

    code = "no-weights"


def model_files(folder: Path, line: int | None, *, adapter: bool = False) -> dict[str, Path]:
    """The weights and what belongs to them, by their names within `folder`. Raises InvalidModelfile."""
    passed: list[str] = []
    for patterns, kind in _ADAPTER if adapter else _MODEL:
        found = list(_inside(folder, patterns, line))
        sound = [path for path in found if sniff(path) == kind]
        passed += [_why_not(path) for path in found if path not in sound]
        if found and len(sound) == len(found):
            beside = _beside(folder, line) if kind == SAFETENSORS else []
            return {path.relative_to(folder).as_posix(): path for path in [*sound, *beside]}
    pickles = next((path for path in _inside(folder, _PICKLES, line) if sniff(path) == PICKLE), None)
    if pickles is not None:
        refuse_pickle(pickles, line)
    raise NoWeights(
        f"no Modelfile or safetensors files found: {folder} holds no weights",
        line=line,
        hint="; ".join(dict.fromkeys(passed))
        or "a model is a .gguf file, or .safetensors files with their config.json",
    )


def refuse_pickle(path: Path, line: int | None) -> None:
    """Raises InvalidModelfile."""
    raise InvalidModelfile(
        f"{path.name} is a PyTorch checkpoint, and reading one can run any code inside it",
        line=line,
        hint="most models are there as .safetensors too; or convert it with the tools of its maker",
    )


def sniff(path: Path) -> str:
    """What a file of weights is, by its first bytes; an empty text for anything else."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return ""
    if head[:4] == b"GGUF":
        return GGUF
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return PICKLE
    if len(head) > 9 and struct.unpack("<Q", head[:8])[0] <= _LARGEST_HEADER and head[8:9] == b"{":
        return SAFETENSORS
    return ""


def _why_not(path: Path) -> str:
    with path.open("rb") as file:
        pointer = file.read(len(_LFS)) == _LFS
    if pointer:
        return f"{path.name} is a git-lfs pointer: the real file was not downloaded (git lfs pull)"
    return f"{path.name} is not what its name says"


def _inside(folder: Path, patterns: Iterable[str], line: int | None) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                _check_place(folder, path, line)
                yield path


def _check_place(folder: Path, path: Path, line: int | None) -> None:
    """A link may lead to a file in the folder, or to where download caches keep the files that they link to."""
    real, root = path.resolve(), folder.resolve()
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append(root.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in allowed):
        raise InvalidModelfile(
            f"insecure path: {path.relative_to(folder)}: it is a link that leads out of the folder, to {real}",
            line=line,
            hint="put the file itself there (huggingface-cli download has --local-dir for that)",
        )


def _beside(folder: Path, line: int | None) -> list[Path]:
    """Configuration and tokenizer. Text is text: a picture named config.json is refused."""
    found = list(_inside(folder, _BESIDE, line))
    for path in found:
        with path.open("rb") as file:
            if b"\0" in file.read(4096):
                raise InvalidModelfile(f"invalid content type: {path.name} is no text", line=line)
    for pattern in _TOKENIZERS:
        tokenizers = list(_inside(folder, (pattern,), line))
        if tokenizers:
            return [*found, tokenizers[0]]
    return found
