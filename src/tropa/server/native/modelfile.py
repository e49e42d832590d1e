"""`modelfile` in a create request, as clients of the reference's 0.2 send it: the text of one, where newer clients
send fields. What its FROM, ADAPTER and DRAFT lines call files are blobs that were uploaded before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropa.library.errors import InvalidRecipe
from tropa.library.modelfile.request import looks_like_path, said
from tropa.library.modelfile.syntax import Command, parse

MOST = 1 << 20
"""Characters. A template or a license that is longer can come as a field."""
_STRUCTURED = ("from", "files")


def translated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same request in today's fields, which win where both are there. Raises InvalidModelfile, InvalidRecipe."""
    rest = dict(fields)
    text = rest.pop("modelfile", "")
    if not text or any(rest.get(name) is not None for name in _STRUCTURED):
        return rest
    if len(text) > MOST:
        raise InvalidRecipe(f"modelfile has {len(text)} characters: {MOST} are allowed")
    modelfile = parse(text)
    found, _ = said(modelfile)
    for command in modelfile.of("from"):
        if digest := _uploaded(command):
            files = found.setdefault("files", {})
            files[f"{len(files)}.gguf"] = digest
        else:
            found["from"] = command.value
    for kind, field in (("adapter", "adapters"), ("draft", "draft_files")):
        for command in modelfile.of(kind):
            found[field] = {f"{kind}.gguf": _uploaded(command)}
    return {**rest, **{name: value for name, value in found.items() if not rest.get(name)}}


def _uploaded(command: Command) -> str | None:
    """The digest that stands for a file; None for a model's name."""
    if command.value.startswith("@"):
        return command.value[1:]
    if command.kind == "from" and not looks_like_path(command.value):
        return None
    raise InvalidRecipe(
        f"{command.kind.upper()} {command.value}: a server takes no file by its path",
        hint="upload it (POST /api/blobs/sha256:...) and name it by its digest, as in FROM @sha256:...",
    )
