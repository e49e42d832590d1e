"""A template of a model: parsed once, shared by all who render with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tropa.templates.cut import cut
from tropa.templates.interpreter import execute
from tropa.templates.nodes import Action, Command, Field, Nodes, Pipe, Tree
from tropa.templates.parser import parse
from tropa.templates.variables import takes_tool_results, thinking_tags, tool_tag, variables

DEFAULT = "{{ .Prompt }}"
"""What a model without a template is taken to have."""
TOOLS, INSERT, THINKING = "tools", "insert", "thinking"


@dataclass(frozen=True, slots=True)
class Template:
    """Immutable. What it tells about its model was found out while parsing."""

    text: str
    """As its author wrote it."""
    tree: Tree
    """With a `.Response` at the end where the author left out both that and `.Messages`."""
    opening: Nodes
    """The tree's root up to its first `.Response`."""
    variables: frozenset[str]
    """All names of fields and variables in it, in lower case."""
    thinking: tuple[str, str] | None
    """What the model writes before and after its thoughts."""
    tool_tag: str
    """What the model begins a tool call with; a brace when the template does not tell."""
    capabilities: frozenset[str]
    """Of tools, insert, thinking."""
    takes_tool_results: bool

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises TemplateSyntaxError."""
        tree = parse(text)
        names = variables(tree)
        if not names & {"messages", "response"}:
            tree = Tree((*tree.root, _response(len(text))), tree.defined, text)
        thinking = thinking_tags(tree.root)
        found = {TOOLS: "tools" in names, INSERT: "suffix" in names, THINKING: thinking is not None}
        return cls(
            text=text,
            tree=tree,
            opening=cut(tree.root),
            variables=names,
            thinking=thinking,
            tool_tag=tool_tag(tree.root),
            capabilities=frozenset(name for name, there in found.items() if there),
            takes_tool_results=takes_tool_results(tree, names),
        )

    def execute(self, data: Mapping[str, object]) -> str:
        """The whole template with `data`: texts, numbers, lists, dicts, views. Raises TemplateError."""
        return execute(self.tree, dict(data))

    def execute_opening(self, data: Mapping[str, object]) -> str:
        """The part before the answer. Raises TemplateError."""
        return execute(self.tree, dict(data), root=self.opening, lenient=True)


def _response(at: int) -> Action:
    command = Command(at, (Field(at, ("Response",)),))
    return Action(at, Pipe(at, (), False, (command,)))
