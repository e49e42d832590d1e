"""Messages of this dialect, made of blocks, as native ones."""

from __future__ import annotations

from typing import Any

from tropa.server.anthropic import parts
from tropa.server.reading import BadField, Fields, kind_of

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
    found = _joined(found)
    if not any(each["role"] != "system" for each in found):
        raise BadField(
            fields.at("messages"), "holds nothing that could be answered: all its content is empty"
        )
    return found


def _joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role as one turn, as this dialect has it: most templates know no other order than by turns."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if found and message["role"] == found[-1]["role"] and message["role"] in ("user", "assistant"):
            last, found[-1] = found[-1], {**found[-1], **message}
            for name in ("content", "thinking"):
                if name in found[-1]:
                    found[-1][name] = "\n\n".join(filter(None, (last.get(name), message.get(name))))
            for name in ("images", "tool_calls"):
                if both := [*last.get(name, ()), *message.get(name, ())]:
                    found[-1][name] = both
        else:
            found.append(message)
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
        texts.append(parts.text(block))
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
                self._texts.append(parts.text(block))
            case "image":
                self._images.append(parts.image(block))
            case "document":
                self._texts.append(parts.document(block))
            case "search_result":
                self._texts.append(parts.found(block))
            case "thinking":
                self._thinking = block.text("thinking") or ""
            case "tool_use" | "server_tool_use":
                self._calls.append(parts.call(block, self._names))
            case "tool_result":
                self._results.append(parts.result(block, self._names))
            case "web_search_tool_result":
                # A server of Anthropic's searched in the middle of the turn: to the model the search is a tool's.
                self._results.append(parts.searched(block, self._names))
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
