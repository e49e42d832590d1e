"""`doctor`: what works on this machine, what does not, and what to do about it. Needs no running server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tropa import __version__
from tropa.cli import terminal
from tropa.cli.command import Call
from tropa.cli.commands import ENVIRONMENT
from tropa.client.client import Client
from tropa.client.errors import CannotConnect, ClientError
from tropa.settings import BadSettings, Host, Settings, load

if TYPE_CHECKING:
    from tropa.server.diagnosis import Finding

_PATIENCE = 2.0
"""Seconds for each step of asking who is at the address."""

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}
_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "broken": "\x1b[1;31m"}
_OURS = ("OLLAMA_", "TROPA_")
_NOT_OF_THE_SERVER = ("OLLAMA_NOHISTORY", "TROPA_PLAIN")


def doctor(call: Call) -> int:
    """Exit status 1 if something is broken, so that scripts can ask."""
    from tropa.server.diagnosis import Level, diagnose

    settings, found = read_settings(os.environ)
    found = [*diagnose(settings), address(settings.host), *found]
    broken = any(each.level is Level.BROKEN for each in found)
    if call.on("json"):
        sys.stdout.write(json.dumps(as_json(found, broken=broken), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(report(found, colours=terminal.has_colours(sys.stdout)))
    return int(broken)


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """The settings in force, those that can't be used left out, and what there is to say of them."""
    from tropa.server.diagnosis import Finding, Level

    found: list[Finding] = []
    mine = {name: text for name, text in environ.items() if text.strip().strip("\"'")}
    try:
        settings = load(mine)
    except BadSettings as error:
        refused = "correct it: the server would refuse to start"
        found += [Finding("settings", Level.BROKEN, problem, refused) for problem in error.problems]
        bad = {problem.partition("=")[0] for problem in error.problems}
        settings = load({name: text for name, text in mine.items() if name not in bad})
        mine = {name: text for name, text in mine.items() if name not in bad}
    default = load({})
    for name in sorted(mine):
        if load({name: mine[name]}) != default:
            text = f"{name}={mine[name]} ({ENVIRONMENT.get(name, 'not the default')})"
            found.append(Finding("settings", Level.OK, text, "", {"name": name, "value": mine[name]}))
        elif name.startswith(_OURS) and name not in ENVIRONMENT and name not in _NOT_OF_THE_SERVER:
            # Its value is not shown: who knows what it holds.
            advice = "see 'tropa serve --help' for those that have"
            found.append(
                Finding("settings", Level.NOTE, f"{name} has no effect here", advice, {"name": name})
            )
    return settings, found or [Finding("settings", Level.OK, "all as they come")]


def address(host: Host) -> Finding:
    """Who is at `OLLAMA_HOST`: nobody, a server of ours, another one, or something else."""
    from tropa.server.diagnosis import Finding, Level, cannot_listen, holder

    facts: dict[str, object] = {"url": host.url}
    try:
        answer = Client(host, timeout=_PATIENCE, patience=_PATIENCE).get("/api/version")
    except CannotConnect as error:
        facts["in_use"] = False
        if problem := cannot_listen(host.host, host.port):
            advice = "set OLLAMA_HOST to an address of this machine, or start the server that should be there"
            return Finding("address", Level.BROKEN, f"{error}; {problem}", advice, facts)
        return Finding(
            "address", Level.OK, f"{host.url} is free; 'tropa serve' would listen there", "", facts
        )
    except ClientError as error:
        who = holder(host.port) if _is_here(host.host) else ""
        facts |= {"in_use": True, "holder": who}
        text = f"{host.url} is taken by {who or 'another program'}, which is no such server ({error})"
        return Finding("address", Level.BROKEN, text, "stop it, or set OLLAMA_HOST to another port", facts)
    who = holder(host.port) if _is_here(host.host) else ""
    facts |= {"in_use": True, "holder": who, "tropa": answer.get("tropa"), "version": answer.get("version")}
    by = f", {who}" if who else ""
    if (running := answer.get("tropa")) is None:
        text = f"{host.url} is taken by an Ollama {answer.get('version', '')}{by}: commands go there"
        advice = "stop it before 'tropa serve', or set OLLAMA_HOST to another port"
        return Finding("address", Level.NOTE, text, advice, facts)
    text = f"tropa {running} answers at {host.url}{by}"
    if running != __version__:
        advice = f"restart it to get {__version__}"
        return Finding("address", Level.NOTE, f"{text}; this is {__version__}", advice, facts)
    return Finding("address", Level.OK, text, "", facts)


def _is_here(name: str) -> bool:
    """Whether the port is one of this machine's."""
    from tropa.server.listener import is_loopback

    return is_loopback(name) or name in {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def report(found: list[Finding], *, colours: bool = False) -> str:
    lines = [f"tropa {__version__}, Python {sys.version.split()[0]}, {sys.platform}"]
    for each in found:
        mark = f"{_MARKS[each.level]:<6}"
        if colours:
            mark = f"{_COLOURS[each.level]}{mark}{terminal.PLAIN}"
        lines.append(f"{mark}  {each.topic:<8}  {each.text}")
        if each.advice:
            lines.append(f"{'':<18}-> {each.advice}")
    broken = sum(each.level == "broken" for each in found)
    lines.append("")
    lines.append(f"{broken} broken" if broken else "nothing is broken")
    return "\n".join(lines) + "\n"


def as_json(found: list[Finding], *, broken: bool) -> dict[str, object]:
    return {
        "tropa": __version__,
        "python": sys.version.split()[0],
        "platform": sys.platform,
        "broken": broken,
        "findings": [
            {
                "topic": each.topic,
                "level": str(each.level),
                "text": each.text,
                "advice": each.advice,
                **each.facts,
            }
            for each in found
        ],
    }
