"""What a template says about its model without being executed: the names it uses, and the tags around tool calls
and thoughts. Models have no better place that tells how they mark them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tropa.templates.errors import TemplateSyntaxError, place
from tropa.templates.nodes import (
    Action,
    AnyNode,
    Chain,
    Command,
    Field,
    If,
    Invoke,
    Nodes,
    Pipe,
    Range,
    Text,
    Tree,
    Variable,
    With,
)

_ANY_TAG = "{"


def variables(tree: Tree) -> frozenset[str]:
    """All names of all fields and variables, in lower case. Raises TemplateSyntaxError for a bare template call."""
    found: set[str] = set()
    for nodes in (tree.root, *tree.defined.values()):
        for node in _everything(nodes):
            if isinstance(node, (Field, Variable, Chain)):
                found.update(name.lower() for name in node.names)
            elif isinstance(node, Invoke) and node.pipe is None:
                line, column = place(tree.text, node.position)
                raise TemplateSyntaxError(
                    "undefined template specified",
                    line=line,
                    column=column,
                    hint=f'line {line}: {{{{ template "{node.name}" }}}} needs an argument, for example a dot',
                )
    return frozenset(found)


def thinking_tags(root: Nodes) -> tuple[str, str] | None:
    """What stands around `.Thinking` in a loop over `.Messages`."""
    opening = closing = ""
    for nodes in _lists_around_thinking(root, inside=False):
        first, last = nodes[0], nodes[-1]
        if isinstance(first, Text):
            opening = first.text.strip()
        if isinstance(last, Text):
            closing = last.text.strip()
    return (opening, closing) if opening and closing else None


def tool_tag(root: Nodes) -> str:
    """What a tool call begins with: the first text in the first block that is there for `.ToolCalls`."""
    return (_tag(root) or "").partition("{")[0].strip() or _ANY_TAG


def takes_tool_results(tree: Tree, names: frozenset[str]) -> bool:
    marks = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    return {"tools", "toolcalls"} <= names and any(mark in tree.text for mark in marks)


def _everything(nodes: Nodes) -> Iterator[AnyNode]:
    for node in nodes:
        yield node
        for pipe in _pipes(node):
            yield from pipe.declared
            yield from _words(pipe)
        for body in _bodies(node):
            yield from _everything(body)


def _pipes(node: AnyNode) -> Iterator[Pipe]:
    match node:
        case Action(_, pipe) | Range(_, pipe):
            yield pipe
        case Invoke(pipe=Pipe() as pipe):
            yield pipe
        case If(_, arms) | With(_, arms):
            yield from (arm.pipe for arm in arms)


def _bodies(node: AnyNode) -> Iterator[Nodes]:
    match node:
        case Range(_, _, body, otherwise):
            yield body
            yield otherwise or ()
        case If(_, arms, otherwise) | With(_, arms, otherwise):
            yield from (arm.body for arm in arms)
            yield otherwise or ()


def _words(pipe: Pipe) -> Iterator[AnyNode]:
    """All operands of a pipeline, those in parentheses too."""
    for command in pipe.commands:
        for word in command.words:
            yield word
            inner = word.operand if isinstance(word, Chain) else word
            if isinstance(inner, Pipe):
                yield from _words(inner)


def fields(pipe: Pipe) -> Iterator[Field]:
    return (word for word in _words(pipe) if isinstance(word, Field))


def _lists_around_thinking(nodes: Nodes, *, inside: bool) -> Iterator[Nodes]:
    """The list that each `.Thinking` stands in, where the nearest loop goes over the messages."""
    for node in nodes:
        if inside and not isinstance(node, Range) and any(_thinks(pipe) for pipe in _pipes(node)):
            yield nodes
        within = inside
        if isinstance(node, Range):
            within = any(each.names[0] == "Messages" for each in fields(node.pipe))
            if within and _thinks(node.pipe):
                yield nodes
        for body in _bodies(node):
            yield from _lists_around_thinking(body, inside=within)


def _thinks(pipe: Pipe) -> bool:
    return any(each.names[0] == "Thinking" for each in fields(pipe))


def _tag(nodes: Nodes) -> str | None:
    for node in nodes:
        if isinstance(node, If):
            for arm in node.arms:
                if _for_calls(arm.pipe.commands):
                    return _first_text(arm.body)
                if (found := _tag(arm.body)) is not None:
                    return found
            if (found := _tag(node.otherwise or ())) is not None:
                return found
            continue
        for body in _bodies(node):
            if (found := _tag(body)) is not None:
                return found
    return None


def _for_calls(commands: tuple[Command, ...]) -> bool:
    return any(
        isinstance(word, Field) and "ToolCalls" in word.names
        for command in commands
        for word in command.words
    )


def _first_text(nodes: Nodes) -> str:
    """Empty when an action or an empty block comes before any text."""
    for node in nodes:
        match node:
            case Text(_, text) if text.strip():
                return text
            case Action():
                return ""
            case If() | With() | Range():
                return next(filter(None, map(_first_text, _bodies(node))), "")
    return ""
