"""`POST /api/create`: from a recipe to a model in the store.

Nothing is registered before everything was looked at: the manifest is the last thing written. What the new
model is made of is claimed first, so that no other process removes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tropa.gguf import InvalidGGUF
from tropa.gguf.errors import NotGGUF
from tropa.library import manifest
from tropa.library.architectures import COMMON, ENGINE
from tropa.library.assembly import TEXT_LIMIT
from tropa.library.bundled import Contents
from tropa.library.digest import Digest
from tropa.library.errors import (
    BlobNotFound,
    CloudDisabled,
    InvalidManifest,
    InvalidRecipe,
    ModelNotFound,
    NotSupportedYet,
    UnsupportedArchitecture,
)
from tropa.library.header import Header, Kind, parameter_size
from tropa.library.library import Library
from tropa.library.lock import Claim
from tropa.library.manifest import Config, Layer, Manifest
from tropa.library.name import InvalidName, Name, Source, source
from tropa.library.recipe import Recipe
from tropa.library.status import SUCCESS, Status


@dataclass(frozen=True, slots=True)
class _Base:
    """Layers to start from, and what the config says about them."""

    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


def create(library: Library, recipe: Recipe) -> Iterator[Status]:
    """Make the model, telling how it goes; ends with `success`, or by raising. Each step may block on the
    disk.

    Dropping the iterator half-way leaves no model, and no harm: blobs that nobody names are pruned.
    """
    with library.store.claim() as claim:
        if recipe.base:
            base = _from_model(library, recipe.base, claim)
        else:
            base = yield from _from_files(library, recipe, claim)
        store = library.store.blobs
        layers: list[Layer] = []
        created: set[str] = set()
        for media_type, data in _texts(library, recipe, base):
            digest = Digest.of(data)
            claim.add(digest)
            if store.put_bytes(data).created:
                created.add(str(digest))
            layers.append(Layer(media_type, str(digest), len(data)))
        layers = [*_kept(recipe, base), *layers]
        for layer in layers:
            verb = "creating new" if layer.digest in created else "using existing"
            yield Status(f"{verb} layer {layer.digest}")
        config = _config(recipe, base, layers)
        claim.add(Digest.of(config))
        store.put_bytes(config)
        yield Status("writing manifest")
        data = manifest.compose(Layer(manifest.CONFIG, str(Digest.of(config)), len(config)), layers)
        library.store.write(library.resolve(recipe.name), data, claim=claim, prune=library.prune)
    yield SUCCESS


def _from_model(library: Library, text: str, claim: Claim) -> _Base:
    """All layers of an existing model, each marked with where it is from."""
    try:
        base, where = source(text)
    except InvalidName as error:
        raise InvalidName(text) from error
    if where is Source.CLOUD:
        raise CloudDisabled
    name = Name.parse(base)
    contents = library.contents(name)
    if contents is not None:
        data = contents.manifest
    elif (found := library.store.find(name)) is not None:
        data = library.store.read(found.path)
    else:
        raise ModelNotFound(text)
    made = manifest.parse(data)
    parts = {layer.blob for layer in made.layers or ()}
    claim.add(*made.digests())
    if contents is not None:
        library.unpack(contents, parts)
    for digest in parts:
        if not library.store.blobs.keep(digest):
            raise BlobNotFound(digest)
    short = library.resolve(name).short
    layers = tuple(msgspec.structs.replace(layer, source=short) for layer in made.layers or ())
    return _Base(layers, _config_of(library, made, contents))


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


def _from_files(library: Library, recipe: Recipe, claim: Claim) -> Generator[Status, None, _Base]:
    """GGUF files that were uploaded before: one model, and perhaps its projector."""
    layers: list[Layer] = []
    models: list[Header] = []
    for file in recipe.files:
        if file.lower().endswith(".safetensors"):
            raise NotSupportedYet(f"importing safetensors ({file})", hint="convert the model to GGUF first")
    for file, digest in recipe.files.items():
        yield Status("parsing GGUF")
        claim.add(digest)
        if not library.store.blobs.keep(digest):
            raise BlobNotFound(digest)
        header = _checked(library, file, digest)
        media_type = manifest.PROJECTOR if header.kind is Kind.PROJECTOR else manifest.MODEL
        layers.append(Layer(media_type, str(digest), library.store.blobs.size(digest)))
        models += [header] if header.kind is Kind.MODEL else []
    if not models:
        raise InvalidRecipe(
            f"{', '.join(recipe.files)}: a projector alone is no model",
            hint="give the GGUF of the language model as well (a second FROM line)",
        )
    if len(models) > 1:
        raise InvalidRecipe(f"{', '.join(recipe.files)}: more than one model; a model is made from one")
    layers.sort(key=lambda layer: layer.media_type != manifest.MODEL)
    model = models[0]
    return _Base(
        tuple(layers),
        {
            "model_format": "gguf",
            "model_family": model.architecture,
            "model_families": [model.architecture],
            "model_type": parameter_size(model.parameter_count),
            "file_type": model.file_type,
        },
    )


def _checked(library: Library, file: str, digest: Digest) -> Header:
    """The header of an uploaded file, if Tropa can use it. Errors name the file as its owner knows it."""
    try:
        header = library.headers.of(library.store.blobs.path(digest))
    except InvalidGGUF as error:
        reason = error.reason
        if isinstance(error, NotGGUF):
            prefix = (
                "supplied file was not in GGUF format" if file.lower().endswith(".gguf") else "unknown type"
            )
            reason = f"{prefix}: {reason}"
        raise type(error)(Path(file), reason, hint=error.hint) from error
    if header.kind is Kind.ADAPTER:
        raise NotSupportedYet(f"a LoRA adapter ({file})")
    if not header.tensors:
        raise InvalidRecipe(f"{file}: the file holds no weights (a vocabulary?)")
    known = library.architectures
    if header.kind is Kind.MODEL and known is not None and header.architecture not in known:
        raise _unsupported(file, header.architecture, known)
    return header


def _unsupported(file: str, architecture: str, known: frozenset[str]) -> UnsupportedArchitecture:
    from difflib import get_close_matches

    near = get_close_matches(architecture, sorted(known), n=4, cutoff=0.5)
    examples = list(dict.fromkeys([*near, *(each for each in COMMON if each in known)]))
    return UnsupportedArchitecture(
        f'unsupported architecture "{architecture}": {file} needs an engine that knows it; ours ({ENGINE}) '
        f"knows {len(known)} others: {', '.join(examples)} …",
        hint="use a newer Tropa, or name a llama-server that knows it in TROPA_LLAMA_SERVER",
    )


def _texts(library: Library, recipe: Recipe, base: _Base) -> list[tuple[str, bytes]]:
    """The new layers of texts and options, in the order clients know."""
    texts: list[tuple[str, bytes]] = []
    if recipe.system:
        texts.append((manifest.SYSTEM, recipe.system.encode(errors="replace")))
    texts += [(manifest.LICENSE, text.encode(errors="replace")) for text in recipe.licenses]
    if recipe.parameters:
        options = _options(library, base) | dict(recipe.parameters)
        texts.append((manifest.PARAMS, manifest.go_json(dict(sorted(options.items())))))
    if recipe.messages:
        said = [{"role": each.role, "content": each.content} for each in recipe.messages]
        texts.append((manifest.MESSAGES, manifest.go_json(said)))
    return texts


def _options(library: Library, base: _Base) -> dict[str, object]:
    options: dict[str, object] = {}
    for layer in base.layers:
        if layer.media_type == manifest.PARAMS:
            data = library.store.blobs.read(layer.blob, TEXT_LIMIT)
            try:
                options |= msgspec.json.decode(data, type=dict[str, object])
            except (ValueError, RecursionError) as error:
                raise InvalidManifest(f"invalid params layer {layer.digest}: {error}") from error
    return options


def _kept(recipe: Recipe, base: _Base) -> list[Layer]:
    """The base's layers, without those that new ones replace. Licenses add up."""
    replaced = {
        manifest.SYSTEM: bool(recipe.system),
        manifest.PARAMS: bool(recipe.parameters),
        manifest.MESSAGES: bool(recipe.messages),
    }
    return [layer for layer in base.layers if not replaced.get(layer.media_type)]


def _config(recipe: Recipe, base: _Base, layers: list[Layer]) -> bytes:
    """The base's config with the overrides of the request; capabilities add up."""
    fields = {key: value for key, value in {**base.config, **recipe.info}.items() if value is not None}
    if recipe.capabilities:
        fields["capabilities"] = list(
            dict.fromkeys([*(base.config.get("capabilities") or ()), *recipe.capabilities])
        )
    return manifest.compose_config(msgspec.convert(fields, type=Config), layers, fields)
