"""`POST /api/create`: from a recipe to a model in the store.

Nothing is registered before everything was looked at: the manifest is the last thing written. What the new
model is made of is claimed first, so that no other process removes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import msgspec

from tropa.library import manifest
from tropa.library.assembly import TEXT_LIMIT
from tropa.library.base import Base, Pull, from_files, from_model
from tropa.library.bench import Bench
from tropa.library.companions import adapter, draft
from tropa.library.errors import InvalidManifest
from tropa.library.library import Library
from tropa.library.manifest import Config, Layer
from tropa.library.modelfile.parameters import KNOWN
from tropa.library.modelfile.suggest import did_you_mean
from tropa.library.recipe import Recipe
from tropa.library.status import SUCCESS, Status


def create(library: Library, recipe: Recipe, *, pull: Pull | None = None) -> Generator[Status, None, None]:
    """Make the model, telling how it goes; ends with `success`, or by raising. Each step may block on the
    disk.

    A base that is not here is fetched with `pull`. Dropping the iterator half-way leaves no model, and no harm:
    blobs that nobody names are pruned.
    """
    with library.store.claim() as claim, Bench(library, claim) as bench:
        if recipe.base:
            base = yield from from_model(bench, recipe, claim, pull)
        else:
            base = yield from from_files(bench, recipe)
        companions = yield from adapter(bench, recipe, base.layers)
        companions += yield from draft(bench, recipe)
        texts = [bench.text(kind, data) for kind, data in _texts(library, recipe, base)]
        layers = [*_kept(recipe, base), *companions, *texts]
        for layer in layers:
            verb = "creating new" if layer.digest in bench.created else "using existing"
            yield Status(f"{verb} layer {layer.digest}")
        for warning in _warnings(recipe):
            yield Status(f"warning: {warning}")
        config = bench.text(manifest.CONFIG, _config(recipe, base, layers))
        yield Status("writing manifest")
        data = manifest.compose(config, layers)
        library.store.write(library.resolve(recipe.name), data, claim=claim, prune=library.prune)
    yield SUCCESS


def _texts(library: Library, recipe: Recipe, base: Base) -> list[tuple[str, bytes]]:
    """The new layers of texts and options, in the order clients know."""
    texts: list[tuple[str, bytes]] = []
    if recipe.template:
        texts.append((manifest.TEMPLATE, recipe.template.encode(errors="replace")))
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


def _options(library: Library, base: Base) -> dict[str, object]:
    options: dict[str, object] = {}
    for layer in base.layers:
        if layer.media_type == manifest.PARAMS:
            data = library.store.blobs.read(layer.blob, TEXT_LIMIT)
            try:
                options |= msgspec.json.decode(data, type=dict[str, object])
            except (ValueError, RecursionError) as error:
                raise InvalidManifest(f"invalid params layer {layer.digest}: {error}") from error
    return options


def _kept(recipe: Recipe, base: Base) -> list[Layer]:
    """The base's layers, without those that new ones replace. Licenses and adapters add up."""
    replaced = {
        manifest.TEMPLATE: bool(recipe.template),
        manifest.PROMPT: bool(recipe.template),
        manifest.SYSTEM: bool(recipe.system),
        manifest.PARAMS: bool(recipe.parameters),
        manifest.MESSAGES: bool(recipe.messages),
        manifest.DRAFT: bool(recipe.drafts),
    }
    return [layer for layer in base.layers if not replaced.get(layer.media_type)]


def _warnings(recipe: Recipe) -> Iterator[str]:
    """What is kept although nothing here knows it."""
    for what, name in (("renderer", recipe.renderer), ("parser", recipe.parser)):
        if name:
            yield f"nothing here knows the {what} '{name}'; the model's template is used"
    for key in recipe.parameters:
        if key not in KNOWN:
            hint = did_you_mean(key, KNOWN)
            yield f"nothing here knows the parameter '{key}'" + (f" ({hint})" if hint else "")


def _config(recipe: Recipe, base: Base, layers: Sequence[Layer]) -> bytes:
    """The base's config with the overrides of the request; capabilities add up."""
    given = {"renderer": recipe.renderer, "parser": recipe.parser, "requires": recipe.requires}
    given = {key: value for key, value in given.items() if value}
    everything = {**base.config, **recipe.info, **given}
    fields = {key: value for key, value in everything.items() if value is not None}
    if recipe.capabilities:
        fields["capabilities"] = list(
            dict.fromkeys([*(base.config.get("capabilities") or ()), *recipe.capabilities])
        )
    return manifest.compose_config(msgspec.convert(fields, type=Config), list(layers), fields)
