"""`doctor`: what works on this machine, what does not, and what to do about it. Needs no running server."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tropa import __version__
from tropa.cli import target, terminal
from tropa.cli.command import Call, UsageError
from tropa.cli.environment import ENGINES_OWN, ENVIRONMENT, SECRET, without_effect
from tropa.client.client import Client
from tropa.client.errors import CannotConnect, ClientError, ServerError
from tropa.settings import BadSettings, Settings, load

if TYPE_CHECKING:
    from tropa.server.diagnosis import Finding

_PATIENCE = 2.0
"""Seconds for each step of asking who is at the address."""

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}
_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "broken": "\x1b[1;31m"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NO_ACCESS = 401


def doctor(call: Call) -> int:
    """Exit status 1 if something is broken, so that scripts can ask."""
    from tropa.server.diagnosis import Level, diagnose

    settings, found = read_settings(os.environ)
    found = [*diagnose(settings), *(address(settings, _key(found)) if _has_address(found) else []), *found]
    broken = any(each.level is Level.BROKEN for each in found)
    if call.on("json"):
        sys.stdout.write(json.dumps(as_json(found, broken=broken), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(report(found, colours=terminal.has_colours(sys.stdout)))
    return int(broken)


def _key(found: list[Finding]) -> str | None:
    """The key for the server. One that can't be sent is a finding."""
    from tropa.server.diagnosis import Finding, Level

    try:
        return target.key()
    except UsageError as error:
        found.append(Finding("settings", Level.BROKEN, str(error), "correct it: every command would fail"))
        return None


def _has_address(found: list[Finding]) -> bool:
    return not any(each.level == "broken" and each.text.startswith("OLLAMA_HOST=") for each in found)


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
        bad = {re.split("[=:]", problem, maxsplit=1)[0] for problem in error.problems}
        mine = {name: text for name, text in mine.items() if name not in bad}
        settings = load(mine)
    if settings.host.warning:
        text = f"OLLAMA_HOST={mine['OLLAMA_HOST']}: {settings.host.warning}"
        found.append(Finding("settings", Level.NOTE, text, "give it a port up to 65535"))
    default = load({})
    for name in sorted(mine):
        if name in SECRET:
            found.append(Finding("settings", Level.OK, f"{name} is set", "", {"name": name}))
        elif name.upper() in _PROXIES:
            value = without_password(mine[name])
            text = f"{name}={value}: counts for registries, if the server has it too"
            found.append(Finding("settings", Level.OK, text, "", {"name": name, "value": value}))
        elif name in ENGINES_OWN or load({name: mine[name]}) != default:
            text = f"{name}={mine[name]}: {_meaning(name)}"
            found.append(Finding("settings", Level.OK, text, "", {"name": name, "value": mine[name]}))
    for name, why in without_effect(mine):  # a value is not shown: who knows what it holds
        found.append(Finding("settings", Level.NOTE, f"{name} has no effect here", why, {"name": name}))
    return settings, found or [Finding("settings", Level.OK, "all as they come")]


def _meaning(name: str) -> str:
    if name in ENGINES_OWN:
        return "for the engine"
    return ENVIRONMENT.get(name, "not the default").partition(" (")[0]


def without_password(text: str) -> str:
    """A proxy's address as it may be shown."""
    return re.sub(r"[^/@]*@", "", text)


def address(settings: Settings, key: str | None = None) -> list[Finding]:
    """Who is at `OLLAMA_HOST`: nobody, a server of ours, another one, or something else."""
    from tropa.server.diagnosis import Finding, Level, cannot_listen, closed_to_servers, holder

    host = settings.host
    facts: dict[str, object] = {"url": host.url}

    def finding(level: Level, text: str, advice: str = "") -> list[Finding]:
        return [Finding("address", level, text, advice, facts)]

    try:
        answer = Client(host, timeout=_PATIENCE, patience=_PATIENCE, key=key).get("/api/version")
    except CannotConnect as error:
        facts["in_use"] = False
        if problem := cannot_listen(host.host, host.port):
            advice = "set OLLAMA_HOST to an address of this machine, or start the server that should be there"
            return finding(Level.BROKEN, f"{error}; {problem}", advice)
        if refused := closed_to_servers(settings):
            return finding(
                Level.BROKEN, f"'tropa serve' would refuse to start: {refused}", refused.hint or ""
            )
        return finding(Level.OK, f"{host.url} is free; 'tropa serve' would listen there")
    except ClientError as error:
        who = holder(host.port) if _is_here(host.host) else ""
        facts |= {"in_use": True, "holder": who}
        if isinstance(error, ServerError) and error.status == _NO_ACCESS:
            return finding(Level.NOTE, f"a server with keys answers at {host.url}: {error}", error.hint or "")
        text = f"{host.url} is taken by {who or 'another program'}, which is no such server ({error})"
        return finding(Level.BROKEN, text, "stop it, or set OLLAMA_HOST to another port")
    who = holder(host.port) if _is_here(host.host) else ""
    facts |= {"in_use": True, "holder": who, "tropa": answer.get("tropa"), "version": answer.get("version")}
    by = f", {who}" if who else ""
    if (running := answer.get("tropa")) is None:
        text = f"{host.url} is taken by an Ollama {answer.get('version', '')}{by}: commands go there"
        return finding(Level.NOTE, text, "stop it before 'tropa serve', or set OLLAMA_HOST to another port")
    text = f"tropa {running} answers at {host.url}{by}"
    if running != __version__:
        return finding(Level.NOTE, f"{text}; this is {__version__}", f"restart it to get {__version__}")
    return finding(Level.OK, text)


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
