"""Values of pipelines, commands and operands. Nothing here prints.

What Go decides is decided here in the same order, because the order shows: in which error wins, and in where it
says it happened.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tropa.templates.errors import Failure
from tropa.templates.functions import FUNCTIONS, Function
from tropa.templates.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Name,
    Nil,
    Number,
    Operand,
    Pipe,
    String,
    Variable,
)
from tropa.templates.numerals import INT_MAX
from tropa.templates.state import Bound, State
from tropa.templates.values import NOTHING, Entries, Struct, View, truth, type_name, weight

_MISSING: Any = object()
"""There is no piped-in argument."""


class Evaluator(State):
    def pipeline(self, pipe: Pipe) -> Any:
        """A nil that a pipeline yields has no type left: it is nothing."""
        self.at = pipe
        value = _MISSING
        for command in pipe.commands:
            value = self._command(command, value)
            if value is None:
                value = NOTHING
        if pipe.declared:
            for variable in pipe.declared:
                name = variable.names[0]
                if pipe.assigns:
                    self.assign(name, value)
                else:
                    self.variables.append(Bound(name, value))
        return value

    def assign(self, name: str, value: object, boxed: bool = False) -> None:
        variable = self._variable(name)
        variable.value, variable.boxed = value, boxed

    def _command(self, command: Command, final: Any) -> Any:
        words = command.words
        first = words[0]
        if isinstance(first, Name):
            return self._function(first, command, words, final)
        if isinstance(first, Field):
            self.at = first
            return self._chain(self.dot, self.boxed, first.names, words, final)
        if isinstance(first, Variable):
            self.at = first
            variable = self._variable(first.names[0])
            if len(first.names) == 1:
                self._check_no_function(words, final)
                return variable.value
            return self._chain(variable.value, variable.boxed, first.names[1:], words, final)
        if isinstance(first, Chain):
            self.at = first
            return self._chain(self._chained(first), False, first.names, words, final)
        if isinstance(first, Pipe):
            self._check_no_function(words, final)
            return self._nested(first)
        self.at = first
        self._check_no_function(words, final)
        if isinstance(first, Nil):
            self.fail("nil is not a command")
        return self._constant(first)

    def _check_no_function(self, words: tuple[Operand, ...], final: object) -> None:
        if len(words) > 1 or final is not _MISSING:
            self.fail(f"can't give argument to non-function {words[0]}")

    def _nested(self, pipe: Pipe) -> Any:
        self.deeper(5)
        value = self.pipeline(pipe)
        self.depth -= 5
        return value

    def _constant(self, node: Operand) -> Any:
        match node:
            case Dot():
                return self.dot
            case Bool(_, value):
                return value
            case String(_, _, text):
                return text
            case Number(_, text, number):
                if isinstance(number, int) and number > INT_MAX:
                    self.fail(f"{text} overflows int")
                return number
        return None

    def _chained(self, node: Chain) -> Any:
        """What stands in front of `.A`."""
        self.at = node.operand
        if isinstance(node.operand, Pipe):
            value = self._nested(node.operand)
        else:
            value = self._function(node.operand, node.operand, (node.operand,), _MISSING)
        return value

    def _variable(self, name: str) -> Bound:
        for distance, variable in enumerate(reversed(self.variables)):
            if variable.name == name:
                self.steps -= distance >> 3
                return variable
        return self.fail(f"undefined variable: {name}")

    def _argument(self, node: Operand) -> Any:
        """None for nil and for nothing: functions know one of them only."""
        value = self._operand(node)
        return None if value is NOTHING else value

    def _operand(self, node: Operand) -> Any:
        self.at = node
        if isinstance(node, String):
            return node.value
        if isinstance(node, Field):
            return self._chain(self.dot, self.boxed, node.names, (node,), _MISSING)
        if isinstance(node, Variable):
            variable = self._variable(node.names[0])
            if len(node.names) == 1:
                return variable.value
            return self._chain(variable.value, variable.boxed, node.names[1:], (node,), _MISSING)
        if isinstance(node, Pipe):
            return self._nested(node)
        if isinstance(node, Name):
            return self._function(node, node, (node,), _MISSING)
        if isinstance(node, Chain):
            return self._chain(self._chained(node), False, node.names, (node,), _MISSING)
        return self._constant(node)

    # Fields.

    def _chain(
        self, value: Any, boxed: bool, names: tuple[str, ...], words: tuple[Operand, ...], final: Any
    ) -> Any:
        last = len(names) - 1
        for index, name in enumerate(names):
            given = index == last and (len(words) > 1 or final is not _MISSING)
            # Only the last name of a chain can be given arguments, and nothing in the data takes any.
            if type(value) is dict and not given:
                value = value.get(name, self.missing)
                boxed = True
            else:
                value, boxed = self._field(value, boxed, name, given, words, final)
        return value

    def _field(
        self, value: Any, boxed: bool, name: str, given: bool, words: tuple[Operand, ...], final: Any
    ) -> tuple[Any, bool]:
        if value is NOTHING:
            return NOTHING, False
        if value is None:
            self.fail(f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(value, View):
            method = value.METHODS.get(name)
            if method is not None:
                if given:
                    count = len(words) - 1 + (final is not _MISSING)
                    self.fail(f"wrong number of args for {name}: want 0 got {count}")
                result = method(value)
                self.built(result)
                return result, False
        if isinstance(value, Struct):
            fields = value.fields
            if name in fields:
                if given:
                    self.fail(f"{name} has arguments but cannot be invoked as function")
                return fields[name], False
        elif isinstance(value, dict):
            if given:
                self.fail(f"{name} is not a method but has arguments")
            if name in value:
                return value[name], not isinstance(value, Entries)
            absent = value.missing() if isinstance(value, Entries) else None
            return (self.missing if absent is None else absent), True
        return self.fail(
            f"can't evaluate field {name} in type {'interface {}' if boxed else type_name(value)}"
        )

    # Functions.

    def _function(self, node: Name, command: Command | Name, words: tuple[Operand, ...], final: Any) -> Any:
        self.at = node
        name = node.name
        function = FUNCTIONS[name]
        given = len(words) - 1 + (final is not _MISSING)
        if given < function.least or (function.most is not None and given > function.most):
            self.fail(_miscounted(name, function, given, len(words) - 1))
        self.charge(given)
        if name == "and" or name == "or":
            return self._decide(name == "or", words, final)
        written = words[1:]
        values: list[Any] = []
        if function.text_first and written:
            values.append(self._format(written[0]))
            written = written[1:]
        values += [self._argument(word) for word in written]
        if final is not _MISSING:
            if function.text_first and not values and not isinstance(final, str):
                self._mistyped(final)
            values.append(None if final is NOTHING else final)
        if name == "call" and values[0] is not None:
            self.fail(f"non-function {words[1] if len(words) > 1 else 'nil'} of type {type_name(values[0])}")
        self._charge_for(values, function.deep)
        try:
            result = function.call(values)
        except Failure as failure:
            self.at = command
            self.fail(f"error calling {name}: {failure}")
        self.built(result)
        return result

    def _charge_for(self, values: list[Any], deep: bool) -> None:
        """Large arguments count, even if little comes of them."""
        for value in values:
            if isinstance(value, str):
                if len(value) > 256:
                    self.charge(len(value) >> (4 if deep else 8))
            elif deep and value and isinstance(value, (list, dict)):
                self.charge(weight(value))

    def _decide(self, stops_at: bool, words: tuple[Operand, ...], final: Any) -> Any:
        """`and` and `or`: the operands after the one that decides are not evaluated."""
        value: Any = None
        for word in words[1:]:
            value = self._argument(word)
            if truth(value) is stops_at:
                return value
        return value if final is _MISSING else final

    def _format(self, node: Operand) -> str:
        """An argument that must be a string."""
        match node:
            case Bool() | Number():
                self.at = node
                self.fail(f"expected string; found {node}")
            case Nil():
                self.at = node
                self.fail("cannot assign nil to string")
        value = self._operand(node)
        if not isinstance(value, str):
            self._mistyped(value)
        return value

    def _mistyped(self, value: object) -> NoReturn:
        if value is NOTHING:
            self.fail("invalid value; expected string")
        name = "interface {}" if value is None else type_name(value)
        self.fail(f"wrong type for value; expected string; got {name}")


def _miscounted(name: str, function: Function, given: int, written: int) -> str:
    if function.most is None:
        return f"wrong number of args for {name}: want at least {function.least} got {written}"
    return f"wrong number of args for {name}: want {function.most} got {given}"
