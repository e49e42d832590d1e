"""What a model may bring along: a LoRA that changes its answers, and a small model that guesses ahead."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from tropa.gguf import GGUF
from tropa.library import manifest
from tropa.library.base import weights, without_metadata
from tropa.library.bench import Bench, Conversion, Piece, named, opened, width
from tropa.library.errors import InvalidRecipe
from tropa.library.header import Kind, describe
from tropa.library.manifest import Layer
from tropa.library.recipe import Recipe
from tropa.library.status import Status

_PACKED = "draft quantization requires an unquantized draft model, got {}"
_WIDTHS = ("F32", "F16", "BF16")


def adapter(bench: Bench, recipe: Recipe, base: Sequence[Layer]) -> Generator[Status, None, list[Layer]]:
    """The layer of a LoRA for this base. Raises InvalidRecipe if it is none, or for another."""
    if not recipe.adapters:
        return []
    model = _model(bench, base)
    if any(file.lower().endswith(".safetensors") for file in recipe.adapters):
        piece = yield from _converted(bench, recipe, model)
    else:
        files = without_metadata(recipe.adapters)
        if len(files) > 1:
            raise InvalidRecipe("only one adapter is currently supported")
        ((file, digest),) = files.items()
        yield Status("parsing GGUF")
        piece = Piece(file, opened(file, bench.uploaded(digest)), digest)
    _check(piece, model)
    return [bench.layer(piece, manifest.ADAPTER)]


def _model(bench: Bench, layers: Sequence[Layer]) -> GGUF:
    for layer in layers:
        if layer.media_type == manifest.MODEL:
            return opened("the base's weights", bench.library.store.blobs.path(layer.blob))
    raise InvalidRecipe("no base model was found")


def _converted(bench: Bench, recipe: Recipe, model: GGUF) -> Generator[Status, None, Piece]:
    from tropa.library.convert.lora import convert

    paths = {file: bench.uploaded(digest) for file, digest in recipe.adapters.items()}
    size = sum(path.stat().st_size for file, path in paths.items() if file.endswith(".safetensors"))
    return (
        yield from bench.convert(
            "converting adapter",
            "the converted adapter",
            lambda out, tell: Conversion(convert(paths, model, out, progress=tell).warnings),
            size,
        )
    )


def _check(piece: Piece, model: GGUF) -> None:
    file, gguf = piece.file, piece.gguf
    if describe(gguf).kind is not Kind.ADAPTER:
        raise InvalidRecipe(f"{file} is no LoRA adapter (general.type is not adapter)")
    with named(file):
        kind = gguf.metadata.text("adapter.type")
    if kind != "lora":
        raise InvalidRecipe(f"{file} is an adapter of type {kind[:40]!r}; only lora can be applied")
    if gguf.architecture != model.architecture:
        raise InvalidRecipe(
            f'{file} is a LoRA for a "{gguf.architecture}" model, and the base is "{model.architecture}"',
            hint="name the model it was trained on with FROM",
        )
    shapes = {tensor.name: tensor.dims for tensor in model.tensors}
    for tensor in gguf.tensors:
        name, _, half = tensor.name.rpartition(".lora_")
        if half not in ("a", "b"):
            continue  # norms and the like: the engine says what it makes of them
        if name not in shapes:
            raise InvalidRecipe(f"{file} changes tensor {name!r}, which the base does not have")
        if len(tensor.dims) < 2 or not shapes[name]:
            raise InvalidRecipe(f"{file}: tensor {tensor.name!r} is no matrix")
        into, out = tensor.dims[0], tensor.dims[-1]
        fits = into == shapes[name][0] if half == "a" else out == shapes[name][-1]
        if not fits and name != "token_embd.weight":
            raise InvalidRecipe(
                f"{file} was trained on another base: {tensor.name!r} has the shape "
                f"{' x '.join(map(str, tensor.dims))}, and {name!r} {' x '.join(map(str, shapes[name]))}"
            )


def draft(bench: Bench, recipe: Recipe) -> Generator[Status, None, list[Layer]]:
    """The layer of a draft model. It is kept with the model; the answers are the same without it."""
    if not recipe.drafts:
        return []
    pieces = yield from weights(bench, recipe.drafts)
    if len(pieces) != 1 or describe(pieces[0].gguf).kind is not Kind.MODEL:
        raise InvalidRecipe(f"{', '.join(recipe.drafts)}: a draft is one language model")
    piece, kind = pieces[0], recipe.draft_quantize
    if kind is not None and kind.packed and (name := width(piece.gguf)) not in _WIDTHS:
        raise InvalidRecipe(_PACKED.format(piece.gguf.file_type if name == "unknown" else name))
    made = yield from bench.quantize(piece, kind)
    yield Status("warning: the draft model is stored with the model; this version answers without its help")
    return [bench.layer(made, manifest.DRAFT)]
