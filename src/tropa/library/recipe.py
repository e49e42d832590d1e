"""A create request, checked as far as it can be without looking at any file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from tropa.library.digest import Digest
from tropa.library.errors import InvalidRecipe
from tropa.library.model import Message
from tropa.library.modelfile.parameters import misfit
from tropa.library.name import Name
from tropa.library.requirement import requirement
from tropa.quantize.filetype import FileType, file_type

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
    adapters: Mapping[str, Digest] = field(default_factory=dict)
    """The files of one LoRA: a GGUF, or the folder that training left."""
    drafts: Mapping[str, Digest] = field(default_factory=dict)
    """The files of a small model that guesses ahead."""
    quantize: FileType | None = None
    draft_quantize: FileType | None = None
    template: str = ""
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()
    info: Mapping[str, object] = field(default_factory=dict)
    """Config fields to override, already under the names they have in the config."""
    capabilities: tuple[str, ...] = ()
    """Added to those of the base."""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    """Without a leading `v`."""


def recipe(fields: Mapping[str, object]) -> Recipe:
    """Check the decoded body of `POST /api/create`. Empty texts mean: as the base has it.

    Raises InvalidName, InvalidDigest, InvalidRecipe or UnknownQuantization.
    """
    name = Name.parse(_text(fields, "model") or _text(fields, "name"))
    if remote := _text(fields, "remote_host"):
        raise InvalidRecipe(
            f"remote_host: a model that runs on another server ({remote[:100]}) can't be made here",
            hint="Tropa runs models on this machine; point the client at that server instead",
        )
    base = _text(fields, "from")
    files = _files(_mapping(fields, "files"))
    adapters = _files(_mapping(fields, "adapters"))
    drafts = _files(_mapping(fields, "draft_files"))
    if not base and fields.get("files") is None:
        raise InvalidRecipe("neither 'from' or 'files' was specified")
    for key, given, needed in (("files", files, not base), ("adapters", adapters, True)):
        if fields.get(key) is not None and not given and needed:
            raise InvalidRecipe("unknown type", hint=f"{key} is empty")
    if fields.get("draft_quantize") and not drafts:
        raise InvalidRecipe("--draft-quantize requires a DRAFT model")
    return Recipe(
        name=name,
        base=base or None,
        files=files,
        adapters=adapters,
        drafts=drafts,
        quantize=_quantization(fields, "quantize") or _quantization(fields, "quantization"),
        draft_quantize=_quantization(fields, "draft_quantize"),
        template=_template(_text(fields, "template")),
        system=_text(fields, "system"),
        parameters=_parameters(_mapping(fields, "parameters")),
        messages=_messages(fields.get("messages")),
        licenses=_licenses(fields.get("license")),
        info=_info(_mapping(fields, "info")),
        capabilities=_capabilities(_mapping(fields, "info")),
        renderer=_text(fields, "renderer"),
        parser=_text(fields, "parser"),
        requires=requirement(_text(fields, "requires")),
    )


def _quantization(fields: Mapping[str, object], key: str) -> FileType | None:
    text = _text(fields, key)
    return file_type(text) if text else None


def _template(text: str) -> str:
    """A template as it was given, if it is one."""
    if text:
        from tropa.errors import TropaError
        from tropa.templates.template import Template

        try:
            Template.parse(text)
        except TropaError as error:
            raise InvalidRecipe(f"template error: {error}", hint=error.hint) from error
    return text


def _parameters(fields: Mapping[str, object]) -> dict[str, object]:
    """Options by name. What the engine knows must have the right type; what it does not know is kept."""
    options = {key: value for key, value in fields.items() if value is not None}
    for key, value in options.items():
        if wanted := misfit(key, value):
            raise InvalidRecipe(
                f"parameter '{key}' must be {wanted}, not {_json_kind(value)} {str(value)[:60]!r}"
            )
    return options


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
            if not 0 <= value < 1 << 63 or not float(value).is_integer():
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
