"""`export` and `import`: models in a file, for machines without a network.

Both work on the model folder itself, with its locks: no server is needed, and one that runs sees what comes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Self

from tropa.cli import terminal
from tropa.cli.command import Call, UsageError
from tropa.cli.progress import Progress
from tropa.library.bundled import packaged
from tropa.library.carry.errors import CannotExport, CannotImport
from tropa.library.carry.export import Export, export
from tropa.library.carry.load import contents, take
from tropa.library.library import Library
from tropa.library.name import InvalidName, Name
from tropa.library.status import Status
from tropa.settings import load
from tropa.text.progress import Bar
from tropa.text.sizes import format_size
from tropa.text.table import format_table

_STREAM = "-"


def export_models(call: Call) -> int:
    *names, file = call.args
    library = _library()
    _check_is_file(library, file)
    if file == _STREAM:
        if terminal.is_terminal(sys.stdout):
            raise UsageError(
                "a tar is nothing to look at", hint="send it on to a file or a program with > or |"
            )
        with _leaving_nothing(), Export(library, names) as models, _Bars() as bars:
            _write_out(models, bars)
            written = models.names
    else:
        with _leaving_nothing(), _Bars() as bars:
            written = export(library, names, Path(file), bars.show, force=call.on("force"))
    where = "standard output" if file == _STREAM else f"'{file}'"
    for name in written:
        sys.stderr.write(f"exported '{name}' to {where}\n")
    return 0


def _check_is_file(library: Library, file: str) -> None:
    """`tropa export one two`: was the file forgotten?"""
    if file == _STREAM or file.lower().endswith(".tar"):
        return
    with suppress(InvalidName):
        if library.get(Name.parse(file)) is not None:
            raise UsageError(
                f"the last argument is the file to write, and '{file}' is a model",
                hint=f"if it is to be the file's name, write ./{file}.tar",
            )


@contextmanager
def _leaving_nothing() -> Iterator[None]:
    """`kill` and a closed terminal are ways out like Ctrl-C: unfinished files go first."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_out(models: Export, bars: _Bars) -> None:
    try:
        models.write(sys.stdout.buffer, bars.show)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotExport(f"cannot write to standard output: {error.strerror}") from error


def import_models(call: Call) -> int:
    file, *name = call.args
    wanted = Name.parse(name[0]) if name else None
    if call.on("list"):
        if wanted is not None:
            raise UsageError("--list takes no name")
        return _list(file)
    with _opened(file) as source, _leaving_nothing(), _Bars() as bars:
        imported = take(_library(), source, bars.show, wanted)
    for model in imported:
        what = "is here already" if model.was_here else "imported"
        note = ", in place of the model that had this name" if model.replaced else ""
        sys.stdout.write(f"'{model.name}' {what} ({model.id[:12]}, {format_size(model.size)}){note}\n")
    return 0


def _list(file: str) -> int:
    with _opened(file) as source:
        models = contents(source)
    rows = [
        [str(model.name or model.text or "(no name)"), model.id[:12], format_size(model.size)]
        for model in models
    ]
    sys.stdout.write(format_table(["NAME", "ID", "SIZE"], rows))
    return 0


def _library() -> Library:
    settings = load()
    return Library(settings.models, packaged(), prune=not settings.noprune)


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    if file == _STREAM:
        if terminal.is_terminal(sys.stdin):
            raise UsageError("nothing is piped in", hint="send a tar to it with < or |")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise CannotImport(f'cannot open "{file}": {error.strerror}') from error


class _Bars:
    """A bar for each blob, with its rate and the time left."""

    def __init__(self) -> None:
        self._progress = Progress(keep=True)
        self._bars: dict[str, Bar] = {}

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()

    def show(self, status: Status) -> None:
        if not status.digest:
            self._progress.status(status.status)
            return
        bar = self._bars.get(status.digest)
        if bar is None:
            bar = self._progress.bar(f"{status.status}:", status.total, status.completed)
            self._bars[status.digest] = bar
        self._progress.move(bar, status.completed)
