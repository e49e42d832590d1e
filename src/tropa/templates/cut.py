"""The part of a template that comes before the answer: all of it up to its first `.Response`.

A legacy template describes a whole turn. The last turn has no answer yet, so what would follow it has to go.
"""

from __future__ import annotations

from dataclasses import replace

from tropa.templates.nodes import Action, Arm, If, Node, Nodes, Range, With
from tropa.templates.variables import fields


def cut(nodes: Nodes) -> Nodes:
    """Up to and including the first action with a `.Response`; all of it if there is none."""
    return _cut(nodes)[0]


def _cut(nodes: Nodes) -> tuple[Nodes, bool]:
    """What is left, and whether something was found. Conditions and arguments of templates do not count."""
    for index, node in enumerate(nodes):
        left, found = _cut_node(node)
        if found:
            return (*nodes[:index], left), True
    return nodes, False


def _cut_node(node: Node) -> tuple[Node, bool]:
    match node:
        case Action():
            return node, any("Response" in field.names for field in fields(node.pipe))
        case If() | With():
            for index, arm in enumerate(node.arms):
                body, found = _cut(arm.body)
                if found:
                    arms = (*node.arms[:index], Arm(arm.pipe, body))
                    return replace(node, arms=arms, otherwise=None), True
            body, found = _cut(node.otherwise or ())
            return (replace(node, otherwise=body), True) if found else (node, False)
        case Range():
            body, found = _cut(node.body)
            if found:
                return replace(node, body=body, otherwise=None), True
            body, found = _cut(node.otherwise or ())
            return (replace(node, otherwise=body), True) if found else (node, False)
    return node, False
