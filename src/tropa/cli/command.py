"""What a command is: its name, arguments, flags and help, and where its code lies. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tropa.errors import TropaError


class UsageError(TropaError):
    """The command line itself is wrong; the text is the one that scripts know."""

    code = "usage"


class Takes(Enum):
    """What a flag wants after it."""

    NOTHING = "nothing"  # on or off; `--flag=false` says off
    TEXT = "text"
    WHOLE = "whole"  # a whole number


@dataclass(frozen=True, slots=True)
class Flag:
    """`bare` is the value that `--flag` alone stands for, where a value may be left out."""

    name: str
    help: str
    takes: Takes = Takes.NOTHING
    short: str = ""
    value: str = ""
    bare: str = ""


HELP = Flag("help", "show this help", short="h")
VERSION = Flag("version", "show the version", short="v")


@dataclass(frozen=True, slots=True)
class Command:
    """`entry` is `module:function`, imported only when the command runs. `most` is None for any number."""

    name: str
    arguments: str
    help: str
    entry: str
    least: int = 0
    most: int | None = 0
    flags: tuple[Flag, ...] = ()
    aliases: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    more: str = ""

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        return (*self.flags, HELP)

    def check_count(self, given: int) -> None:
        if given < self.least and self.most != self.least:
            raise UsageError(f"requires at least {self.least} arg(s), only received {given}")
        if self.least == self.most and given != self.least:
            raise UsageError(f"accepts {self.least} arg(s), received {given}")
        if self.most is not None and given > self.most:
            raise UsageError(f"accepts at most {self.most} arg(s), received {given}")


@dataclass(frozen=True, slots=True)
class Call:
    """One command line, understood. `given` has the flags that were there, by name, as their text."""

    args: list[str]
    given: dict[str, str] = field(default_factory=dict)

    def text(self, flag: str) -> str | None:
        return self.given.get(flag)

    def whole(self, flag: str) -> int | None:
        value = self.given.get(flag)
        return None if value is None else int(value)

    def switch(self, flag: str) -> bool | None:
        """None if the flag was not given."""
        value = self.given.get(flag)
        return None if value is None else BOOLEANS[value]

    def on(self, flag: str) -> bool:
        return bool(self.switch(flag))


BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
