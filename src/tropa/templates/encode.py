"""JSON as Go's encoding/json writes it: compact, keys sorted, safe inside HTML."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping

from tropa.templates.errors import Failure
from tropa.templates.numerals import in_json
from tropa.templates.values import Exact, Struct, View

_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_TEXT = json.JSONEncoder(ensure_ascii=False).encode


def encode(value: object) -> str:
    """Raises Failure for what JSON can't say."""
    out: list[str] = []
    _write(value, out)
    return "".join(out)


def text(value: str) -> str:
    """A string, in its quotes."""
    return _UNSAFE.sub(_escaped, _TEXT(value))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def _write(value: object, out: list[str], *, ordered: bool = False) -> None:
    """`ordered`: a dict's keys stand as they are to be written."""
    if isinstance(value, View):
        plain = value.plain()
        if plain is not value:
            _write(plain, out, ordered=True)
            return
    match value:
        case str():
            out.append(text(value))
        case None:
            out.append("null")
        case bool():
            out.append("true" if value else "false")
        case int():
            out.append(str(value))
        case Exact():
            out.append(str(value.exact))
        case float():
            try:
                out.append(in_json(value))
            except ValueError as wrong:
                raise Failure(str(wrong)) from wrong
        case bytes():
            out.append(f'"{base64.b64encode(value).decode()}"')
        case list() | tuple():
            out.append("[")
            for index, item in enumerate(value):
                if index:
                    out.append(",")
                _write(item, out)
            out.append("]")
        case dict():
            _write_map(value, value if ordered else sorted(value), out)
        case Struct():
            _write_map(value.fields, value.fields, out)
        case _:
            out.append("null")


def _write_map(values: Mapping[str, object], keys: Iterable[str], out: list[str]) -> None:
    before = "{"
    for key in keys:
        out.append(f"{before}{text(key)}:")
        _write(values[key], out)
        before = ","
    out.append("{}" if before == "{" else "}")
