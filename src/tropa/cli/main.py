"""The way in: find the command, run it, turn what goes wrong into one `Error:` line and a status.

Nothing heavy is imported here. `tropa ps` has to feel instant, so a command's code comes in when it runs.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from tropa.cli.command import HELP, VERSION, Call, Command
from tropa.cli.parse import parse
from tropa.errors import TropaError

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    _tolerate_any_text()
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except TropaError as error:
        return complain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `tropa list | head -1`: whoever read has enough
        _forget_output()
        return 1
    return status


def complain(error: TropaError) -> int:
    """Say it on stderr, after whatever was printed before. Returns the status that goes with it."""
    sys.stdout.flush()
    sys.stderr.write(f"Error: {error}\n")
    if error.hint:
        sys.stderr.write(f"{error.hint[0].upper()}{error.hint[1:]}\n")
    return 1


def _dispatch(words: Sequence[str]) -> int:
    before, name, after = _split(words)
    flags = parse(before, (HELP, VERSION))
    if flags.on("help"):
        return _help(name)
    if flags.on("version"):
        from tropa.cli.version import version

        return version()
    if name is None:
        return _help(None)
    if name == "help":
        return _help(next((word for word in after if not word.startswith("-")), None))
    from tropa.cli.commands import find

    command = find(name)
    call = parse(after, command.all_flags)
    if call.on("help"):
        return _help(name)
    command.check_count(len(call.args))
    return _load(command)(call)


def _split(words: Sequence[str]) -> tuple[Sequence[str], str | None, Sequence[str]]:
    """The flags before the command, the command, and what follows it."""
    for i, word in enumerate(words):
        if not word.startswith("-"):
            return words[:i], word, words[i + 1 :]
    return words, None, []


def _load(command: Command) -> Callable[[Call], int]:
    module, _, function = command.entry.partition(":")
    entry: Callable[[Call], int] = getattr(import_module(module), function)
    return entry


def _help(name: str | None) -> int:
    from tropa.cli import commands, helptext

    sys.stdout.write(helptext.program() if name is None else helptext.command(commands.find(name)))
    return 0


def _tolerate_any_text() -> None:
    """A terminal or file that cannot show a character gets a substitute, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _forget_output() -> None:
    """Python flushes stdout once more at exit, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
