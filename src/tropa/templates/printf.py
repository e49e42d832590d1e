"""`printf`: Go's verbs and flags, and what Go prints when verb and value do not fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from tropa.templates import numerals
from tropa.templates.quoting import quote, quote_ascii, to_bytes
from tropa.templates.show import show
from tropa.templates.values import NOTHING, Kind, Struct, View, kind, type_name

WIDEST = 1_000_000
"""Go's own bound for width and precision."""
_VERB = re.compile(r"%([-+# 0]*)")
_NUMBER = re.compile(r"\d*")
_BASES = {"b": 2, "o": 8, "O": 8, "d": 10, "v": 10, "x": 16, "X": 16}


@dataclass(frozen=True, slots=True)
class Spec:
    """What stands between `%` and the verb."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    plus_v: bool = False
    sharp_v: bool = False

    def pad(self, text: str) -> str:
        """To the width, even texts with zeros if the flag is there."""
        if self.width is None or len(text) >= self.width:
            return text
        if self.minus:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if self.zero else " ")


def sprintf(format_: str, values: list[object]) -> str:
    return _Printer(format_, values).run()


class _Printer:
    def __init__(self, format_: str, values: list[object]) -> None:
        self.format = format_
        self.values = values
        self.at = 0
        self.number = 0
        self.reordered = False
        self.good_number = True
        self.out: list[str] = []

    def run(self) -> str:
        ever_reordered = False
        while (start := self.format.find("%", self.at)) >= 0:
            self.out.append(self.format[self.at : start])
            self.reordered = False
            self.good_number = True
            self._directive(start)
            ever_reordered |= self.reordered
        self.out.append(self.format[self.at :])
        if not ever_reordered and self.number < len(self.values):
            extra = ", ".join(_typed(value) for value in self.values[self.number :])
            self.out.append(f"%!(EXTRA {extra})")
        return "".join(self.out)

    def _directive(self, start: int) -> None:
        flags = _VERB.match(self.format, start)
        assert flags is not None
        self.at = flags.end()
        minus = "-" in flags[1]
        indexed = self._index()
        width, indexed = self._star_or_number("WIDTH", indexed)
        if width is not None and width < 0:
            width, minus = -width, True
        precision = None
        if self.format.startswith(".", self.at):
            self.at += 1
            if indexed:
                self.good_number = False
            indexed = self._index()
            precision, indexed = self._star_or_number("PREC", indexed, precision=True)
        if not indexed:
            self._index()
        if self.at >= len(self.format):
            self.out.append("%!(NOVERB)")
            return
        verb = self.format[self.at]
        self.at += 1
        spec = Spec(
            minus, "+" in flags[1], "#" in flags[1], " " in flags[1], "0" in flags[1], width, precision
        )
        if verb == "%":
            self.out.append("%")
        elif not self.good_number:
            self.out.append(f"%!{verb}(BADINDEX)")
        elif self.number >= len(self.values):
            self.out.append(f"%!{verb}(MISSING)")
        else:
            value = self.values[self.number]
            self.number += 1
            if verb in "vw":
                spec = replace(spec, plus=False, sharp=False, plus_v=spec.plus, sharp_v=spec.sharp)
            self.out.append(format_value(value, verb, spec))

    def _index(self) -> bool:
        """`[n]`: the argument that comes next."""
        if not self.format.startswith("[", self.at):
            return False
        self.reordered = True
        end = self.format.find("]", self.at)
        if end < 0:
            self.good_number = False
            self.at += 1
            return False
        digits = self.format[self.at + 1 : end]
        self.at = end + 1
        if digits.isascii() and digits.isdecimal() and len(digits) <= 7:
            wanted = int(digits)
            if 1 <= wanted <= len(self.values):
                self.number = wanted - 1
                return True
            self.good_number = False
            return True
        self.good_number = False
        return False

    def _star_or_number(
        self, name: str, indexed: bool, *, precision: bool = False
    ) -> tuple[int | None, bool]:
        """A width or precision, and whether an `[n]` still waits for the verb."""
        if self.format.startswith("*", self.at):
            self.at += 1
            value = self.values[self.number] if self.number < len(self.values) else None
            self.number = min(self.number + 1, len(self.values))
            if type(value) is not int or abs(value) > WIDEST or (precision and value < 0):
                self.out.append(f"%!(BAD{name})")
                return None, False
            return value, False
        digits = _NUMBER.match(self.format, self.at)
        assert digits is not None
        if not digits[0]:
            return (0 if precision else None), indexed
        self.at = digits.end()
        if indexed and not precision:
            self.good_number = False
        if len(digits[0]) > 7 or int(digits[0]) > WIDEST:
            self.at = len(self.format)
            return (0 if precision else None), indexed
        return int(digits[0]), indexed


def format_value(value: object, verb: str, spec: Spec, *, depth: int = 0) -> str:
    if verb == "T":
        return spec.pad(_cut(type_name(value), spec)) if value is not None else spec.pad("<nil>")
    if value is None or value is NOTHING:
        if depth:
            return "interface {}(nil)" if spec.sharp_v else "<nil>"
        if verb == "v":
            return spec.pad("<nil>")
        return f"%!{verb}(<nil>)"
    if (
        isinstance(value, View)
        and not spec.sharp_v
        and verb in "vsxXq"
        and (text := value.shown()) is not None
    ):
        return _text(text, verb, spec)
    if verb == "w":  # for wrapping errors, and there are none
        return _bad(value, verb, spec)
    writer = _WRITERS.get(kind(value))
    if writer is not None:
        return writer(value, verb, spec)
    return _composite(value, verb, spec, depth)


def _typed(value: object) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={show(value)}"


def _bad(value: object, verb: str, spec: Spec) -> str:
    """The verb does not fit. The flags count all the same."""
    return f"%!{verb}({type_name(value)}={format_value(value, 'v', spec)})"


def _composite(value: object, verb: str, spec: Spec, depth: int) -> str:
    match value:
        case dict():
            pairs = [
                (
                    format_value(key, verb, spec, depth=depth + 1),
                    format_value(value[key], verb, spec, depth=depth + 1),
                )
                for key in sorted(value)
            ]
            if spec.sharp_v:
                return f"{type_name(value)}{{{', '.join(f'{key}:{item}' for key, item in pairs)}}}"
            return f"map[{' '.join(f'{key}:{item}' for key, item in pairs)}]"
        case list() | tuple():
            items = [format_value(item, verb, spec, depth=depth + 1) for item in value]
            if spec.sharp_v:
                return f"{type_name(value)}{{{', '.join(items)}}}"
            return f"[{' '.join(items)}]"
        case Struct():
            named = spec.plus_v or spec.sharp_v
            fields = [
                (f"{name}:" if named else "") + format_value(item, verb, spec, depth=depth + 1)
                for name, item in value.fields.items()
            ]
            if spec.sharp_v:
                return f"{type_name(value)}{{{', '.join(fields)}}}"
            return f"{'&' if value.POINTER and not depth else ''}{{{' '.join(fields)}}}"
    raise TypeError(type(value).__name__)


def _bool(value: object, verb: str, spec: Spec) -> str:
    return spec.pad("true" if value else "false") if verb in "tv" else _bad(value, verb, spec)


def _bytes(value: object, verb: str, spec: Spec) -> str:
    assert isinstance(value, bytes)
    if verb in "sqxX":
        return _text(value.decode(errors="surrogateescape"), verb, spec)
    if verb in "vd":
        return "[" + " ".join(_int(each, "d", spec) for each in value) + "]"
    return "[" + " ".join(_int(each, verb, spec) for each in value) + "]"


def _text(value: object, verb: str, spec: Spec) -> str:
    assert isinstance(value, str)
    match verb:
        case "v" | "s":
            if spec.sharp_v:
                return spec.pad(_go_quoted(value, spec))
            return spec.pad(_cut(value, spec))
        case "q":
            return spec.pad(_go_quoted(_cut(value, spec), spec))
        case "x" | "X":
            return spec.pad(_hexadecimal(value, verb, spec))
    return _bad(value, verb, spec)


def _cut(text: str, spec: Spec) -> str:
    return text if spec.precision is None else text[: spec.precision]


def _go_quoted(text: str, spec: Spec) -> str:
    if (
        spec.sharp
        and "`" not in text
        and all(char == "\t" or ord(char) >= 0x20 for char in text)
        and "\x7f" not in text
        and "\ufeff" not in text
    ):
        return f"`{text}`"
    return quote_ascii(text) if spec.plus else quote(text)


def _hexadecimal(text: str, verb: str, spec: Spec) -> str:
    data = to_bytes(text)
    if spec.precision is not None:
        data = data[: spec.precision]
    if not data:
        return ""
    mark = f"0{verb}" if spec.sharp else ""
    pairs = [f"{byte:02{verb}}" for byte in data]
    return mark + (f" {mark}".join(pairs) if spec.space else "".join(pairs))


def _int(value: object, verb: str, spec: Spec) -> str:
    assert isinstance(value, int)
    if verb in _BASES:
        return _digits(value, verb, spec)
    match verb:
        case "c":
            return spec.pad(_char(value))
        case "q":
            char = _char(value)
            return spec.pad(quote_ascii(char, "'") if spec.plus else quote(char, "'"))
        case "U":
            digits = f"{value & numerals.UINT_MAX:04X}".rjust(spec.precision or 0, "0")
            char = _char(value)
            named = f" '{char}'" if spec.sharp and 0 <= value <= 0x10FFFF and char.isprintable() else ""
            return replace(spec, zero=False).pad(f"U+{digits}{named}")
    return _bad(value, verb, spec)


def _char(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"


def _digits(value: int, verb: str, spec: Spec) -> str:
    base = _BASES[verb]
    digits = format(abs(value), {2: "b", 8: "o", 10: "d", 16: "X" if verb == "X" else "x"}[base])
    sign = "-" if value < 0 else "+" if spec.plus else " " if spec.space else ""
    if spec.precision is not None:
        spec = replace(spec, zero=False)  # zeros fill up to the precision, blanks to the width
        if spec.precision == 0 and value == 0:
            return spec.pad("")
        digits = digits.rjust(spec.precision or 0, "0")
    elif spec.zero and not spec.minus and spec.width is not None:
        digits = digits.rjust(spec.width - bool(sign), "0")
    if spec.sharp and base != 10:
        mark = {2: "0b", 8: "0", 16: f"0{verb}"}[base]
        if base != 8 or not digits.startswith("0"):
            digits = mark + digits
    if verb == "O":
        digits = f"0o{digits}"
    return spec.pad(sign + digits)


def _float(value: object, verb: str, spec: Spec) -> str:
    assert isinstance(value, float)
    text = numerals.special(value)
    if text:
        if verb not in "vbgGxXfFeE":
            return _bad(value, verb, spec)
        text = text if text[0] in "+-" else f"+{text}"
    else:
        match verb:
            case "v" | "g" | "G":
                text = numerals.shortest(value) if spec.precision is None else _general(value, spec)
            case "e" | "E":
                text = format(value, f".{6 if spec.precision is None else spec.precision}e")
            case "f" | "F":
                text = format(value, f".{6 if spec.precision is None else spec.precision}f")
            case "x" | "X":
                text = _hex_float(value, spec.precision)
            case "b":
                mantissa, power = math.frexp(abs(value))
                sign = "-" if math.copysign(1, value) < 0 else ""
                text = f"{sign}{int(mantissa * (1 << 53))}p{power - 53 if value else -1074:+d}"
            case _:
                return _bad(value, verb, spec)
        text = text.upper() if verb in "EGX" else text
        text = text if text[0] == "-" else f"+{text}"
    if text[0] == "+" and not spec.plus:
        text = f" {text[1:]}" if spec.space else text[1:]
    endless = text.lstrip("+- ")[0] in "IN"
    if spec.zero and not spec.minus and not endless and spec.width is not None:
        sign = text[0] if text[0] in "+- " else ""
        return sign + text[len(sign) :].rjust(spec.width - len(sign), "0")
    return spec.pad(text)


def _hex_float(value: float, precision: int | None) -> str:
    """`0x1.8p+01`: one hexadecimal digit, `precision` more of them, a power of two."""
    mantissa, power = math.frexp(abs(value))
    power = power - 1 if value else 0
    digits = int(mantissa * (1 << 53))  # 53 bits: a one and 13 hexadecimal digits
    if precision is not None and precision < 13:
        unit = 1 << (52 - 4 * precision)
        digits = round(Fraction(digits, unit)) * unit
        if digits >= 1 << 53:
            digits, power = digits >> 1, power + 1
    part = f"{digits & ((1 << 52) - 1):013x}"
    part = part.rstrip("0") if precision is None else part[:precision].ljust(precision, "0")
    sign = "-" if math.copysign(1, value) < 0 else ""
    return f"{sign}0x{digits >> 52}{'.' if part else ''}{part}p{'-' if power < 0 else '+'}{abs(power):02}"


def _general(value: float, spec: Spec) -> str:
    return format(value, f".{spec.precision or 1}g")


_WRITERS: dict[Kind, Callable[[object, str, Spec], str]] = {
    Kind.BOOL: _bool,
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.STRING: _text,
    Kind.BYTES: _bytes,
}
