"""`check`: are the models what they should be? Looks at the folder itself, and needs no server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tropa.cli.command import Call
from tropa.cli.progress import Progress
from tropa.text.progress import Bar
from tropa.text.sizes import format_size

if TYPE_CHECKING:
    from tropa.library.check import Check, Finding, Report


def check(call: Call) -> int:
    """Exit status 1: something is wrong, and still is after a repair."""
    from tropa.library.bundled import packaged
    from tropa.library.check import Check
    from tropa.library.library import Library
    from tropa.library.repair import repair
    from tropa.settings import BadSettings, load

    try:
        settings = load()
    except BadSettings as error:
        for problem in error.problems:
            sys.stderr.write(f"Error: {problem}\n")
        return 1
    checking = Check(Library(settings.models, packaged(), prune=not settings.noprune), call.args)
    report = _run(checking, "checking")
    _say(report)
    if call.on("repair") and report.findings:
        done, pruned = repair(checking)
        for line in done:
            sys.stdout.write(f"{line}\n")
        if pruned is not None:
            if pruned.removed:
                sys.stdout.write(
                    f"removed {_count(pruned.removed, 'file')} that nobody needs: {format_size(pruned.freed)}\n"
                )
            for warning in pruned.warnings:
                sys.stdout.write(f"warning: {warning}\n")
        before, report = report, _run(checking, "checking again")
        if before.problems:
            _say(report)
    _advise(report, repaired=call.on("repair"))
    return 1 if report.problems else 0


def _run(checking: Check, message: str) -> Report:
    """With a bar. What arrives in the store meanwhile makes it longer."""
    with Progress(keep=False) as progress:
        bar: Bar | None = None

        def move(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = progress.bar(f"{message}:", total)
            bar.total = total
            progress.move(bar, done)

        return checking.run(move)


def _say(report: Report) -> None:
    for finding in report.findings:
        sys.stdout.write(f"{_line(finding)}\n")
    checked = f"{_count(report.models, 'model')}, {_count(report.blobs, 'blob')}, {format_size(report.size)}"
    found = _count(len(report.problems), "problem") if report.problems else "all is well"
    sys.stdout.write(f"{checked}: {found}\n")
    sys.stdout.flush()


def _line(finding: Finding) -> str:
    text = f"{finding.kind.value}: {finding.what}"
    if finding.size:
        text += f" ({format_size(finding.size)})"
    text += f": {finding.why}"
    if finding.models and finding.digest is not None:
        text += f"; needed by {', '.join(name.short for name in finding.models)}"
    return text


def _advise(report: Report, *, repaired: bool) -> None:
    """What to do next, on standard error: the findings may go to a file."""
    from tropa.library.check import Kind

    mendable = {Kind.DAMAGED, Kind.MISNAMED, Kind.ORPHANED, Kind.STALE, Kind.LEFTOVER}
    lines = []
    if not repaired and any(each.kind in mendable for each in report.problems):
        lines.append("To mend what can be mended: tropa check --repair")
    broken = {Kind.MISSING, Kind.DAMAGED, Kind.CORRUPT}
    needing = {name for each in report.problems if each.kind in broken for name in each.models}
    if needing:
        names = ", ".join(name.short for name in sorted(needing))
        lines.append(f"To be pulled or created anew, or removed (tropa pull, create, rm): {names}")
    if any(each.kind is Kind.UNREADABLE for each in report.problems):
        lines.append("What is unreadable may belong to another user, or lie on a failing disk.")
    sys.stdout.flush()
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
