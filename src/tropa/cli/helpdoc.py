"""`python -m tropa.cli.helpdoc` prints docs/help.md. A test says when the page is stale."""

from __future__ import annotations

import sys

from tropa.cli import helptext
from tropa.cli.commands import COMMANDS

_HEAD = """\
# Commands

Written by `python -m tropa.cli.helpdoc`; do not edit.
"""


def page() -> str:
    """The help of the program and of every command, in Markdown."""
    sections = [("tropa", helptext.program())]
    sections += [(f"tropa {command.name}", helptext.command(command)) for command in COMMANDS]
    return _HEAD + "".join(f"\n## {title}\n\n```\n{text}```\n" for title, text in sections)


if __name__ == "__main__":
    sys.stdout.write(page())
