"""Blocks of content of this dialect, each by itself: what a model is told of it."""

from __future__ import annotations

from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import image as base64_image
from tropa.server.reading import BadField, Fields

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def text(fields: Fields) -> str:
    """It may be empty, but must be there."""
    if "text" not in fields:
        raise BadField(fields.at("text"), "is required")
    return fields.text("text") or ""


def image(fields: Fields) -> str:
    """In base64."""
    source = fields.object("source")
    if source is None:
        raise BadField(fields.at("source"), "invalid image source: is required")
    if (kind := source.text("type")) != "base64":
        raise BadField(
            source.at("type"), f"invalid image source type: {kind}. Only base64 images are supported."
        )
    source.choice("media_type", IMAGES)
    try:
        return base64_image(source.required_text("data"), source.at("data"))
    except BadField:
        raise
    except BadRequest as exc:
        raise BadField(source.at("data"), f"invalid base64 image data: {exc}") from exc


def document(fields: Fields) -> str:
    """A text that the user gave along, with its title."""
    source = fields.object("source")
    match source.text("type") if source else None:
        case "text" if source:
            words = source.text("data") or ""
        case "content" if source and isinstance(source.get("content"), str):
            words = source.text("content") or ""
        case "content" if source:
            words = "\n".join(_parts(source))
        case _:
            raise BadField(fields.at("source"), "is not supported: only documents of plain text can be read")
    return _titled(fields.text("title"), fields.text("context"), words)


def found(fields: Fields) -> str:
    """A result of a search that the client did."""
    return _titled(fields.text("title"), fields.text("source"), "\n".join(_parts(fields)))


def _parts(fields: Fields) -> list[str]:
    """The texts in `content`; anything else in it can't be read in this place."""
    texts = []
    for block in fields.objects("content"):
        if (kind := block.text("type")) != "text":
            raise BadField(block.at("type"), f'is "{kind}": only text can be read here')
        texts.append(text(block))
    return texts


def _titled(*parts: str | None) -> str:
    """Set apart from what stands before and behind it."""
    return "\n\n" + "\n".join(part for part in parts if part) + "\n"


def call(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    """A call in the native shape. `names` are the tools of the calls so far, by the call's id; this adds to them."""
    ident = fields.text("id")
    if not ident:
        raise BadField(fields.at("id"), "tool_use block missing required 'id' field")
    name = fields.text("name")
    if not name:
        raise BadField(fields.at("name"), "tool_use block missing required 'name' field")
    names[ident] = name
    return {"id": ident, "function": {"name": name, "arguments": fields.mapping("input") or {}}}


def result(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    """What a tool found, as a message of its own."""
    content = fields.get("content")
    texts: list[str] = []
    images: list[str] = []
    if isinstance(content, str):
        texts.append(content)
    else:
        for block in fields.objects("content"):
            match block.text("type"):
                case "text":
                    texts.append(text(block))
                case "image":
                    images.append(image(block))
                case "document":
                    texts.append(document(block))
                case "search_result":
                    texts.append(found(block))
                case kind:
                    raise BadField(block.at("type"), f'is "{kind}": a result holds text and images')
    words = "\n".join(texts)
    if fields.flag("is_error"):  # the model has no other way to know
        words = f"Error: {words}"
    message = _answer(fields, names, words)
    if images:
        message["images"] = images
    return message


def searched(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    """What a search of Anthropic's found, as a message of its own: titles and addresses. The texts only its servers can
    read."""
    content = fields.get("content")
    if isinstance(content, dict):
        told = Fields(content, fields.at("content")).text("error_code")
        return _answer(fields, names, f"Error: {told or 'unavailable'}")
    lines = (each.text(name) for each in fields.objects("content") for name in ("title", "url"))
    return _answer(fields, names, "\n".join(line for line in lines if line))


def _answer(fields: Fields, names: dict[str, str], words: str) -> dict[str, Any]:
    ident = fields.required_text("tool_use_id")
    message: dict[str, Any] = {"role": "tool", "content": words, "tool_call_id": ident}
    return message | ({"tool_name": names[ident]} if ident in names else {})
