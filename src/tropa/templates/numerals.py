"""Numbers as Go writes and reads them."""

from __future__ import annotations

import math
import re

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
UINT_MAX = (1 << 64) - 1
_UNDERSCORES = re.compile(r"[+-]?(?:0[xXoObB]_?)?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*$")
_OCTAL = re.compile(r"[+-]?0[0-7_]+$")


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
    """What a literal says. Integers may exceed 64 bits signed, not unsigned (TooLarge). Raises ValueError."""
    lowered = text.lower()
    hexadecimal = "0x" in lowered
    if not any(char.isdigit() for char in text):
        raise ValueError
    if lowered.endswith("i"):
        raise ValueError(f"complex numbers are not supported: {text}")
    floating = "." in text or "p" in lowered or ("e" in lowered and not hexadecimal)
    if not floating:
        if not _UNDERSCORES.match(text):
            raise ValueError
        plain = text.replace("_", "")
        value = int(plain, 8) if _OCTAL.match(plain) else int(plain, 0)
        if not INT_MIN <= value <= UINT_MAX:
            raise TooLarge
        return value
    if "_" in text:
        if re.search(r"(?<![0-9a-fA-F])_|_(?![0-9a-fA-F])", text) or not hexadecimal:
            raise ValueError
        text = text.replace("_", "")
    if hexadecimal:
        if "p" not in lowered:
            raise ValueError
        result = float.fromhex(text)
    else:
        result = float(text)
    if math.isinf(result):
        raise ValueError
    return result
