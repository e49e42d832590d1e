"""The way in: find the command, run it, turn what goes wrong into one `Error:` line and a status.

Nothing heavy is imported here. `tropa ps` has to feel instant, so a command's code comes in when it runs.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from tropa.cli.command import HELP, VERSION, Call, Command
from tropa.cli.parse import parse
from tropa.errors import TropaError

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    _open_what_is_closed()
    _tolerate_any_text()
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except TropaError as error:
        return complain(error)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the shell's prompt should not follow `^C`
        return INTERRUPTED
    except BrokenPipeError:  # `tropa list | head -1`: whoever read has enough
        _forget_output()
        return 1
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        _forget_output()
        return complain(CannotWrite(error))
    return status


class CannotWrite(TropaError):
    """What we have to say can't be written where it should go: the disk behind it is full, or fails."""

    code = "cannot-write"

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror}")


def complain(error: TropaError) -> int:
    """Say it on stderr, after whatever was printed before. Returns the status that goes with it."""
    text = f"Error: {error}\n"
    if error.hint:
        text += f"{error.hint[0].upper()}{error.hint[1:]}\n"
    from tropa.cli.terminal import safe

    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
    with contextlib.suppress(OSError):  # the status still tells
        sys.stderr.write(safe(text, sys.stderr))
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
    from tropa.cli.find import find

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
    from tropa.cli import helptext
    from tropa.cli.find import find

    sys.stdout.write(helptext.program() if name in (None, "help") else helptext.command(find(name)))
    return 0


def _open_what_is_closed() -> None:
    """A stream that was closed before us (`tropa ps >&-`) goes nowhere. Its number must not fall to a socket,
    which would then get what was meant for it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


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
