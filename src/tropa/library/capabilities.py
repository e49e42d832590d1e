"""What a model can do, and which of its templates is used. One list, for tags and for show alike.

A model may bring two templates: a Go one from its Modelfile and a Jinja one inside the GGUF. The rules for
choosing are the reference's (`spec/templates.md` §7, §11), save that the answer does not depend on who asks.
"""

from __future__ import annotations

import re

from tropa.library.header import Header

COMPLETION, EMBEDDING, VISION, AUDIO = "completion", "embedding", "vision", "audio"
TOOLS, INSERT, THINKING = "tools", "insert", "thinking"

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_BLOCK = re.compile(r"(if|with|block|define|range|end)\b")


def capabilities(
    header: Header | None,
    *,
    template: str | None = None,
    listed: tuple[str, ...] = (),
    projectors: tuple[Header, ...] = (),
    family: str = "",
) -> tuple[str, ...]:
    """What the config lists comes first, then what the files show, in a fixed order."""
    found = list(listed)
    if header is not None:
        found.append(EMBEDDING if header.embeds else COMPLETION)
        everything = (header, *projectors)
        found += [VISION] * (bool(projectors) or header.vision) + [AUDIO] * any(
            each.audio for each in everything
        )
        jinja = header.chat_template
        used = jinja_capabilities(jinja) if uses_jinja(template, jinja) else go_capabilities(template or "")
        found += [each for each in (TOOLS, INSERT, THINKING) if each in used]
        if family in ("gptoss", "gpt-oss"):
            found.append(THINKING)
        if family == "nemotron_h_omni" and AUDIO in found:
            found.remove(AUDIO)
    return tuple(dict.fromkeys(found))


def uses_jinja(template: str | None, jinja: str | None) -> bool:
    """Whether prompts are rendered by the template in the GGUF rather than by the author's Go template."""
    if not template or not jinja:
        return bool(jinja)
    ours, theirs = go_capabilities(template), jinja_capabilities(jinja)
    if len(theirs) > len(ours):
        return not _go_tool_results(template) or _jinja_tool_results(jinja)
    return theirs == ours and TOOLS in ours and _jinja_tool_results(jinja) and not _go_tool_results(template)


def jinja_capabilities(jinja: str | None) -> frozenset[str]:
    text = jinja or ""
    found = {TOOLS} if "tools" in text or "tool_call" in text else set()
    closes = "content.split('</think>')" in text
    if ("<think>" in text and "</think>" in text) or (
        closes and "reasoning_content" not in text and "<SPECIAL_12>" not in text
    ):
        found.add(THINKING)
    return frozenset(found)


def go_capabilities(template: str) -> frozenset[str]:
    found = set()
    actions = [match[1] for match in _ACTION.finditer(template)]
    if any(_mentions("Tools", action) for action in actions):
        found.add(TOOLS)
    if any(_mentions("Suffix", action) for action in actions):
        found.add(INSERT)
    if _thinks(actions):
        found.add(THINKING)
    return frozenset(found)


def _thinks(actions: list[str]) -> bool:
    """A `.Thinking` whose nearest `range` goes over the messages."""
    blocks: list[str] = []
    for action in actions:
        word = _BLOCK.match(action)
        kind = word[1] if word else ""
        ranges = [each for each in blocks if each.startswith("range")]
        if ranges and _mentions("Messages", ranges[-1]) and _mentions("Thinking", action):
            return True
        if kind == "end" and blocks:
            blocks.pop()
        elif kind and kind != "end":
            blocks.append(action)
    return False


def _mentions(field: str, action: str) -> bool:
    return re.search(rf"\.{field}\b", action) is not None


def _go_tool_results(template: str) -> bool:
    actions = [match[1] for match in _ACTION.finditer(template)]
    variables = all(any(_mentions(name, action) for action in actions) for name in ("Tools", "ToolCalls"))
    return variables and any(
        mark in template for mark in ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    )


def _jinja_tool_results(jinja: str) -> bool:
    calls = "tool_calls" in jinja or "assistant_tool_call" in jinja
    plain = jinja.replace('"', "'")
    results = ("tool_response", "tool_results", "role'] == 'tool'", "message.role == 'tool'", "ipython")
    return calls and any(mark in plain for mark in results)
