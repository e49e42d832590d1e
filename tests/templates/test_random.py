"""Properties that hold for every text, every template and all data."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.templates import making
from tropa.templates.chat import Conversation, render
from tropa.templates.errors import TemplateError, TemplateSyntaxError
from tropa.templates.interpreter import execute
from tropa.templates.nodes import Tree
from tropa.templates.parser import parse
from tropa.templates.template import Template

ROLES = st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), max_size=5)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parsed(text: str) -> Tree | TemplateSyntaxError:
    """Anything else that is raised fails the test."""
    try:
        return parse(text)
    except TemplateSyntaxError as wrong:
        return wrong


def executed(tree: Tree, data: dict[str, Any]) -> str | None:
    """None for a TemplateError; anything else that is raised fails the test."""
    try:
        return execute(tree, data)
    except TemplateError:
        return None


@quick
@given(making.soups)
@example("{{\ud800}}")
@example("{{$\u0660}}")
@example("{{²}}")
def test_any_text_is_a_template_or_a_syntax_error(text: str) -> None:
    tree = parsed(text)
    if isinstance(tree, Tree):
        assert parse(str(tree)) == tree
    else:
        assert str(tree).startswith("template: :")
        assert 1 <= tree.line <= text.count("\n") + 1


@quick
@given(st.text(max_size=60).filter(lambda text: "{{" not in text))
def test_a_text_without_actions_prints_itself(text: str) -> None:
    assert execute(parse(text), {}) == text


@quick
@given(making.templates)
@example("{ {{- /* */ -}} {{{ .a }}")
@example("{{ if .a }}{ {{- end }}")
def test_what_a_tree_prints_is_parsed_to_the_same_tree(text: str) -> None:
    tree = parsed(text)
    if isinstance(tree, Tree):
        again = parse(str(tree))
        assert again == tree
        assert str(again) == str(tree)


@quick
@given(making.templates, making.data)
def test_any_template_on_any_data_ends_with_text_or_a_template_error(text: str, data: dict[str, Any]) -> None:
    tree = parsed(text)
    if isinstance(tree, Tree):
        assert executed(parse(str(tree)), data) == executed(tree, data)


@quick
@given(making.templates, ROLES, making.data)
def test_any_template_renders_any_conversation_or_says_why_not(
    text: str, roles: list[str], data: dict[str, Any]
) -> None:
    with suppress(TemplateSyntaxError):
        template = Template.parse(text)
        call = {"function": {"name": "f", "arguments": data}}
        said = [{"role": role, "content": role[0], "tool_calls": [call]} for role in roles]
        with suppress(TemplateError):
            assert isinstance(render(template, Conversation(said, [data], True)), str)
