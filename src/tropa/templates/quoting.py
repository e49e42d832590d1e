"""Go's quoted texts and characters, both ways, and how texts become bytes."""

from __future__ import annotations

import re

_BY_LETTER = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_BY_CHAR = {chr(code): f"\\{letter}" for letter, code in _BY_LETTER.items()}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)


def to_bytes(text: str) -> bytes:
    """UTF-8. Halves of characters, which `slice` can leave, are kept in the text as lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def from_bytes(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def size(text: str) -> int:
    """In bytes."""
    return len(text) if text.isascii() else len(to_bytes(text))


def quote(text: str, mark: str = '"') -> str:
    """As Go's %q: printable characters as they are."""
    return mark + "".join(_quoted(char, mark) for char in text) + mark


def quote_ascii(text: str, mark: str = '"') -> str:
    """As Go's %+q."""
    return mark + "".join(_quoted(char, mark, ascii_only=True) for char in text) + mark


def _quoted(char: str, mark: str, *, ascii_only: bool = False) -> str:
    if char == mark:
        return f"\\{char}"
    if char in _BY_CHAR:
        return _BY_CHAR[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and (char.isascii() or not ascii_only):
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str:
    """What a literal in double quotes or back quotes says. Raises ValueError."""
    if literal.startswith("`"):
        return literal[1:-1].replace("\r", "")
    body = literal[1:-1]
    if "\\" not in body:
        return body
    out = bytearray()
    at = 0
    while at < len(body):
        escape = body.find("\\", at)
        if escape < 0:
            out += to_bytes(body[at:])
            break
        out += to_bytes(body[at:escape])
        data, at = _unescaped(body, escape, '"')
        out += data if isinstance(data, bytes) else to_bytes(chr(data))
    return from_bytes(bytes(out))


def unquote_char(literal: str) -> int:
    """The code point of `'x'`. Raises ValueError."""
    body = literal[1:-1]
    if body.startswith("\\"):
        data, end = _unescaped(body, 0, "'")
        if end == len(body):
            return data[0] if isinstance(data, bytes) else data
    elif len(body) == 1:
        return ord(body)
    elif not body:
        raise ValueError("invalid syntax")
    raise ValueError(f"malformed character constant: {literal}")


def _unescaped(body: str, at: int, mark: str) -> tuple[bytes | int, int]:
    """The byte or code point that an escape stands for, and where it ends."""
    found = _ESCAPE.match(body, at)
    if not found:
        raise ValueError("invalid syntax")
    letter, octal, byte, *wide = found.groups()
    if letter in ("'", '"'):
        if letter != mark:
            raise ValueError("invalid syntax")
        return ord(letter), found.end()
    if letter:
        return _BY_LETTER[letter], found.end()
    if octal or byte:
        code = int(octal, 8) if octal else int(byte, 16)
        if code > 255:
            raise ValueError("invalid syntax")
        return bytes((code,)), found.end()
    code = int(wide[0] or wide[1], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError("invalid syntax")
    return code, found.end()
