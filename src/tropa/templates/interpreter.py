"""Executing a tree. Walking prints; evaluating never does.

A tree is shared and read-only; all running state is made anew for each execution.
"""

from __future__ import annotations

from typing import Any

from tropa.templates import limits
from tropa.templates.errors import TemplateError
from tropa.templates.evaluator import Evaluator
from tropa.templates.nodes import Action, Continue, If, Invoke, Nodes, Pipe, Range, Text, Tree, With
from tropa.templates.parser import ROOT
from tropa.templates.quoting import quote, to_bytes
from tropa.templates.show import printed, show
from tropa.templates.state import Bound
from tropa.templates.values import NOTHING, Kind, View, kind, truth

_ON, _NEXT, _OUT = 0, 1, 2
"""How a list of nodes ended: by itself, by `continue`, by `break`."""


def execute(tree: Tree, data: object, *, root: Nodes | None = None, lenient: bool = False) -> str:
    """The output. Raises TemplateError, also for what would take too long or too much.

    `root`: other nodes than the tree's own, with its definitions. `lenient`: a field of a missing key is
    missing too, rather than an error.
    """
    run = _Walker(tree, data, lenient)
    try:
        run.walk(tree.root if root is None else root)
    except RecursionError as exc:
        # The depth of blocks and parentheses is counted; the depth of the data is whoever's made it.
        raise TemplateError("template: the data is nested too deeply") from exc
    return run.output()


class _Walker(Evaluator):
    def __init__(self, tree: Tree, data: object, lenient: bool) -> None:
        super().__init__(tree, data, lenient)
        self.parts: list[str] = []
        self.size = 0

    def output(self) -> str:
        text = "".join(self.parts)
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError:
            # Halves of characters that were printed one after the other are whole again; single ones are lost.
            return to_bytes(text).decode(errors="replace")
        return text

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text)
        if self.size > limits.OUTPUT:
            self.fail(f"output too long: more than {limits.OUTPUT} characters")

    # Walking.

    def walk(self, nodes: Nodes) -> int:
        for node in nodes:
            self.steps -= 1
            if self.steps < 0:
                self.charge(0)
            self.at = node
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                value = self.pipeline(node.pipe)
                if not node.pipe.declared:
                    self.at = node
                    self._print(value)
            elif isinstance(node, If):
                ended = self._if(node)
                if ended:
                    return ended
            elif isinstance(node, Range):
                self._range(node)
            elif isinstance(node, With):
                ended = self._with(node)
                if ended:
                    return ended
            elif isinstance(node, Invoke):
                self._invoke(node)
            else:
                return _NEXT if isinstance(node, Continue) else _OUT
        return _ON

    def _print(self, value: object) -> None:
        if type(value) is not str:
            value = printed(value)
            self.built(value)
        assert isinstance(value, str)
        self._write(value)

    def _body(self, nodes: Nodes) -> int:
        self.deeper(2)
        ended = self.walk(nodes)
        self.depth -= 2
        return ended

    def _if(self, node: If) -> int:
        known = len(self.variables)
        chosen = node.otherwise
        for arm in node.arms:
            if truth(self.pipeline(arm.pipe)):
                chosen = arm.body
                break
        ended = self._body(chosen) if chosen else _ON
        del self.variables[known:]
        return ended

    def _with(self, node: With) -> int:
        known = len(self.variables)
        outer = (self.dot, self.boxed)
        chosen = node.otherwise
        for arm in node.arms:
            value = self.pipeline(arm.pipe)
            if truth(value):
                chosen = arm.body
                self.dot, self.boxed = value, False
                break
        ended = self._body(chosen) if chosen else _ON
        self.dot, self.boxed = outer
        del self.variables[known:]
        return ended

    def _range(self, node: Range) -> None:
        known = len(self.variables)
        outer = (self.dot, self.boxed)
        value = self.pipeline(node.pipe)
        pairs: Any
        match kind(value):
            case Kind.LIST | Kind.BYTES:
                assert isinstance(value, (list, tuple, bytes))
                pairs = enumerate(value)
            case Kind.MAP:
                assert isinstance(value, dict)
                self.charge(len(value))
                pairs = ((key, value[key]) for key in sorted(value))
            case Kind.INT:
                assert isinstance(value, int)
                if len(node.pipe.declared) > 1:
                    self.fail(f"can't use {value} to iterate over more than one variable")
                pairs = ((None, number) for number in range(value))
            case Kind.NIL:
                pairs = ()
            case _:
                self.fail(f"range can't iterate over {show(value)}")
        boxed = not isinstance(value, (View, int, bytes))
        if not self._loop(node, pairs, boxed) and node.otherwise:
            self.dot, self.boxed = outer
            self._body(node.otherwise)
        self.dot, self.boxed = outer
        del self.variables[known:]

    def _loop(self, node: Range, pairs: Any, boxed: bool) -> bool:
        """Whether there was anything to loop over."""
        pipe, body = node.pipe, node.body
        known = len(self.variables)
        ran = False
        self.deeper(2)
        for key, item in pairs:
            ran = True
            self.charge(1)
            if pipe.declared:
                self._bind(pipe, key, item, boxed)
            self.dot, self.boxed = item, boxed
            ended = self.walk(body)
            del self.variables[known:]
            if ended == _OUT:
                break
        self.depth -= 2
        return ran

    def _bind(self, pipe: Pipe, key: object, item: object, boxed: bool) -> None:
        """One variable is the element; of two, the first is the index or key."""
        if pipe.assigns:
            if len(pipe.declared) > 1:
                self.assign(pipe.declared[0].names[0], key)
            self.assign(pipe.declared[-1].names[0], item, boxed)
            return
        element = self.variables[-1]
        element.value, element.boxed = item, boxed
        if len(pipe.declared) > 1:
            self.variables[-2].value = key

    def _invoke(self, node: Invoke) -> None:
        nodes = self.tree.root if node.name == ROOT else self.tree.defined.get(node.name)
        if nodes is None:
            self.fail(f"template {quote(node.name)} not defined")
        value = NOTHING if node.pipe is None else self.pipeline(node.pipe)
        outer = (self.name, self.dot, self.boxed, self.variables)
        self.name, self.dot, self.boxed = node.name, value, False
        self.variables = [Bound("$", value)]
        self.at = node
        self._body(nodes)
        self.name, self.dot, self.boxed, self.variables = outer
