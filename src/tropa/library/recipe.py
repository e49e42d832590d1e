"""A create request, checked as far as it can be without looking at any file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from tropa.library.digest import Digest
from tropa.library.errors import InvalidRecipe, NotSupportedYet
from tropa.library.model import Message
from tropa.library.name import Name

# Fields that the reference follows and we not yet. Empty values mean "keep the base's" there, so they pass.
_LATER = {
    "template": "TEMPLATE",
    "renderer": "RENDERER",
    "parser": "PARSER",
    "requires": "REQUIRES",
    "quantize": "quantizing (quantize)",
    "quantization": "quantizing (quantization)",
    "draft_files": "DRAFT",
    "draft_quantize": "DRAFT",
    "remote_host": "a model on another server (remote_host)",
}
_INFO_TEXTS = {
    "model_family": "model_family",
    "base_name": "base_name",
    "quantization_level": "file_type",
    "parameter_size": "model_type",
}
_INFO_NUMBERS = ("context_length", "embedding_length")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a new model is to be made of: a base or files, and what is put on top of them."""

    name: Name
    base: str | None = None
    """The name of an existing model. It wins over files."""
    files: Mapping[str, Digest] = field(default_factory=dict)
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()
    info: Mapping[str, object] = field(default_factory=dict)
    """Config fields to override, already under the names they have in the config."""
    capabilities: tuple[str, ...] = ()
    """Added to those of the base."""


def recipe(fields: Mapping[str, object]) -> Recipe:
    """Check the decoded body of `POST /api/create`.

    Raises InvalidName, InvalidDigest, InvalidRecipe or NotSupportedYet.
    """
    name = Name.parse(_text(fields, "model") or _text(fields, "name"))
    base = _text(fields, "from")
    files = _files(_mapping(fields, "files"))
    if fields.get("adapters") is not None and not _mapping(fields, "adapters"):
        raise InvalidRecipe("unknown type", hint="adapters is empty")
    if not base and fields.get("files") is None:
        raise InvalidRecipe("neither 'from' or 'files' was specified")
    if not base and not files:
        raise InvalidRecipe("unknown type", hint="files is empty")
    if fields.get("adapters") is not None:
        raise NotSupportedYet("ADAPTER")
    for key, what in _LATER.items():
        if fields.get(key):
            raise NotSupportedYet(what)
    return Recipe(
        name=name,
        base=base or None,
        files=files,
        system=_text(fields, "system"),
        parameters={key: value for key, value in _mapping(fields, "parameters").items() if value is not None},
        messages=_messages(fields.get("messages")),
        licenses=_licenses(fields.get("license")),
        info=_info(_mapping(fields, "info")),
        capabilities=_capabilities(_mapping(fields, "info")),
    )


def _files(fields: Mapping[str, object]) -> dict[str, Digest]:
    for path in fields:
        windows = PureWindowsPath(path)
        outside = windows.is_absolute() or windows.drive or windows.root or ".." in windows.parts
        if not path or outside or PurePosixPath(path).is_absolute() or "\0" in path:
            raise InvalidRecipe("file path must be relative")
    return {path: Digest.parse(digest) for path, digest in fields.items()}


def _licenses(value: object) -> tuple[str, ...]:
    texts: list[str] = []
    for text in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(text, str):
            raise InvalidRecipe(f"json: cannot unmarshal {_json_kind(text)} into Go value of type string")
        texts.append(text)
    return tuple(text for text in texts if text)


def _messages(value: object) -> tuple[Message, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidRecipe("messages must be a list of objects with role and content")
    return tuple(Message(_text(each, "role"), _text(each, "content")) for each in value)


def _info(fields: Mapping[str, object]) -> dict[str, object]:
    overrides: dict[str, object] = {}
    for key, inner in _INFO_TEXTS.items():
        if (value := fields.get(key)) is not None:
            if not isinstance(value, str):
                raise InvalidRecipe(f'info field "{key}" must be a string')
            overrides[inner] = value
    for key in _INFO_NUMBERS:
        if (value := fields.get(key)) is not None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidRecipe(f'info field "{key}" must be a number')
            if value < 0 or not float(value).is_integer():
                raise InvalidRecipe(f'info field "{key}" must be a non-negative integer')
            overrides[key] = int(value)
    return overrides


def _capabilities(fields: Mapping[str, object]) -> tuple[str, ...]:
    value = fields.get("capabilities")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidRecipe('info field "capabilities" must be a list of strings')
    return tuple(value)


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _mismatch(value, key, "string")
    return value


def _mapping(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _mismatch(value, key, "map[string]interface {}")
    return value


def _mismatch(value: object, key: str, wanted: str) -> InvalidRecipe:
    where = f"Go struct field CreateRequest.{key} of type {wanted}"
    return InvalidRecipe(f"json: cannot unmarshal {_json_kind(value)} into {where}")


def _json_kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"
