"""Command lines as the reference program reads them: flags and arguments mixed, `--` ends the flags.

The error texts are those of the library behind it (cobra), because scripts and people know them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tropa.cli.command import BOOLEANS, Call, Flag, Takes, UsageError


def parse(words: Sequence[str], flags: Sequence[Flag]) -> Call:
    """Sort `words` into arguments and flags. Raises UsageError."""
    by_name = {flag.name: flag for flag in flags}
    by_letter = {flag.short: flag for flag in flags if flag.short}
    args: list[str] = []
    given: dict[str, str] = {}
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            args += reversed(left)
            break
        if word.startswith("--"):
            _long(word, by_name, left, given)
        elif word.startswith("-") and word != "-":
            _letters(word, by_letter, left, given)
        else:
            args.append(word)
    return Call(args, given)


def _long(word: str, by_name: dict[str, Flag], left: list[str], given: dict[str, str]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    flag = by_name.get(name)
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if not equals:
        if flag.takes is Takes.NOTHING:
            value = "true"
        elif flag.bare:
            value = flag.bare
        elif left:
            value = left.pop()
        else:
            raise UsageError(f"flag needs an argument: --{name}")
    given[flag.name] = _checked(flag, value)


def _letters(word: str, by_letter: dict[str, Flag], left: list[str], given: dict[str, str]) -> None:
    """`-v`, `-qv`, `-fNAME`, `-f=NAME` and `-f NAME`."""
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        flag = by_letter.get(letter)
        if flag is None:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
        if rest.startswith("="):
            value, rest = rest[1:], ""
        elif flag.takes is Takes.NOTHING:
            value = "true"
        elif rest:
            value, rest = rest, ""
        elif left:
            value = left.pop()
        else:
            raise UsageError(f"flag needs an argument: {letter!r} in {word}")
        given[flag.name] = _checked(flag, value)


def _checked(flag: Flag, value: str) -> str:
    shown = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
    if flag.takes is Takes.NOTHING and value not in BOOLEANS:
        raise _invalid(value, shown, "ParseBool")
    if flag.takes is Takes.WHOLE and not _is_whole(value):
        raise _invalid(value, shown, "ParseInt")
    return value


def _is_whole(text: str) -> bool:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    return digits.isascii() and digits.isdigit() and len(digits) < 19


def _invalid(value: str, shown: str, parser: str) -> UsageError:
    value, shown = quoted(value), quoted(shown)
    return UsageError(
        f"invalid argument {value} for {shown} flag: strconv.{parser}: parsing {value}: invalid syntax"
    )


def quoted(text: str) -> str:
    """In double quotes, with escapes: near enough to Go's `%q` for what people type."""
    return json.dumps(text, ensure_ascii=False)
