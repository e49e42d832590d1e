"""Messages of this dialect, made of blocks, as native ones."""

from __future__ import annotations

from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import image
from tropa.server.reading import BadField, Fields, kind_of

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
# What a server of Anthropic's ran for itself: there is nothing to tell a model here.
_SKIPPED = ("redacted_thinking", "server_tool_use", "web_search_tool_result")


def conversation(fields: Fields) -> list[dict[str, Any]]:
    """`system` and `messages`, at least one of them."""
    found: list[dict[str, Any]] = []
    if text := _system(fields):
        found.append({"role": "system", "content": text})
    messages = fields.objects("messages")
    if not messages:
        raise BadField(fields.at("messages"), "is required: at least one message")
    names: dict[str, str] = {}
    for message in messages:
        found += _messages(message, names)
    if not any(each["role"] != "system" for each in found):
        raise BadField(
            fields.at("messages"), "holds nothing that could be answered: all its content is empty"
        )
    return found


def _system(fields: Fields) -> str:
    value = fields.get("system")
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise BadField(
            fields.at("system"), f"must be a string or a list of text blocks, not {kind_of(value)}"
        )
    texts = []
    for block in fields.objects("system"):
        if block.text("type") not in (None, "text"):
            raise BadField(block.at("type"), 'must be "text"')
        texts.append(block.text("text") or "")
    return "".join(texts)


def _messages(fields: Fields, names: dict[str, str]) -> list[dict[str, Any]]:
    """One message, and one more for each tool's result in it. `names` are the tools of the calls so far, by the call's
    id; this adds to them."""
    role = (fields.choice("role", ("user", "assistant", "system", "User", "Assistant")) or "").lower()
    if not role:
        raise BadField(fields.at("role"), 'is required: "user" or "assistant"')
    content = fields.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}] if content else []
    if content is None:
        raise BadField(fields.at("content"), "is required: a string or a list of blocks")
    if not isinstance(content, list):
        raise BadField(fields.at("content"), f"must be a string or a list of blocks, not {kind_of(content)}")
    texts: list[str] = []
    images: list[str] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    thinking = ""
    for block in fields.objects("content"):
        match block.text("type"):
            case "text":
                texts.append(block.text("text") or "")
            case "image":
                images.append(_image(block))
            case "document":
                texts.append(_document(block))
            case "thinking":
                thinking = block.text("thinking") or ""
            case "tool_use":
                calls.append(_call(block, names))
            case "tool_result":
                results.append(_result(block, names))
            case None:
                raise BadField(block.at("type"), "is required")
            case str(kind) if kind not in _SKIPPED:
                raise BadField(block.at("type"), f'is "{kind[:80]}", which is not supported')
    said: dict[str, Any] = {"role": role, "content": "".join(texts)}
    if images:
        said["images"] = images
    if thinking:
        said["thinking"] = thinking
    if calls:
        said["tool_calls"] = calls
    own = [said] if len(said) > 2 or said["content"] else []
    # What a tool found comes before what the user says about it.
    return results + own if role == "user" else own + results


def _image(fields: Fields) -> str:
    source = fields.object("source")
    if source is None:
        raise BadField(fields.at("source"), "invalid image source: is required")
    if (kind := source.text("type")) != "base64":
        raise BadField(
            source.at("type"), f"invalid image source type: {kind}. Only base64 images are supported."
        )
    source.choice("media_type", IMAGES)
    try:
        return image(source.required_text("data"), source.at("data"))
    except BadField:
        raise
    except BadRequest as exc:
        raise BadField(source.at("data"), f"invalid base64 image data: {exc}") from exc


def _document(fields: Fields) -> str:
    source = fields.object("source")
    if source is None or source.text("type") != "text":
        raise BadField(fields.at("source"), "is not supported: only documents of plain text can be read")
    title = fields.text("title")
    text = source.text("data") or ""
    return f"\n\n{title}\n{text}\n" if title else f"\n\n{text}\n"


def _call(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    ident = fields.text("id")
    if not ident:
        raise BadField(fields.at("id"), "tool_use block missing required 'id' field")
    name = fields.text("name")
    if not name:
        raise BadField(fields.at("name"), "tool_use block missing required 'name' field")
    names[ident] = name
    return {"id": ident, "function": {"name": name, "arguments": fields.mapping("input") or {}}}


def _result(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    ident = fields.text("tool_use_id")
    if not ident:
        raise BadField(fields.at("tool_use_id"), "is required")
    content = fields.get("content")
    texts: list[str] = []
    images: list[str] = []
    if isinstance(content, str):
        texts.append(content)
    else:
        for block in fields.objects("content"):
            match block.text("type"):
                case "text":
                    texts.append(block.text("text") or "")
                case "image":
                    images.append(_image(block))
                case "document":
                    texts.append(_document(block))
                case kind:
                    raise BadField(block.at("type"), f'is "{kind}": a result holds text and images')
    text = "\n".join(texts)
    if fields.flag("is_error"):  # the model has no other way to know
        text = f"Error: {text}"
    message: dict[str, Any] = {"role": "tool", "content": text, "tool_call_id": ident}
    if name := names.get(ident):
        message["tool_name"] = name
    if images:
        message["images"] = images
    return message
