"""A JSON schema as a grammar, for prompts that are text.

The wheel's engine holds a text prompt to a schema by a library that fails without a word: with vocabularies that write
a blank in front of each text (Llama 2, Mistral) it lets everything pass, and so it does with a schema that it does not
understand. A chat is held by a grammar of llama.cpp's own, which refuses what it can't express. So the engine is asked
for that grammar, once for each schema.
"""

from __future__ import annotations

import json
from typing import Any

from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot

KEPT = 256
ANY = {"type": "object"}
FORM = ("json_schema", "grammar")
"""The fields that hold an answer to a form."""
_RULE = "response-format-schema"
_kept: dict[str, str] = {}


async def held(slot: Slot, body: dict[str, Any]) -> dict[str, Any]:
    """The body of a completion, its `json_schema` (if there is one) replaced by a grammar. Raises EngineRefused."""
    schema = body.get("json_schema")
    if schema is None:
        return body
    key = json.dumps(schema)
    grammar = _kept.get(key)
    if grammar is None:
        grammar = await _asked(slot, schema)
        if not grammar:
            return body
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = grammar
    rest = {name: value for name, value in body.items() if name != "json_schema"}
    return {**rest, "grammar": grammar}


async def _asked(slot: Slot, schema: Any) -> str:
    """What a chat under this schema would be held to, without what surrounds it there. Nothing, if that is unknown."""
    question = {
        "messages": [{"role": "user", "content": "a"}],
        "json_schema": schema,
        "n_predict": 1,
        "verbose": True,
    }
    try:
        answer = await slot.call("/v1/chat/completions", question)
    except EngineRefused:
        # If not even this is possible, it is the template in the GGUF that does not work, and no fault of the schema.
        if schema != ANY and await _asked(slot, ANY):
            raise
        return ""
    grammar = answer.get("__verbose", {}).get("generation_settings", {}).get("grammar", "")
    rules = [rule for rule in grammar.splitlines() if not rule.startswith("root ::=")]
    if not any(rule.startswith(f"{_RULE} ::=") for rule in rules):
        return ""
    return "\n".join([f"root ::= {_RULE}", *rules])
