"""`completion`: a script that completes commands, flags and model names in a shell, written from the table of commands.

The script asks `tropa completion --models` for the names. That asks the server if one answers at once, and else
reads the store itself: Tab must neither wait nor start anything.
"""

from __future__ import annotations

import sys

from tropa.cli.command import HELP, VERSION, Call, Command, Flag, Takes, UsageError
from tropa.cli.commands import COMMANDS
from tropa.cli.parse import quoted
from tropa.cli.target import client
from tropa.client.errors import ClientError
from tropa.errors import TropaError

_PATIENCE = 0.3
"""Seconds for each step of asking the server."""


def completion(call: Call) -> int:
    if call.on("models"):
        sys.stdout.writelines(f"{name}\n" for name in model_names())
        return 0
    if not call.args:
        raise UsageError(f"accepts 1 arg(s), received 0: one of {', '.join(SCRIPTS)}")
    shell = call.args[0]
    if shell not in SCRIPTS:
        raise UsageError(
            f"no completion for the shell {quoted(shell)}: there is one for {', '.join(SCRIPTS)}"
        )
    sys.stdout.write(SCRIPTS[shell]())
    return 0


def model_names() -> list[str]:
    """Of the server's models, or of the store's if no server answers; none if neither can be asked."""
    try:
        answer = client(timeout=_PATIENCE, patience=_PATIENCE).get("/api/tags")
    except ClientError:
        return _stored()
    return [str(model["name"]) for model in answer.get("models") or [] if "name" in model]


def _stored() -> list[str]:
    from tropa.library.bundled import packaged
    from tropa.library.library import Library
    from tropa.settings import load

    try:
        return [str(model.name) for model in Library(load().models, packaged()).models()]
    except (TropaError, OSError):
        return []


def _words(command: Command) -> str:
    """What its arguments may be: `models`, `model` for the first one only, `shells`, `files`, or nothing."""
    if command.name == "completion":
        return "shells"
    first = command.arguments.split(" ")[0].strip("[]")
    if first.startswith("FILE"):
        return "files"
    if first not in {"MODEL", "MODEL...", "SOURCE", "PREFIX"}:
        return ""
    return "models" if first == "MODEL..." else "model"


def _spellings(flags: tuple[Flag, ...]) -> list[str]:
    return [
        each for flag in flags for each in (f"--{flag.name}", f"-{flag.short}" if flag.short else "") if each
    ]


def _with_value(command: Command) -> list[str]:
    """Flags after which the next word is their value."""
    return _spellings(
        tuple(flag for flag in command.flags if flag.takes is not Takes.NOTHING and not flag.bare)
    )


def _names() -> list[str]:
    return [command.name for command in COMMANDS] + ["help"]


def bash() -> str:
    cases = "\n".join(
        f"        {'|'.join((command.name, *command.aliases))})\n"
        f'            flags="{" ".join(_spellings(command.all_flags))}"'
        f' valued=" {" ".join(_with_value(command))} " words={_words(command)} ;;'
        for command in COMMANDS
    )
    return _BASH.format(
        cases=cases,
        commands=" ".join(_names()),
        options=" ".join(_spellings((HELP, VERSION))),
        shells=" ".join(SCRIPTS),
    )


_BASH = """\
# Completion of tropa for bash. In ~/.bashrc: eval "$(tropa completion bash)"
_tropa() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" typed=() word command="" current before="" count=0
    local flags="" valued="" words="" choices=""
    read -ra typed <<< "$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    current="${{typed[${{#typed[@]}} - 1]}}"
    COMPREPLY=()
    for word in "${{typed[@]:1:${{#typed[@]}} - 2}}"; do
        if [[ -z $command ]]; then
            [[ $word == -* ]] && continue
            command=$word
            _tropa_command "$command"
            continue
        fi
        if [[ $valued == *" $before "* && -n $before ]]; then
            before=""
            continue
        fi
        before=$word
        [[ $word == -* ]] || count=$((count + 1))
    done
    if [[ -z $command ]]; then
        choices="{commands}"
        [[ $current == -* ]] && choices="{options}"
    elif [[ -n $before && $valued == *" $before "* ]]; then
        compopt -o default 2> /dev/null
        return
    elif [[ $words == files && $current != -* ]]; then
        compopt -o default 2> /dev/null
        return
    elif [[ $current == -* ]]; then
        choices=$flags
    elif [[ $words == shells && $count == 0 ]]; then
        choices="{shells}"
    elif [[ $words == commands && $count == 0 ]]; then
        choices="{commands}"
    elif [[ $words == models || $words == model && $count == 0 ]]; then
        choices=$("${{typed[0]}}" completion --models 2> /dev/null)
    fi
    local IFS=$' \\n'
    COMPREPLY=($(compgen -W "$choices" -- "$current"))
    # For readline a colon begins a new word, unless the user has changed that.
    if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
        local head="${{current%"${{current##*:}}"}}"
        COMPREPLY=("${{COMPREPLY[@]#"$head"}}")
    fi
}}
_tropa_command() {{
    case "$1" in
{cases}
        help) words=commands ;;
    esac
}}
complete -F _tropa tropa
"""


