"""Request bodies: untrusted bytes in, plain JSON values out, as lenient as the clients of Go servers expect.

Only the first JSON value of a body counts; bad UTF-8 and lone surrogates become U+FFFD. The quick strict decoder
goes first; the lenient one is asked only about what that refuses.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from tropa.errors import TropaError

_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRequest(TropaError):
    """What the client sent can't be understood; the message names the part."""

    code = "bad-request"


def parse(body: bytes) -> Any:
    """The first JSON value in `body`. Raises BadRequest with Go's words for the commonest defects."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(body)
    except RecursionError:
        raise BadRequest("the JSON in the request body is nested too deeply") from None


def _parse_leniently(body: bytes) -> Any:
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise BadRequest("missing request body")
    if text[0] == "\ufeff":
        raise BadRequest("invalid character 'ï' looking for beginning of value")
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as exc:
        raise BadRequest(_in_gos_words(exc, text)) from exc
    except RecursionError:
        raise BadRequest("the JSON in the request body is nested too deeply") from None
    except ValueError as exc:  # a number of thousands of digits, or NaN
        raise BadRequest(f"invalid number in the request body: {exc}") from exc
    return _without_surrogates(value)


def _in_gos_words(exc: json.JSONDecodeError, text: str) -> str:
    rest = text[exc.pos :].lstrip(" \t\r\n")
    unterminated = exc.msg.startswith("Unterminated string")
    if not rest or unterminated or any(word.startswith(rest) for word in ("true", "false", "null")):
        return "unexpected EOF"
    where = {
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after array element or object key:value pair",
    }.get(exc.msg, "looking for beginning of value")
    return f"invalid character {rest[0]!r} {where}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case _:
            return value
