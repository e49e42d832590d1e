"""Go's durations (`1h30m`, `4.2s`), read and written exactly as Go does, in integer nanoseconds.

Clients send them as `keep_alive` and `--keepalive`, and match on the error texts, so the grammar is Go's
`time.ParseDuration`: sequences of decimal number and unit, an optional sign, and `0` as the only number that
may stand without a unit.
"""

from __future__ import annotations

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

LONGEST = (1 << 63) - 1
"""About 292 years: what fits a signed 64-bit count of nanoseconds."""

_UNITS = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # U+00B5, the micro sign
    "μs": MICROSECOND,  # U+03BC, the Greek letter
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_DIGITS = "0123456789"


class DurationError(ValueError):
    """Not a Go duration; `str(error)` is what Go says about it."""


def parse_go_duration(text: str) -> int:
    """The nanoseconds that `text` stands for; negative ones too."""
    rest = text
    negative = False
    if rest[:1] in {"+", "-"}:
        negative = rest[0] == "-"
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise _invalid(text)
    total = 0
    while rest:
        amount, rest = _component(rest, text)
        total += amount
        if total > LONGEST + 1:
            raise _invalid(text)
    if negative:
        return -total
    if total > LONGEST:
        raise _invalid(text)
    return total


def _component(rest: str, whole: str) -> tuple[int, str]:
    """One number with its unit from the front of `rest`, which is not empty."""
    digits, rest = _take_digits(rest)
    fraction = ""
    if rest.startswith("."):
        fraction, rest = _take_digits(rest[1:])
    if not digits and not fraction:
        raise _invalid(whole)
    digits = digits.lstrip("0")
    if len(digits) > 19:  # too long in any unit; checked before int(), which is slow on a megabyte of digits
        raise _invalid(whole)
    unit, rest = _take_unit(rest)
    if not unit:
        raise DurationError(f"time: missing unit in duration {_quote(whole)}")
    size = _UNITS.get(unit)
    if size is None:
        raise DurationError(f"time: unknown unit {_quote(unit)} in duration {_quote(whole)}")
    amount = int(digits or "0") * size
    if fraction:
        fraction = fraction[:18]  # below a nanosecond even of an hour
        amount += int(fraction) * size // 10 ** len(fraction)
    if amount > LONGEST + 1:
        raise _invalid(whole)
    return amount, rest


def _take_digits(text: str) -> tuple[str, str]:
    rest = text.lstrip(_DIGITS)
    return text[: len(text) - len(rest)], rest


def _take_unit(text: str) -> tuple[str, str]:
    end = next((i for i, c in enumerate(text) if c == "." or c in _DIGITS), len(text))
    return text[:end], text[end:]


def _invalid(whole: str) -> DurationError:
    return DurationError(f"time: invalid duration {_quote(whole)}")


def _quote(text: str) -> str:
    r"""In double quotes; quotes and backslashes escaped, all but printable ASCII as `\x` bytes."""
    out = []
    for char in text:
        if char < " " or char > "\x7f":
            raw = char.encode("utf-8", "surrogatepass")
            out.append("".join(f"\\x{byte:02x}" for byte in raw))
        elif char in {'"', "\\"}:
            out.append("\\" + char)
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def format_go_duration(nanoseconds: int) -> str:
    """As Go prints it: `1h2m3s`, `4.935415292s`, `130.079ms`, `1.5µs`, `0s`."""
    if nanoseconds < 0:
        return "-" + format_go_duration(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", MICROSECOND), ("ms", MILLISECOND)):
        if nanoseconds < size * 1000:
            return _decimal(nanoseconds, size) + unit
    minutes, below = divmod(nanoseconds, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(below, SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    if minutes:
        return f"{minutes}m{text}"
    return text


def _decimal(value: int, size: int) -> str:
    """`value / size` without rounding and without trailing zeros; `size` is a power of ten."""
    whole, part = divmod(value, size)
    if not part:
        return str(whole)
    return f"{whole}." + str(part).rjust(len(str(size)) - 1, "0").rstrip("0")
