"""All tensors of a folder by name, whichever file they are in."""

from __future__ import annotations

from collections.abc import Iterable

from tropa.library.convert import safetensors
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.safetensors import Stored

ENDING = ".safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".ckpt")


def read(folder: Folder, prefixes: Iterable[str] = ()) -> dict[str, Stored]:
    """By the names in the files, without the first of `prefixes` that fits. Raises InvalidModelFolder."""
    found: dict[str, Stored] = {}
    for file in _files(folder):
        for name, stored in safetensors.read(folder.files[file], file).items():
            short = next((name.removeprefix(each) for each in prefixes if name.startswith(each)), name)
            if short in found:
                raise InvalidModelFolder(
                    f"duplicate tensor name '{short[:200]}' was found for this model: "
                    f"in {found[short].file} and in {file}"
                )
            found[short] = stored
    if not found:
        raise InvalidModelFolder("the files of weights have no tensors")
    return found


def _files(folder: Folder) -> list[str]:
    """Those that the index names; without one those that begin with `model`, or else all."""
    files = folder.names(ENDING)
    if not files:
        pickles = [name for ending in PICKLES for name in folder.names(ending)]
        if pickles:
            raise InvalidModelFolder(
                f"{pickles[0]} is a pickle, which may hold any program and is never opened",
                hint="load the model with transformers and save it with save_pretrained(..., safe_serialization=True)",
            )
        raise InvalidModelFolder("unknown tensor format: there is no .safetensors file")
    index = folder.json(INDEX)
    if index is not None:
        return _indexed(index.get("weight_map"), files)
    return [name for name in files if name.rpartition("/")[2].startswith("model")] or files


def _indexed(weight_map: object, files: list[str]) -> list[str]:
    if not isinstance(weight_map, dict) or not all(isinstance(each, str) for each in weight_map.values()):
        raise InvalidModelFolder(f"{INDEX}: weight_map is no object of file names")
    wanted = sorted(set(weight_map.values()))
    missing = [name for name in wanted if name not in files]
    if missing:
        raise InvalidModelFolder(
            f"{INDEX} names {missing[0][:200]}, which is not among the files"
            + (f", nor are {len(missing) - 1} others" if len(missing) > 1 else ""),
            hint="the download may not have been complete",
        )
    return wanted
