"""A JSON schema as a grammar: every text that the grammar lets through is JSON that fits the schema."""

from __future__ import annotations

from typing import Any

from tropa.schema.errors import BadSchema, TooLarge
from tropa.schema.reading import Schemas
from tropa.schema.writing import written


def grammar(schema: Any) -> str:
    """In the words of llama.cpp, its first rule `root`.

    Raises BadSchema if the schema is none, if nothing fits it, or if it says what can't be promised; TooLarge. It takes
    up to about a second, so not in an event loop.
    """
    if schema is False:
        raise BadSchema("no value can fit the schema false")
    try:
        return written(Schemas({} if schema is True else schema))
    except RecursionError as exc:
        raise TooLarge(
            "the schema is too large: its parts are too deep inside each other", placed=True
        ) from exc
