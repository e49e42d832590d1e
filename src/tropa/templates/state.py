"""What one execution has at hand: dot, variables, where it is, and what it may still spend."""

from __future__ import annotations

from typing import NoReturn

from tropa.templates import limits
from tropa.templates.errors import TemplateError, place
from tropa.templates.nodes import AnyNode, Tree
from tropa.templates.parser import ROOT
from tropa.templates.quoting import quote
from tropa.templates.values import NOTHING

_SHOWN = 500


class Bound:
    """A variable."""

    __slots__ = ("boxed", "name", "value")

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value
        self.boxed = False


class State:
    """`at` is the node being evaluated, and `fail` the one place that adds position and expression to a complaint."""

    def __init__(self, tree: Tree, data: object, lenient: bool) -> None:
        self.tree = tree
        self.name = ROOT
        self.missing: object = NOTHING if lenient else None
        self.dot = data
        self.boxed = False
        """Whether dot is an element of untyped data; only complaints tell the difference."""
        self.variables = [Bound("$", data)]
        self.steps = limits.STEPS
        self.depth = 0
        self.at: AnyNode | None = None

    # Complaints and costs.

    def fail(self, cause: str) -> NoReturn:
        node = self.at
        line, column = place(self.tree.text, node.position) if node else (1, 0)
        raise TemplateError(
            f"template: :{line}:{column}: executing {quote(self.name)} at <{_brief(node)}>: {cause}",
            line=line,
            column=column,
        )

    def charge(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            self.fail(f"too much work: more than {limits.STEPS} steps")

    def deeper(self, frames: int) -> None:
        self.depth += frames
        if self.depth > limits.STACK:
            self.fail("nested too deeply: a template calls itself, or blocks and parentheses stand too deep")

    def built(self, value: object) -> None:
        """A function made this: it must not be too large, and its making counts."""
        if isinstance(value, str) and len(value) > 32:
            if len(value) > limits.OUTPUT:
                self.fail(f"text too long: more than {limits.OUTPUT} characters")
            self.charge(len(value) >> 5)
        elif isinstance(value, list) and len(value) > 32:
            self.charge(len(value) >> 5)


def _brief(node: AnyNode | None) -> str:
    text = str(node)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
