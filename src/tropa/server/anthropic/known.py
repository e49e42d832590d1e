"""Tools that models of Anthropic's know by heart and the client runs: to any other model their input has to be told."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_LINE = {"type": "integer", "minimum": 0}
_EDITS: dict[str, Any] = {
    "path": {"type": "string", "description": "Absolute path of a file or folder"},
    "file_text": {"type": "string", "description": "create: the whole content"},
    "old_str": {"type": "string", "description": "str_replace: the text to replace, which occurs once"},
    "new_str": {"type": "string", "description": "str_replace: what stands there then"},
    "insert_line": {**_LINE, "description": "insert: the line to insert after; 0: at the start"},
    "insert_text": {"type": "string", "description": "insert: the text"},
    "view_range": {"type": "array", "items": {"type": "integer"}, "description": "view: first and last line"},
}


def _commands(*names: str, **more: Any) -> dict[str, Any]:
    properties = {"command": {"type": "string", "enum": [*names]}, **_EDITS, **more}
    return {"type": "object", "properties": properties, "required": ["command"]}


_KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "bash_": (
        "Runs a command in a shell that stays open between calls.",
        {
            "type": "object",
            "properties": {
                "command": _TEXT,
                "restart": {"type": "boolean", "description": "Start a new shell instead"},
            },
        },
    ),
    "text_editor_": (
        "Views, creates and edits text files.",
        _commands("view", "create", "str_replace", "insert"),
    ),
    "memory_": (
        "Keeps notes in files under /memories between conversations.",
        _commands(
            *("view", "create", "str_replace", "insert", "delete", "rename"), old_path=_TEXT, new_path=_TEXT
        ),
    ),
}


def told(kind: str) -> tuple[str, dict[str, Any]] | None:
    """Description and schema of a tool of this type, whatever its date; None: it is not known."""
    return next((known for start, known in _KNOWN.items() if kind.startswith(start)), None)
