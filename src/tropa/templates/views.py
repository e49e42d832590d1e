"""Messages, tools and calls as a template sees them: their fields, their methods, their JSON.

A view takes what a client sent, as decoded from JSON. Fields are made when they are first asked for: a template
that prints `.Tools` as JSON needs no properties. Integers become floats, as in Go; JSON shows them whole all the
same. A value of the wrong type reads as the empty one of the right type.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from tropa.templates.encode import encode
from tropa.templates.values import Entries, Exact, Items, Struct, Typed, View

_WHOLE = 1 << 53
_NONE: Mapping[str, Any] = {}
_STRING: Mapping[str, Callable[[Any], object]] = {"String": lambda view: view.shown()}
_TYPE_SCRIPT = {
    "string": "string", "number": "number", "integer": "number", "boolean": "boolean", "array": "any[]",
    "object": "Record<string, any>", "null": "null",
}  # fmt: skip


def data(value: object) -> Any:
    """JSON as decoded, with all numbers floats."""
    match value:
        case bool() | str() | float() | None:
            return value
        case int():
            return float(value) if -_WHOLE <= value <= _WHOLE else Exact.of(value)
        case Mapping():
            return {str(key): data(item) for key, item in value.items()}
        case list() | tuple():
            return [data(item) for item in value]
    raise TypeError(f"{type(value).__name__} does not come from JSON")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _NONE


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


class _ShownAsJSON(View):
    METHODS = _STRING

    def shown(self) -> str | None:
        return encode(self)


# Messages.


class Message(Struct):
    TYPE = "*template.templateMessage"
    POINTER = True
    COMPARABLE = True

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.message = message

    @cached_property
    def fields(self) -> Mapping[str, object]:
        get = self.message.get
        return {
            "Role": _text(get("role")),
            "Content": _text(get("content")),
            "Thinking": _text(get("thinking")),
            "Images": Images(images) if (images := get("images")) else _NO_IMAGES,
            "ToolCalls": Calls(map(Call, calls)) if (calls := get("tool_calls")) else _NO_CALLS,
            "ToolName": _text(get("tool_name")),
            "ToolCallID": _text(get("tool_call_id")),
        }


class Messages(Items):
    TYPE = "[]*template.templateMessage"


class Images(Items):
    """As they came, in base64 or as bytes. They are megabytes, and templates hardly ever look inside: whoever takes
    one out gets its bytes.
    """

    TYPE = "[]api.ImageData"

    def __iter__(self) -> Iterator[Any]:
        return map(picture, super().__iter__())

    def __getitem__(self, key: Any) -> Any:
        item = super().__getitem__(key)
        return item if isinstance(key, slice) else picture(item)

    def plain(self) -> object:
        return [*super().__iter__()] or None


def picture(image: object) -> bytes:
    """An image's bytes, from bytes or from base64."""
    if isinstance(image, bytes):
        return image
    try:
        return base64.b64decode(_text(image))
    except binascii.Error:
        return b""


class Calls(Items):
    TYPE = "[]template.templateToolCall"

    def plain(self) -> object:
        return [*self] or None


_NO_IMAGES, _NO_CALLS = Images(), Calls()


class Call(Struct):
    TYPE = "template.templateToolCall"

    def __init__(self, call: object) -> None:
        self.call = _map(call)

    @cached_property
    def fields(self) -> Mapping[str, object]:
        return {"ID": _text(self.call.get("id")), "Function": Called(_map(self.call.get("function")))}


class Called(Struct):
    """The function of a call. Printed, it is JSON that a model can read; as JSON, it has Go's field names."""

    TYPE = "template.templateToolCallFunction"

    def __init__(self, function: Mapping[str, Any]) -> None:
        self.function = function

    @cached_property
    def fields(self) -> Mapping[str, object]:
        index = self.function.get("index")
        return {
            "Index": index if type(index) is int else 0,
            "Name": _text(self.function.get("name")),
            "Arguments": Arguments(data(_map(self.function.get("arguments")))),
        }

    def shown(self) -> str | None:
        return encode(_Written(name=self.fields["Name"], arguments=self.fields["Arguments"]))


class Arguments(_ShownAsJSON, Entries):
    TYPE = "template.templateArgs"


class _Written(View):
    """JSON with the keys in the order given."""

    def __init__(self, **keys: object) -> None:
        self.keys = keys

    def plain(self) -> object:
        return self.keys


# Tools.


class Tools(_ShownAsJSON, Items):
    TYPE = "template.templateTools"

    def plain(self) -> object:
        return [*self] or None


