"""`WWW-Authenticate`: what a registry wants to see before it answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|$)")
_KEY = re.compile(r"\s*,?\s*([A-Za-z_]+)\s*=\s*")
_TOKEN = re.compile(r"[^\s,\"]+")
_LONGEST = 16 << 10


@dataclass(frozen=True, slots=True)
class Challenge:
    """`scheme` is lower case. `scopes` are what the registry thinks the request needs."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse(headers: Iterable[str]) -> list[Challenge]:
    """All that can be understood, in their order. Never raises: what makes no sense is left out."""
    found: list[Challenge] = []
    for header in headers:
        text, at = header[:_LONGEST], 0
        while match := _SCHEME.match(text, at):
            at = match.end()
            parameters, at = _parameters(text, at)
            found.append(
                Challenge(
                    match[1].lower(),
                    parameters.get("realm", ""),
                    parameters.get("service", ""),
                    parameters.get("scope", ""),
                )
            )
    return found


def _parameters(text: str, at: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while match := _KEY.match(text, at):
        value, at = _value(text, match.end())
        found.setdefault(match[1].lower(), value)
    return found, at


def _value(text: str, at: int) -> tuple[str, int]:
    """Quoted values end at a quote that is last or before a comma, for some registries quote within scopes."""
    if text[at : at + 1] != '"':
        match = _TOKEN.match(text, at)
        return (match[0], match.end()) if match else ("", at)
    end = at + 1
    while (end := text.find('"', end)) >= 0:
        rest = text[end + 1 :].lstrip()
        if not rest or rest.startswith(","):
            return text[at + 1 : end], end + 1
        end += 1
    return text[at + 1 :], len(text)
