"""Numbers as Go writes and reads them."""

from __future__ import annotations

import math
import re

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
UINT_MAX = (1 << 64) - 1
_MOST_DIGITS = 80
_INTEGER = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|[0-9](?:_?[0-9])*)$"
)
_OCTAL = re.compile(r"[+-]?0[0-7]+$")
_AFTER_ZERO = re.compile(r"[+-]?0[0-9]+$")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+$")
_LONE_UNDERSCORE = (
    re.compile(r"(?<![0-9])_|_(?![0-9])"),
    re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])"),
)


class TooLarge(ValueError):
    """An integer that no type holds."""


def shortest(value: float) -> str:
    """As `%v` prints a float: exponents below 1e-4 and from 1e6 on."""
    return special(value) or _placed(value, low=-4, high=6, two_digits=True)


def in_json(value: float) -> str:
    """Raises ValueError for what JSON has no text for."""
    if special(value):
        raise ValueError(f"json: unsupported value: {special(value)}")
    return _placed(value, low=-6, high=21, two_digits=False)


def special(value: float) -> str:
    """Infinities and NaN; empty for any other number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return ""


def digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits that read back as `value`, and the exponent of the first of them."""
    text = repr(abs(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, part = mantissa.partition(".")
    all_digits = whole + part
    stripped = all_digits.lstrip("0")
    power = len(whole) - 1 - (len(all_digits) - len(stripped)) + int(exponent or 0)
    sign = "-" if math.copysign(1, value) < 0 else ""
    return sign, stripped.rstrip("0") or "0", power if stripped else 0


def _placed(value: float, *, low: int, high: int, two_digits: bool) -> str:
    sign, found, power = digits(value)
    if power < low or power >= high:
        rest = f".{found[1:]}" if len(found) > 1 else ""
        size = f"{abs(power):02}" if two_digits else str(abs(power))
        return f"{sign}{found[0]}{rest}e{'-' if power < 0 else '+'}{size}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{found}"
    whole, part = found[: power + 1].ljust(power + 1, "0"), found[power + 1 :]
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def number(text: str) -> int | float:
    """What a literal says. Integers may exceed 64 bits signed, not unsigned (TooLarge). Raises ValueError, with a
    text only where there is more to say than that it is none.
    """
    lowered = text.lower()
    if lowered.endswith("i") and any(char.isdigit() for char in text):
        raise ValueError(f"complex numbers are not supported: {text}")
    hexadecimal = "0x" in lowered
    if "." in text or "p" in lowered or ("e" in lowered and not hexadecimal):
        return _floating(text, hexadecimal)
    if not _INTEGER.match(text):
        raise ValueError
    plain = text.replace("_", "")
    if not plain.lstrip("+-").isdecimal():
        value = int(plain, 0)
        if not INT_MIN <= value <= UINT_MAX:
            raise ValueError
        return value
    if len(plain) > _MOST_DIGITS or (_AFTER_ZERO.match(plain) and not _OCTAL.match(plain)):
        raise TooLarge  # Go takes 08 for a float that looks like an integer, and those are too large
    value = int(plain, 8 if _OCTAL.match(plain) else 10)
    if not INT_MIN <= value <= UINT_MAX:
        raise TooLarge
    return value


def _floating(text: str, hexadecimal: bool) -> float:
    if _LONE_UNDERSCORE[hexadecimal].search(text):
        raise ValueError
    text = text.replace("_", "")
    if not (_HEX_FLOAT if hexadecimal else _FLOAT).match(text):
        raise ValueError
    try:
        result = float.fromhex(text) if hexadecimal else float(text)
    except OverflowError:
        result = math.inf
    if math.isinf(result):
        raise ValueError
    return result