def _single(text: str) -> str:
    """For between single quotes of zsh."""
    return text.replace("'", "'\\''")


def _zsh_flag(flag: Flag) -> list[str]:
    help_text = _single(flag.help.replace("\\", "").replace("[", "(").replace("]", ")"))
    value = f":{flag.value or 'value'}:_files" if flag.takes is not Takes.NOTHING and not flag.bare else ""
    equals = "=" if value else ""
    found = [f"'--{flag.name}{equals}[{help_text}]{value}'"]
    if flag.short:
        found.append(f"'-{flag.short}{'+' if value else ''}[{help_text}]{value}'")
    return found


def zsh() -> str:
    cases = []
    for command in COMMANDS:
        rest = {
            "models": "'*:model:_tropa_models'",
            "model": "'1:model:_tropa_models' '*: :'",
            "files": "'*:file:_files'",
            "shells": f"'1:shell:({' '.join(SCRIPTS)})'",
        }.get(_words(command), "'*: :'")
        flags = " ".join(each for flag in command.all_flags for each in _zsh_flag(flag))
        cases.append(f"        {'|'.join((command.name, *command.aliases))}) _arguments {flags} {rest} ;;")
    described = "\n".join(f"        '{_single(f'{command.name}:{command.help}')}'" for command in COMMANDS)
    return _ZSH.format(cases="\n".join(cases), described=described)


_ZSH = """\
#compdef tropa
# Completion of tropa for zsh. In ~/.zshrc, after compinit: eval "$(tropa completion zsh)"
_tropa_models() {{
    local -a names
    names=(${{(f)"$(tropa completion --models 2> /dev/null)"}})
    compadd -a names
}}
_tropa_commands() {{
    local -a commands
    commands=(
{described}
        'help:Help for a command'
    )
    _describe command commands
}}
_tropa() {{
    if (( CURRENT == 2 )); then
        _tropa_commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
        help) _tropa_commands ;;
    esac
}}
compdef _tropa tropa
"""


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish() -> str:
    lines = [
        "# Completion of tropa for fish: tropa completion fish > ~/.config/fish/completions/tropa.fish",
        "complete -c tropa -f",
        "complete -c tropa -n __fish_use_subcommand -a help -d 'Help for a command'",
        f"complete -c tropa -n '__fish_seen_subcommand_from help' -a '{' '.join(_names()[:-1])}'",
    ]
    for command in COMMANDS:
        names = " ".join((command.name, *command.aliases))
        lines.append(
            f"complete -c tropa -n __fish_use_subcommand -a {command.name} -d {_fish_text(command.help)}"
        )
        inside = f"complete -c tropa -n '__fish_seen_subcommand_from {names}'"
        for flag in command.all_flags:
            short = f" -s {flag.short}" if flag.short else ""
            value = " -r -F" if flag.takes is not Takes.NOTHING and not flag.bare else ""
            lines.append(f"{inside} -l {flag.name}{short}{value} -d {_fish_text(flag.help)}")
        match _words(command):
            case "models" | "model":
                lines.append(f"{inside} -a '(tropa completion --models 2> /dev/null)'")
            case "files":
                lines.append(f"{inside} -F")
            case "shells":
                lines.append(f"{inside} -a '{' '.join(SCRIPTS)}'")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
