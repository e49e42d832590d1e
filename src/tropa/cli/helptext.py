"""`--help` of the program and of each command, written from the table of commands."""

from __future__ import annotations

from tropa.cli.command import HELP, VERSION, Command, Flag
from tropa.cli.commands import COMMANDS
from tropa.cli.environment import ENVIRONMENT


def program() -> str:
    lines = ["Tropa serves large language models on your own machine.", "", "Usage:"]
    lines += ["  tropa COMMAND [ARGUMENTS] [FLAGS]", "", "Commands:"]
    lines += _pairs([(command.name, command.help) for command in COMMANDS])
    lines += ["", "Flags:", *_flags((HELP, VERSION)), ""]
    lines += ['"tropa COMMAND --help" says more about a command.']
    return "\n".join(lines) + "\n"


def command(of: Command) -> str:
    lines = [f"{of.help}.", ""]
    if of.more:
        lines += [of.more, ""]
    lines += ["Usage:", f"  {' '.join(filter(None, ('tropa', of.name, of.arguments, '[FLAGS]')))}"]
    if of.aliases:
        lines += ["", "Aliases:", f"  {', '.join((of.name, *of.aliases))}"]
    lines += ["", "Flags:", *_flags(of.all_flags)]
    if of.environment:
        lines += ["", "Environment:", *_pairs([(name, ENVIRONMENT[name]) for name in of.environment])]
    return "\n".join(lines) + "\n"


def _flags(flags: tuple[Flag, ...]) -> list[str]:
    return _pairs([(_spelled(flag), flag.help) for flag in flags])


def _spelled(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    value = (f"[={flag.value}]" if flag.bare else f" {flag.value}") if flag.value else ""
    return f"{short}--{flag.name}{value}"


def _pairs(pairs: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in pairs)
    return [f"  {name:<{width}}   {text}" for name, text in pairs]
