"""What may follow PARAMETER: names, types, and how a value is written."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tropa.library.modelfile.suggest import did_you_mean
from tropa.library.modelfile.syntax import Command, InvalidModelfile

INTS = (
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "seed", "num_predict", "top_k",
    "repeat_last_n", "draft_num_predict",
)  # fmt: skip
FLOATS = (
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip
BOOLS = ("use_mmap",)
LISTS = ("stop",)
KNOWN = (*INTS, *FLOATS, *BOOLS, *LISTS)
DEPRECATED = (
    "penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "mirostat",
    "mirostat_tau", "mirostat_eta",
)  # fmt: skip

_INT = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_TRUE = ("1", "t", "T", "true", "True", "TRUE")
_FALSE = ("0", "f", "F", "false", "False", "FALSE")


def parameters(commands: Iterable[Command]) -> tuple[dict[str, object], list[str]]:
    """The options that PARAMETER lines stand for, and warnings. Scalars: the last wins; lists grow."""
    options: dict[str, object] = {}
    warnings: list[str] = []
    for command in commands:
        key = command.key
        if key in DEPRECATED:
            warnings.append(f"warning: parameter {key} is deprecated")
        elif key in LISTS:
            items = options.setdefault(key, [])
            assert isinstance(items, list)
            items.append(command.value)
        else:
            options[key] = _scalar(key, command.value, command.line)
    return options, warnings


def lines(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Stored options as (key, text) pairs, one per value, sorted by key."""
    pairs: list[tuple[str, str]] = []
    for key in sorted(options):
        value = options[key]
        for item in list[object](value) if isinstance(value, list) else [value]:
            # Other programs store whole numbers as floats, and those of a million are written 1e+06.
            if key in INTS and isinstance(item, float) and item.is_integer():
                item = int(item)
            pairs.append((key, written(item)))
    return pairs


def written(value: object) -> str:
    """A value as PARAMETER and `show` write it: integers plain, floats as Go prints them."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case _:
            return str(value)


def go_float(value: float) -> str:
    """Shortest digits that give the number back; with an exponent from 1e+06 up and below 0.0001."""
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    mantissa = "".join(map(str, digits))
    power = len(mantissa) - 1 + exponent
    minus = "-" if sign else ""
    if -4 <= power < 6:
        return minus + format(abs(Decimal(repr(value)).normalize()), "f")
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{minus}{mantissa[0]}{fraction}e{power:+03d}"


def misfit(key: str, value: object) -> str | None:
    """What a value that came as JSON should have been; None if it will do, or nobody knows that name."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in INTS:
        whole = number and -(1 << 63) <= value < 1 << 63 and float(value).is_integer()  # type: ignore[arg-type, operator] # a number
        return None if whole else "a whole number"
    if key in FLOATS:
        return None if number and _fits(value) else "a number"  # type: ignore[arg-type] # a number
    if key in BOOLS:
        return None if isinstance(value, bool) else "true or false"
    if key in LISTS:
        texts = value if isinstance(value, list) else [value]
        return None if all(isinstance(text, str) for text in texts) else "a text or a list of texts"
    return None


def _scalar(key: str, text: str, line: int) -> object:
    if key in INTS:
        if _INT.fullmatch(text) and len(text) <= 20 and -(1 << 63) <= int(text) < 1 << 63:
            return int(text)
        raise InvalidModelfile(f"invalid int value [{text}]", line=line, hint=f"{key} is a whole number")
    if key in FLOATS:
        if _FLOAT.fullmatch(text) and _fits(float(text)):
            return float(text)
        raise InvalidModelfile(
            f"invalid float value [{text}]", line=line, hint=f"{key} is a number such as 0.8"
        )
    if key in BOOLS:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise InvalidModelfile(f"invalid bool value [{text}]", line=line, hint=f"{key} is true or false")
    raise InvalidModelfile(f"unknown parameter '{key}'", line=line, hint=did_you_mean(key, KNOWN))


def _fits(value: float) -> bool:
    """Into the 32 bits that the engine keeps it in. JSON knows whole numbers that no float can hold."""
    try:
        struct.pack("<f", value)
    except (OverflowError, struct.error):
        return False
    return math.isfinite(value)
