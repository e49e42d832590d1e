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

# What a text that was cut inside a value can end with; for cut strings the decoder has a word of its own.
_CUT = re.compile(r"|-|[.eE][-+]?|u[0-9a-fA-F]{0,4}|t(ru?)?|f(a(ls?)?)?|n(ul?)?")
TOO_DEEP = "the JSON in the request body is nested too deeply"
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
        raise BadRequest(TOO_DEEP) from None


def _parse_leniently(body: bytes) -> Any:
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise BadRequest("missing request body")
    if text[0] == "\ufeff":
        raise BadRequest("invalid character 'ï' looking for beginning of value")
    try:
        value, _ = _DECODER.raw_decode(text)
        return _without_surrogates(value)
    except json.JSONDecodeError as exc:
        raise BadRequest(_in_gos_words(exc, text)) from exc
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None
    except ValueError as exc:  # nothing known: an integer may be as long as it likes
        raise BadRequest(f"invalid number in the request body: {exc}") from exc


def _in_gos_words(exc: json.JSONDecodeError, text: str) -> str:
    rest = text[exc.pos :].lstrip(" \t\r\n")
    if exc.msg.startswith("Unterminated string") or _CUT.fullmatch(rest):
        return "unexpected EOF"
    if exc.msg.startswith("Invalid \\escape"):
        return f"invalid character {_quoted(rest.lstrip(chr(92))[:1])} in string escape code"
    where = {
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after array element or object key:value pair",
    }.get(exc.msg, "looking for beginning of value")
    return f"invalid character {_quoted(rest[0])} {where}"


def _quoted(char: str) -> str:
    """As Go quotes it."""
    return {"'": r"'\''", '"': "'\"'"}.get(char, repr(char))


def _integer(digits: str) -> int | float:
    """Python refuses to read integers of thousands of digits; no field can hold one anyway."""
    return int(digits) if len(digits) <= 1000 else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    where = "in numeric literal" if name.startswith("-") else "looking for beginning of value"
    raise BadRequest(f"invalid character '{name.lstrip('-')[0]}' {where}")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_int=_integer)


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
