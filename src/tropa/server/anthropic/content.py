"""Messages of this dialect, made of blocks, as native ones."""

from __future__ import annotations

from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import image
from tropa.server.reading import BadField, Fields, kind_of

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ROLES = ("user", "assistant", "system")
_UNREADABLE = "redacted_thinking"
"""Only Anthropic's servers can read it: there is nothing to tell a model here."""


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
        texts.append(_text(block))
    return "".join(texts)


def _messages(fields: Fields, names: dict[str, str]) -> list[dict[str, Any]]:
    """One message, and one more for each tool's result in it. `names` are the tools of the calls so far, by the call's
    id; this adds to them."""
    role = (fields.text("role") or "").lower()
    if role not in _ROLES:
        what = f'must be one of {", ".join(_ROLES)}, not "{role[:80]}"' if role else "is required"
        raise BadField(fields.at("role"), what)
    content = fields.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}] if content else []
    if content is None:
        raise BadField(fields.at("content"), "is required: a string or a list of blocks")
    if not isinstance(content, list):
        raise BadField(fields.at("content"), f"must be a string or a list of blocks, not {kind_of(content)}")
    turn = _Turn(role, names)
    for block in fields.objects("content"):
        turn.add(block)
    return turn.whole()


class _Turn:
    """One message of this dialect, block by block."""

    def __init__(self, role: str, names: dict[str, str]) -> None:
        self._role = role
        self._names = names
        self._told: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._begin()

    def _begin(self) -> None:
        self._texts: list[str] = []
        self._images: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._thinking = ""

    def add(self, block: Fields) -> None:
        """Blocks in their order."""
        match block.text("type"):
            case "text":
                self._texts.append(_text(block))
            case "image":
                self._images.append(_image(block))
            case "document":
                self._texts.append(_document(block))
            case "search_result":
                self._texts.append(_found(block))
            case "thinking":
                self._thinking = block.text("thinking") or ""
            case "tool_use" | "server_tool_use":
                self._calls.append(_call(block, self._names))
            case "tool_result":
                self._results.append(_result(block, self._names))
            case "web_search_tool_result":
                # A server of Anthropic's searched in the middle of the turn: to the model the search is a tool's.
                self._results.append(_searched(block, self._names))
                self._told += self._own() + self._results
                self._results = []
                self._begin()
            case None:
                raise BadField(block.at("type"), "is required")
            case str(kind) if kind != _UNREADABLE:
                raise BadField(block.at("type"), f'is "{kind[:80]}", which is not supported')

    def whole(self) -> list[dict[str, Any]]:
        """The native messages. What a tool found comes before what the user says about it."""
        if self._role == "user":
            return self._told + self._results + self._own()
        return self._told + self._own() + self._results

    def _own(self) -> list[dict[str, Any]]:
        said: dict[str, Any] = {"role": self._role, "content": "".join(self._texts)}
        if self._images:
            said["images"] = self._images
        if self._thinking:
            said["thinking"] = self._thinking
        if self._calls:
            said["tool_calls"] = self._calls
        return [said] if len(said) > 2 or said["content"] else []


def _text(block: Fields) -> str:
    text = block.text("text")
    if text is None:
        raise BadField(block.at("text"), "is required")
    return text


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
    match source.text("type") if source else None:
        case "text" if source:
            text = source.text("data") or ""
        case "content" if source and isinstance(source.get("content"), str):
            text = source.text("content") or ""
        case "content" if source:
            text = "\n".join(_parts(source))
        case _:
            raise BadField(fields.at("source"), "is not supported: only documents of plain text can be read")
    return _titled(fields.text("title"), fields.text("context"), text)


def _found(fields: Fields) -> str:
    """A result of a search that the client did."""
    return _titled(fields.text("title"), fields.text("source"), "\n".join(_parts(fields)))


def _parts(fields: Fields) -> list[str]:
    """The texts in `content`; anything else in it can't be read in this place."""
    texts = []
    for block in fields.objects("content"):
        if (kind := block.text("type")) != "text":
            raise BadField(block.at("type"), f'is "{kind}": only text can be read here')
        texts.append(_text(block))
    return texts


def _titled(*parts: str | None) -> str:
    """Set apart from what stands before and behind it."""
    return "\n\n" + "\n".join(part for part in parts if part) + "\n"


def _searched(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    """What a search of Anthropic's found: addresses and titles; the texts only its servers can read."""
    ident = fields.required_text("tool_use_id")
    content = fields.get("content")
    if isinstance(content, dict):
        text = f"Error: {Fields(content, fields.at('content')).text('error_code') or 'unavailable'}"
    else:
        found = ((each.text("title"), each.text("url")) for each in fields.objects("content"))
        text = "\n".join("\n".join(part for part in each if part) for each in found)
    message: dict[str, Any] = {"role": "tool", "content": text, "tool_call_id": ident}
    return message | ({"tool_name": names[ident]} if ident in names else {})


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
                    texts.append(_text(block))
                case "image":
                    images.append(_image(block))
                case "document":
                    texts.append(_document(block))
                case "search_result":
                    texts.append(_found(block))
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
