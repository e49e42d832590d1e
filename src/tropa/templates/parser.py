"""From tokens to a tree. The first complaint ends it, in the words and with the line that Go has for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from tropa.templates import limits
from tropa.templates.errors import TemplateSyntaxError, place
from tropa.templates.functions import FUNCTIONS
from tropa.templates.lexer import Kind, Token, tokens
from tropa.templates.nodes import (
    Action,
    Arm,
    Bool,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    Field,
    If,
    Invoke,
    Name,
    Nil,
    Node,
    Nodes,
    Number,
    Operand,
    Pipe,
    Range,
    String,
    Text,
    Tree,
    Variable,
    With,
)
from tropa.templates.numerals import TooLarge, number
from tropa.templates.quoting import quote, unquote, unquote_char

ROOT = ""
"""The whole text is a template too, and this is its name."""
_OPERANDS = frozenset(
    {
        *(Kind.BOOL, Kind.CHARACTER, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.NIL),
        *(Kind.RAW, Kind.STRING, Kind.VARIABLE, Kind.OPEN),
    }
)
_CONSTANTS = (Bool, Dot, Nil, Number, String)


def parse(text: str) -> Tree:
    """Raises TemplateSyntaxError."""
    if len(text) > limits.TEXT:
        raise TemplateSyntaxError(
            f"template too long: {len(text)} characters, at most {limits.TEXT} are allowed"
        )
    return _Parser(text).tree()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.waiting: Iterator[Token] = tokens(text)
        self.at = 0
        self.depth = 0
        self.loops = 0
        self.variables = ["$"]
        self.defined: dict[str, Nodes] = {}
        self.action_line = 0

    # Tokens. Complaints name the line of the last token read, however far the parser looked ahead.

    def peek(self) -> Token:
        while self.at >= len(self.tokens):
            self.tokens.append(next(self.waiting))
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.peek()
        if token.kind not in (Kind.END, Kind.ERROR):
            self.at += 1
        return token

    def peek_past_spaces(self) -> Token:
        while self.peek().kind is Kind.SPACE:
            self.at += 1
        return self.peek()

    def next_past_spaces(self) -> Token:
        self.peek_past_spaces()
        return self.next()

    def fail(self, complaint: str) -> NoReturn:
        line, column = place(self.text, self.tokens[-1].position if self.tokens else 0)
        raise TemplateSyntaxError(f"template: :{line}: {complaint}", line=line, column=column)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is not Kind.ERROR:
            self.fail(f"unexpected {token} in {context}")
        line, _ = place(self.text, token.position)
        if not self.action_line or self.action_line == line:
            self.fail(token.text)
        told = "" if token.text.endswith(" action") else " in action"
        self.fail(f"{token.text}{told} started at :{self.action_line}")

    def expect(self, context: str, *kinds: Kind) -> Token:
        token = self.next_past_spaces()
        if token.kind not in kinds:
            self.unexpected(token, context)
        return token

    def nested(self) -> None:
        self.depth += 1
        if self.depth > limits.NESTING:
            self.fail(f"nested too deeply: at most {limits.NESTING} blocks and parentheses inside each other")

    # Lists of nodes.

    def tree(self) -> Tree:
        root: list[Node] = []
        while self.peek().kind is not Kind.END:
            if self._at_define():
                self._definition()
                continue
            ended = self._node(root)
            if ended:
                self.fail(f"unexpected {{{{{ended}}}}}")
        nodes = tuple(root)
        self._add(ROOT, nodes)
        defined = {name: body for name, body in self.defined.items() if name != ROOT}
        return Tree(self.defined[ROOT], defined, self.text)

    def _at_define(self) -> bool:
        if self.peek().kind is not Kind.LEFT:
            return False
        start = self.at
        self.next()
        token = self.next_past_spaces()
        if token.kind is Kind.KEYWORD and token.text == "define":
            return True
        self.at = start
        return False

    def _definition(self) -> None:
        context = "define clause"
        name = self._name(self.next_past_spaces(), context)
        self.expect(context, Kind.RIGHT)
        self._add(name, self._scope(context))

    def _scope(self, context: str) -> Nodes:
        """The body of a `define` or `block`: no variable and no loop of the outside reaches into it."""
        outer = (self.variables, self.loops)
        self.variables, self.loops = ["$"], 0
        body, ended = self._list()
        if ended != "end":
            self.fail(f"unexpected {{{{{ended}}}}} in {context}")
        self.variables, self.loops = outer
        return body

    def _add(self, name: str, body: Nodes) -> None:
        """The last one that is more than blanks counts; two of those are one too many."""
        if name not in self.defined or _empty(self.defined[name]):
            self.defined[name] = body
        elif not _empty(body):
            self.fail(f"template: multiple definition of template {quote(name)}")

    def _name(self, token: Token, context: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW):
            self.unexpected(token, context)
        return self._unquoted(token)

    def _unquoted(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as wrong:
            return self.fail(str(wrong))

    def _list(self) -> tuple[Nodes, str]:
        """Up to `end` or `else`, and which of them it was."""
        self.nested()
        nodes: list[Node] = []
        while self.peek_past_spaces().kind is not Kind.END:
            ended = self._node(nodes)
            if ended:
                self.depth -= 1
                return tuple(nodes), ended
        return self.fail("unexpected EOF")

    def _node(self, nodes: list[Node]) -> str:
        """One more node; or none, and what ended the list."""
        token = self.next_past_spaces()
        if token.kind is Kind.TEXT:
            if nodes and isinstance(last := nodes[-1], Text):  # a comment stood between
                nodes[-1] = Text(last.position, last.text + token.text)
            else:
                nodes.append(Text(token.position, token.text))
            return ""
        if token.kind is not Kind.LEFT:
            self.unexpected(token, "input")
        self.action_line, _ = place(self.text, token.position)
        node = self._action()
        self.action_line = 0
        if isinstance(node, str):
            return node
        nodes.append(node)
        return ""

    def _action(self) -> Node | str:
        token = self.peek_past_spaces()
        if token.kind is not Kind.KEYWORD or token.text == "define":
            return Action(token.position, self._pipeline("command", Kind.RIGHT))
        self.next()
        match token.text:
            case "block":
                return self._block()
            case "break":
                self._check_loop(token)
                return Break(token.position)
            case "continue":
                self._check_loop(token)
                return Continue(token.position)
            case "else":
                return self._else()
            case "end":
                self.expect("end", Kind.RIGHT)
                return "end"
            case "if":
                return If(token.position, *self._arms("if"))
            case "range":
                return self._range(token)
            case "template":
                return self._template()
        return With(token.position, *self._arms("with"))

    # Control.

    def _check_loop(self, token: Token) -> None:
        self.expect(f"{{{{{token.text}}}}}", Kind.RIGHT)
        if not self.loops:
            self.fail(f"{{{{{token.text}}}}} outside {{{{range}}}}")

    def _else(self) -> str:
        following = self.peek_past_spaces()
        if following.kind is not Kind.KEYWORD or following.text not in ("if", "with"):
            self.expect("else", Kind.RIGHT)
        return "else"

    def _arms(self, word: str) -> tuple[tuple[Arm, ...], Nodes | None]:
        known = len(self.variables)
        arms: list[Arm] = []
        otherwise: Nodes | None = None
        while True:
            pipe = self._pipeline(word, Kind.RIGHT)
            body, ended = self._list()
            arms.append(Arm(pipe, body))
            if ended == "end":
                break
            following = self.peek()
            if following.kind is Kind.KEYWORD and following.text == word:
                self.next()
                continue
            otherwise = self._last_list()
            break
        del self.variables[known:]
        return tuple(arms), otherwise

    def _last_list(self) -> Nodes:
        body, ended = self._list()
        if ended != "end":
            self.fail(f"expected end; found {{{{{ended}}}}}")
        return body

    def _range(self, token: Token) -> Node:
        known = len(self.variables)
        pipe = self._pipeline("range", Kind.RIGHT)
        self.loops += 1
        body, ended = self._list()
        self.loops -= 1
        otherwise = self._last_list() if ended == "else" else None
        del self.variables[known:]
        return Range(token.position, pipe, body, otherwise)

    def _template(self) -> Node:
        context = "template clause"
        named = self.next_past_spaces()
        name = self._name(named, context)
        if self.peek_past_spaces().kind is Kind.RIGHT:
            self.next()
            return Invoke(named.position, name, None)
        return Invoke(named.position, name, self._pipeline(context, Kind.RIGHT))

    def _block(self) -> Node:
        context = "block clause"
        named = self.next_past_spaces()
        name = self._name(named, context)
        pipe = self._pipeline(context, Kind.RIGHT)
        self._add(name, self._scope(context))
        return Invoke(named.position, name, pipe)

    # Pipelines.

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        position = self.peek_past_spaces().position
        declared, assigns = self._declared(context)
        commands: list[Command] = []
        while True:
            token = self.peek_past_spaces()
            if token.kind is end:
                self.next()
                self._check_pipeline(commands, context)
                return Pipe(position, declared, assigns, tuple(commands))
            if token.kind not in _OPERANDS:
                self.next()
                self.unexpected(token, context)
            commands.append(self._command())

    def _check_pipeline(self, commands: list[Command], context: str) -> None:
        if not commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], _CONSTANTS):
                self.fail(f"non executable command in pipeline stage {stage}")

    def _declared(self, context: str) -> tuple[tuple[Variable, ...], bool]:
        """The variables before `:=` or `=`; it takes looking three tokens ahead to know them from an operand."""
        declared: list[Variable] = []
        while self.peek_past_spaces().kind is Kind.VARIABLE:
            start = self.at
            token = self.next()
            following = self.peek_past_spaces()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self.next()
                self._declare(declared, token)
                return tuple(declared), following.kind is Kind.ASSIGN
            if following.kind is not Kind.COMMA:
                self.at = start
                break
            self.next()
            self._declare(declared, token)
            if context != "range" or len(declared) > 1:
                self.fail(f"too many declarations in {context}")
            if self.peek_past_spaces().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
                self.fail("range can only initialize variables")
        return tuple(declared), False

    def _declare(self, declared: list[Variable], token: Token) -> None:
        declared.append(Variable(token.position, (token.text,)))
        self.variables.append(token.text)

    def _command(self) -> Command:
        position = self.peek_past_spaces().position
        words: list[Operand] = []
        while True:
            self.peek_past_spaces()
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self.peek()
            if token.kind is Kind.SPACE:
                self.next()
                continue
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                break
            self.next()
            if token.kind is Kind.PIPE:
                break
            self.unexpected(token, "operand")
        if not words:
            self.fail("empty command")
        return Command(position, tuple(words))

    def _operand(self) -> Operand | None:
        term = self._term()
        if term is None or self.peek().kind is not Kind.FIELD:
            return term
        position = self.peek().position
        names: list[str] = []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().text[1:])
        match term:
            case Field(_, first):
                return Field(position, (*first, *names))
            case Variable(_, first):
                return Variable(position, (*first, *names))
            case Pipe() | Name():
                return Chain(position, term, tuple(names))
        return self.fail(f"unexpected . after term {quote(str(term))}")

    def _term(self) -> Operand | None:
        token = self.peek_past_spaces()
        if token.kind not in _OPERANDS:
            return None
        self.next()
        position, text = token.position, token.text
        match token.kind:
            case Kind.IDENTIFIER:
                if text not in FUNCTIONS:
                    self.fail(f"function {quote(text)} not defined")
                return Name(position, text)
            case Kind.DOT:
                return Dot(position)
            case Kind.NIL:
                return Nil(position)
            case Kind.BOOL:
                return Bool(position, text == "true")
            case Kind.FIELD:
                return Field(position, (text[1:],))
            case Kind.VARIABLE:
                if text not in self.variables:
                    self.fail(f"undefined variable {quote(text)}")
                return Variable(position, (text,))
            case Kind.OPEN:
                self.nested()
                pipe = self._pipeline("parenthesized pipeline", Kind.CLOSE)
                self.depth -= 1
                return pipe
            case Kind.STRING | Kind.RAW:
                return String(position, text, self._unquoted(token))
        return Number(position, text, self._number(token))

    def _number(self, token: Token) -> int | float:
        try:
            return unquote_char(token.text) if token.kind is Kind.CHARACTER else number(token.text)
        except TooLarge:
            self.fail(f"integer overflow: {quote(token.text)}")
        except ValueError as wrong:
            self.fail(str(wrong) or f"illegal number syntax: {quote(token.text)}")


def _empty(nodes: Nodes) -> bool:
    return all(isinstance(node, Text) and not node.text.strip(" \t\r\n\v\f") for node in nodes)
