"""What a model can do, and which of its templates is used. One list, for tags and for show alike.

A model may bring two templates: a Go one from its Modelfile and a Jinja one inside the GGUF. The rules for
choosing are the reference's, save that the answer does not depend on who asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tropa.library.header import Header

COMPLETION, EMBEDDING, RERANK, VISION, AUDIO = "completion", "embedding", "rerank", "vision", "audio"
TOOLS, INSERT, THINKING = "tools", "insert", "thinking"


@dataclass(frozen=True, slots=True)
class _Go:
    """What a Go template tells."""

    capabilities: frozenset[str] = frozenset()
    takes_tool_results: bool = False


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
        found.append(RERANK if header.reranks else EMBEDDING if header.embeds else COMPLETION)
        beside = projectors[:1]  # an engine is started with one of them
        # A projector that says nothing of itself sees; one that hears and says nothing of seeing only hears.
        sees = header.vision or any(each.vision or not each.audio for each in beside)
        hears = header.audio or any(each.audio for each in beside)
        found += [VISION] * sees + [AUDIO] * hears
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
        return not _go(template).takes_tool_results or _jinja_tool_results(jinja)
    return (
        theirs == ours
        and TOOLS in ours
        and _jinja_tool_results(jinja)
        and not _go(template).takes_tool_results
    )


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
    """None where the text is no template: the model is listed all the same, and says why when it is asked."""
    return _go(template).capabilities


@lru_cache(maxsize=512)
def _go(text: str) -> _Go:
    """Parsing takes milliseconds, a listing asks for all models, and most of them share a few templates."""
    from tropa.templates.errors import TemplateSyntaxError
    from tropa.templates.template import Template

    try:
        template = Template.parse(text)
    except TemplateSyntaxError:
        return _Go()
    return _Go(template.capabilities, template.takes_tool_results)


def _jinja_tool_results(jinja: str) -> bool:
    calls = "tool_calls" in jinja or "assistant_tool_call" in jinja
    plain = jinja.replace('"', "'")
    results = ("tool_response", "tool_results", "role'] == 'tool'", "message.role == 'tool'", "ipython")
    return calls and any(mark in plain for mark in results)
