"""Writes docs/help.md: `python -m tropa.cli.helpdoc`, in the repository. With `--check`, says if it is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from tropa.cli import helptext
from tropa.cli.commands import COMMANDS

PAGE = Path("docs/help.md")
_HEAD = """\
# Commands

Written by `python -m tropa.cli.helpdoc`; do not edit.
"""


def page() -> str:
    """The help of the program and of every command, in Markdown."""
    sections = [("tropa", helptext.program())]
    sections += [(f"tropa {command.name}", helptext.command(command)) for command in COMMANDS]
    return _HEAD + "".join(f"\n## {title}\n\n```\n{text}```\n" for title, text in sections)


def main(words: list[str]) -> int:
    """The exit status: 1 for a page that has to be written anew."""
    if words != ["--check"]:
        PAGE.write_text(page(), "utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == page():
        return 0
    sys.stderr.write(f"{PAGE} is stale: python -m tropa.cli.helpdoc writes it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
