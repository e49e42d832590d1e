"""What a new model starts from: the layers of another, or files that were uploaded for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tropa.gguf import GGUF
from tropa.library import manifest
from tropa.library.background import Tell
from tropa.library.bench import Bench, Conversion, Piece, opened
from tropa.library.blobs import Writer
from tropa.library.bundled import Contents
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, CloudDisabled, InvalidRecipe, ModelNotFound
from tropa.library.fitness import check
from tropa.library.header import Kind, describe, parameter_size
from tropa.library.library import Library
from tropa.library.lock import Claim
from tropa.library.manifest import Layer, Manifest
from tropa.library.name import InvalidName, Name, Source, source
from tropa.library.recipe import Recipe
from tropa.library.shards import Joined, ordered
from tropa.library.status import Status
from tropa.quantize.filetype import FileType

Pull = Callable[[str], Iterator[Status]]
"""Fetches a model by name into the library, telling how it goes."""
METADATA = (".json", ".jinja", ".model", ".txt", ".md")
"""What a GGUF has inside already."""
PICKLES = (".bin", ".pth", ".pt", ".ckpt")


@dataclass(frozen=True, slots=True)
class Base:
    """Layers to start from, and what the config says about them."""

    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


def from_model(
    bench: Bench, recipe: Recipe, claim: Claim, pull: Pull | None
) -> Generator[Status, None, Base]:
    """All layers of an existing model, each marked with where it is from; its weights quantized if asked for."""
    assert recipe.base is not None
    library = bench.library
    try:
        text, where = source(recipe.base)
    except InvalidName as error:
        raise InvalidName(recipe.base) from error
    if where is Source.CLOUD:
        raise CloudDisabled
    name = Name.parse(text)
    found = _manifest(library, name)
    if found is None and pull is not None:
        yield from pull(text)
        found = _manifest(library, name)
    if found is None:
        raise ModelNotFound(recipe.base)
    data, contents = found
    made = manifest.parse(data)
    parts = {layer.blob for layer in made.layers or ()}
    claim.add(*made.digests())
    if contents is not None:
        library.unpack(contents, parts)
    for digest in parts:
        if not library.store.blobs.keep(digest):
            raise BlobNotFound(digest)
    short = library.resolve(name).short
    layers = [msgspec.structs.replace(layer, source=short) for layer in made.layers or ()]
    config = dict(_config_of(library, made, contents))
    if recipe.quantize is not None:
        yield from _quantize(bench, layers, recipe.quantize, config)
    return Base(tuple(layers), config)


def _quantize(
    bench: Bench, layers: list[Layer], kind: FileType, config: dict[str, Any]
) -> Generator[Status, None, None]:
    """Put smaller weights in the place of each model layer."""
    for index, layer in enumerate(layers):
        if layer.media_type == manifest.MODEL:
            path = bench.library.store.blobs.path(layer.blob)
            piece = Piece("the base's weights", opened("the base's weights", path), layer.blob)
            smaller = yield from bench.quantize(piece, kind)
            if smaller is not piece:
                layers[index] = bench.layer(smaller, manifest.MODEL)
                config["file_type"] = smaller.gguf.file_type


def _manifest(library: Library, name: Name) -> tuple[bytes, Contents | None] | None:
    if (contents := library.contents(name)) is not None:
        return contents.manifest, contents
    if (found := library.store.find(name)) is not None:
        return library.store.read(found.path), None
    return None


def _config_of(library: Library, made: Manifest, contents: Contents | None) -> Mapping[str, Any]:
    if made.config is None or not made.config.digest:
        return {}
    if contents is not None:
        data = contents.texts[made.config.blob]
    else:
        data = library.store.blobs.read(made.config.blob, manifest.CONFIG_LIMIT)
    manifest.parse_config(data)  # refuses what is no config
    fields: dict[str, Any] = msgspec.json.decode(data)
    return fields


def from_files(bench: Bench, recipe: Recipe) -> Generator[Status, None, Base]:
    """Uploaded files: one model, and perhaps its projector."""
    pieces = yield from weights(bench, recipe.files)
    models: list[GGUF] = []
    layers: list[Layer] = []
    for piece in pieces:
        match describe(piece.gguf).kind:
            case Kind.ADAPTER:
                raise InvalidRecipe(
                    f"{piece.file} is a LoRA adapter, not a model",
                    hint="name it with ADAPTER, and its base with FROM",
                )
            case Kind.PROJECTOR:
                layers.append(bench.layer(piece, manifest.PROJECTOR))
            case Kind.MODEL if models:
                names = ", ".join(recipe.files)
                raise InvalidRecipe(f"{names}: more than one model; a model is made from one")
            case Kind.MODEL:
                final = yield from bench.quantize(piece, recipe.quantize)
                models.append(final.gguf)
                layers.insert(0, bench.layer(final, manifest.MODEL))
    if not models:
        raise InvalidRecipe(
            f"{', '.join(recipe.files)}: a projector alone is no model",
            hint="give the GGUF of the language model as well (a second FROM line)",
        )
    model = models[0]
    return Base(
        tuple(layers),
        {
            "model_format": "gguf",
            "model_family": model.architecture,
            "model_families": [model.architecture],
            "model_type": parameter_size(model.parameter_count),
            "file_type": model.file_type,
        },
    )


def weights(bench: Bench, files: Mapping[str, Digest]) -> Generator[Status, None, list[Piece]]:
    """The GGUF files that uploaded ones are or become, each fit for the engine."""
    if any(file.lower().endswith(".safetensors") for file in files):
        return [(yield from _converted(bench, files))]
    files = without_metadata(files)
    for file in files:
        if file.lower().endswith(PICKLES) and bench.uploaded(files[file]).read_bytes()[:4] != b"GGUF":
            raise InvalidRecipe(
                f"unknown type: {file} is a PyTorch checkpoint, and reading one can run any code inside it",
                hint="give the model's .safetensors files, or a GGUF",
            )
    whole: list[Piece] = []
    shards: dict[str, GGUF] = {}
    for file, digest in files.items():
        yield Status("parsing GGUF")
        gguf = opened(file, bench.uploaded(digest), part=True)
        if gguf.split is None:
            whole.append(Piece(file, gguf, digest))
        else:
            shards[file] = gguf
    if shards:
        parts = ordered(shards)
        first = next(file for file, gguf in shards.items() if gguf is parts[0])
        check_fit(bench, first, parts[0])
        whole.append((yield from bench.join(first, Joined(parts))))
    for piece in whole:
        check_fit(bench, piece.file, piece.gguf)
    return whole


def without_metadata(files: Mapping[str, Digest]) -> Mapping[str, Digest]:
    """GGUF files alone: other clients send the texts along that lie beside them in a folder. All, if there is nothing
    else.
    """
    return {name: digest for name, digest in files.items() if not name.lower().endswith(METADATA)} or files


def check_fit(bench: Bench, file: str, gguf: GGUF) -> None:
    """Raises InvalidRecipe or UnsupportedArchitecture if no engine of ours will run this."""
    if not gguf.tensors:
        raise InvalidRecipe(f"{file}: the file holds no weights (a vocabulary?)")
    if describe(gguf).kind is Kind.MODEL:
        check(file, gguf, bench.library.architectures)


def _converted(bench: Bench, files: Mapping[str, Digest]) -> Generator[Status, None, Piece]:
    """A folder of safetensors as one GGUF."""
    from tropa.library.convert.convert import convert

    paths = {file: bench.uploaded(digest) for file, digest in files.items()}
    size = sum(path.stat().st_size for file, path in paths.items() if file.endswith(".safetensors"))

    def work(out: Writer, tell: Tell) -> Conversion:
        made = convert(paths, out, progress=tell)
        return Conversion(made.warnings, eight_bits=made.fp8)

    piece = yield from bench.convert(
        "converting model",
        "the converted model",
        work,
        size,
    )
    check_fit(bench, piece.file, piece.gguf)
    return piece
