"""Fields that this server can't honour, and why. To ignore one would change the answer, or hide what was not done."""

from __future__ import annotations

from tropa.server.reading import BadField, Fields

_KEPT = "is not supported: this server keeps no {}; send the earlier {} in '{}'"
_FORM = "is not a field of this dialect: use 'response_format'"
_UNMODERATED = "is not supported: nothing is moderated here"
_UNSEARCHED = "is not supported: this server searches nothing"

CHAT = {
    "functions": "is the older form and is not supported: use 'tools'",
    "function_call": "is the older form and is not supported: use 'tool_choice'",
    "web_search_options": _UNSEARCHED,
    "moderation": _UNMODERATED,
    "previous_response_id": _KEPT.format("responses", "messages", "messages"),
    "conversation": _KEPT.format("conversations", "messages", "messages"),
    "prompt": "belongs to /v1/completions: use 'messages'",
    "suffix": "belongs to /v1/completions",
    "echo": "belongs to /v1/completions",
    "input": "belongs to /v1/responses: use 'messages'",
    "instructions": 'belongs to /v1/responses: send a message with the role "system"',
    "text": "belongs to /v1/responses: use 'response_format'",
    "grammar": _FORM,
    "guided_json": _FORM,
    "guided_choice": _FORM,
    "guided_regex": _FORM,
}

COMPLETION = {
    "messages": "belongs to /v1/chat/completions: use 'prompt'",
    "tools": "belongs to /v1/chat/completions",
    "functions": "belongs to /v1/chat/completions",
    "input": "belongs to /v1/responses: use 'prompt'",
    "images": "is not supported in this dialect: send images to /v1/chat/completions",
    "grammar": _FORM,
    "guided_json": _FORM,
    "guided_choice": _FORM,
    "guided_regex": _FORM,
}

RESPONSE = {
    "previous_response_id": _KEPT.format("responses", "items", "input"),
    "conversation": _KEPT.format("conversations", "items", "input"),
    "prompt": "is not supported: this server keeps no prompts; send its text in 'instructions' or 'input'",
    "background": "is not supported: this server keeps no responses",
    "messages": "belongs to /v1/chat/completions: use 'input'",
    "response_format": "belongs to /v1/chat/completions: use 'text.format'",
    "format": "is not a field of this dialect: use 'text.format'",
    "functions": "is not a field of this dialect: use 'tools'",
    "web_search_options": _UNSEARCHED,
    "moderation": _UNMODERATED,
}


def modalities(fields: Fields) -> None:
    """Answers are text."""
    for kind in fields.texts("modalities") or []:
        if kind != "text":
            raise BadField(fields.at("modalities"), f'holds "{kind[:80]}": only "text" can be answered')
