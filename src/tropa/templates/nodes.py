"""The parsed template: frozen nodes, each knowing where it stood and how to print itself back to source.

Parsing what a tree prints gives the same tree; positions are no part of a node's value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tropa.templates.quoting import quote

_OPENING_BRACE = re.compile(r"\{(?=\{|$)", re.DOTALL)
_UNBOUND = "{ {{- /**/}}"


@dataclass(frozen=True, slots=True)
class _Node:
    position: int = field(compare=False)
    """In code points from the start of the text."""


# Operands: what a command consists of.


@dataclass(frozen=True, slots=True)
class Dot(_Node):
    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil(_Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool(_Node):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number(_Node):
    text: str
    value: int | float = field(compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String(_Node):
    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True)
class Field(_Node):
    """`.A.B`, looked up from dot."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "." + ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Variable(_Node):
    """`$x.A`: the first name has its dollar."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Name(_Node):
    """A function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain(_Node):
    """`(pipeline).A.B`; also `f.A`, a function called without arguments."""

    operand: Pipe | Name
    names: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.operand})" if isinstance(self.operand, Pipe) else str(self.operand)
        return f"{inner}." + ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Command(_Node):
    """A function with its arguments, or a single operand."""

    words: tuple[Operand, ...]

    def __str__(self) -> str:
        return " ".join(f"({word})" if isinstance(word, Pipe) else str(word) for word in self.words)


@dataclass(frozen=True, slots=True)
class Pipe(_Node):
    """Commands, each given the value of the one before; perhaps with variables for the last one's value."""

    declared: tuple[Variable, ...]
    assigns: bool
    """`=` rather than `:=`."""
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        commands = " | ".join(map(str, self.commands))
        if not self.declared:
            return commands
        return f"{', '.join(map(str, self.declared))} {'=' if self.assigns else ':='} {commands}"


# What stands between texts.


@dataclass(frozen=True, slots=True)
class Text(_Node):
    text: str

    def __str__(self) -> str:
        # Two braces would open an action; a comment that trims the blank before it stands for nothing.
        return _OPENING_BRACE.sub(_UNBOUND, self.text)


@dataclass(frozen=True, slots=True)
class Action(_Node):
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Arm:
    """One condition of an `if` or `with` chain, and what happens if it holds."""

    pipe: Pipe
    body: Nodes


@dataclass(frozen=True, slots=True)
class If(_Node):
    arms: tuple[Arm, ...]
    otherwise: Nodes | None

    def __str__(self) -> str:
        return _chain("if", self.arms, self.otherwise)


@dataclass(frozen=True, slots=True)
class With(_Node):
    arms: tuple[Arm, ...]
    otherwise: Nodes | None

    def __str__(self) -> str:
        return _chain("with", self.arms, self.otherwise)


@dataclass(frozen=True, slots=True)
class Range(_Node):
    pipe: Pipe
    body: Nodes
    otherwise: Nodes | None

    def __str__(self) -> str:
        return f"{{{{range {self.pipe}}}}}{source(self.body)}{_else(self.otherwise)}{{{{end}}}}"


@dataclass(frozen=True, slots=True)
class Invoke(_Node):
    """`{{template "name" pipeline}}`."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {quote(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


@dataclass(frozen=True, slots=True)
class Break(_Node):
    def __str__(self) -> str:
        return "{{break}}"


@dataclass(frozen=True, slots=True)
class Continue(_Node):
    def __str__(self) -> str:
        return "{{continue}}"


Operand: TypeAlias = Dot | Nil | Bool | Number | String | Field | Variable | Name | Chain | Pipe
Node: TypeAlias = Text | Action | If | With | Range | Invoke | Break | Continue
Nodes: TypeAlias = tuple[Node, ...]
AnyNode: TypeAlias = Operand | Command | Node


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole text: what it prints, and the templates that it defines."""

    root: Nodes
    defined: Mapping[str, Nodes]
    text: str = field(compare=False)

    def __str__(self) -> str:
        definitions = (
            f"{{{{define {quote(name)}}}}}{source(body)}{{{{end}}}}" for name, body in self.defined.items()
        )
        return "".join(definitions) + source(self.root)


def source(nodes: Nodes) -> str:
    return "".join(map(str, nodes))


def _chain(word: str, arms: tuple[Arm, ...], otherwise: Nodes | None) -> str:
    heads = (f"{word} {arm.pipe}}}}}{source(arm.body)}" for arm in arms)
    return "{{" + "{{else ".join(heads) + _else(otherwise) + "{{end}}"


def _else(nodes: Nodes | None) -> str:
    return "" if nodes is None else f"{{{{else}}}}{source(nodes)}"