class _Part(_ShownAsJSON, Struct):
    """A piece of a tool's description."""

    def __init__(self, part: object) -> None:
        self.part = _map(part)


class Tool(_Part):
    TYPE = "template.templateTool"

    @cached_property
    def fields(self) -> Mapping[str, object]:
        return {
            "Type": _text(self.part.get("type")),
            "Items": data(self.part.get("items")),
            "Function": Described(self.part.get("function")),
        }

    def plain(self) -> object:
        fields = self.fields
        return _kept({"type": fields["Type"], "items?": fields["Items"], "function": fields["Function"]})


class Described(_Part):
    """The function of a tool."""

    TYPE = "template.templateToolFunction"

    @cached_property
    def fields(self) -> Mapping[str, object]:
        return {
            "Name": _text(self.part.get("name")),
            "Description": _text(self.part.get("description")),
            "Parameters": Parameters(self.part.get("parameters")),
        }

    def plain(self) -> object:
        fields = self.fields
        return {
            "name": fields["Name"],
            "description": fields["Description"],
            "parameters": fields["Parameters"],
        }


class Parameters(_Part):
    TYPE = "template.templateToolFunctionParameters"

    @cached_property
    def fields(self) -> Mapping[str, object]:
        return {
            "Type": _text(self.part.get("type")),
            "Defs": data(self.part.get("$defs")),
            "Items": data(self.part.get("items")),
            "Required": [_text(name) for name in _list(self.part.get("required"))],
            "Properties": Properties(_properties(self.part.get("properties"))),
        }

    def plain(self) -> object:
        fields = self.fields
        return _kept(
            {
                "type": fields["Type"],
                "$defs?": fields["Defs"],
                "items?": fields["Items"],
                "required?": fields["Required"],
                "properties": fields["Properties"]
                if isinstance(self.part.get("properties"), Mapping)
                else None,
            }
        )


def _properties(value: object) -> Iterable[tuple[str, Property]]:
    return ((str(name), Property(each)) for name, each in _map(value).items())


class Properties(_ShownAsJSON, Entries):
    TYPE = "template.templateProperties"

    def missing(self) -> object:
        return Property(None)

    def plain(self) -> object:
        return {name: self[name] for name in sorted(self)}


class Nested(Properties):
    """The properties of a property: JSON keeps the order in which they came."""

    TYPE = "*api.ToolPropertiesMap"

    def plain(self) -> object:
        return {**self}


class Type(Items):
    """The types that a property may have."""

    TYPE = "api.PropertyType"
    METHODS = _STRING

    def shown(self) -> str | None:
        return "" if not self else str(self[0]) if len(self) == 1 else f"[{' '.join(self)}]"

    def plain(self) -> object:
        return self[0] if len(self) == 1 else [*self]


class Property(Typed):
    TYPE = "api.ToolProperty"
    METHODS: ClassVar[Mapping[str, Callable[[Any], object]]] = {
        "ToTypeScriptType": lambda view: view.type_script()
    }

    def __init__(self, part: object) -> None:
        self.part = _map(part)

    @cached_property
    def fields(self) -> Mapping[str, object]:
        get = self.part.get
        kind = get("type")
        nested = get("properties")
        return {
            "AnyOf": [Property(each) for each in _list(get("anyOf"))],
            "Type": Type([kind] if isinstance(kind, str) and kind else map(_text, _list(kind))),
            "Items": data(get("items")),
            "Description": _text(get("description")),
            "Enum": data(_list(get("enum"))),
            "Properties": Nested(_properties(nested)) if isinstance(nested, Mapping) else None,
            "Required": [_text(name) for name in _list(get("required"))],
        }

    def plain(self) -> object:
        fields = self.fields
        keys = ("anyOf?", "type?", "items?", "description?", "enum?", "properties?", "required?")
        return _kept(dict(zip(keys, fields.values(), strict=True)))

    def type_script(self) -> str:
        choices = self.fields["AnyOf"]
        if isinstance(choices, list) and choices:
            return " | ".join(each.type_script() for each in choices)
        kinds = self.fields["Type"]
        assert isinstance(kinds, Type)
        return " | ".join(_TYPE_SCRIPT.get(kind, "any") for kind in kinds) or "any"


def _kept(keys: dict[str, object]) -> dict[str, object]:
    """Without the empty ones among those marked with `?`."""
    return {
        key.removesuffix("?"): value
        for key, value in keys.items()
        if not key.endswith("?") or not (value is None or value in ("", [], ()))
    }
