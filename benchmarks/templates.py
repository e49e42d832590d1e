"""What it takes to render a conversation of 100 messages: `python -m benchmarks.templates [--quick]`.

Two templates: a plain one, and one of the largest that well-known models have, with tools, tool results and a test for
the last message in every pass. Parsing is timed apart; it happens once per model. Processor time, best of many
rounds: what the work costs, not what the machine does besides. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.templates.families import CHATML, QWEN2_5

from tropa.templates.chat import Conversation, render
from tropa.templates.template import Template

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": "Does something with two things.",
            "parameters": {
                "type": "object",
                "required": ["first"],
                "properties": {
                    "first": {"type": "string"},
                    "second": {"type": "integer", "description": "How many"},
                },
            },
        },
    }
    for number in range(10)
]


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return round(best * 1000, 3)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it all run?")
    rounds = 5 if parser.parse_args().quick else 200
    said = [
        {"role": "assistant" if number % 2 else "user", "content": "Some words of an ordinary length. " * 6}
        for number in range(99)
    ]
    found: dict[str, object] = {"benchmark": "templates", "python": platform.python_version(), "messages": 99}
    for name, text, tools in (
        ("chatml", CHATML, []),
        ("qwen2.5", QWEN2_5, []),
        ("qwen2.5, 10 tools", QWEN2_5, TOOLS),
    ):
        template, conversation = Template.parse(text), Conversation(said, tools)
        parsing = milliseconds(partial(Template.parse, text), rounds)
        rendering = milliseconds(partial(render, template, conversation), rounds)
        found[name] = {
            "parse_ms": parsing,
            "render_ms": rendering,
            "characters": len(render(template, conversation)),
        }
        print(f"{name:18} parse {parsing:6.2f} ms   render {rendering:6.2f} ms")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
