"""Model names: `[scheme://][host/][namespace/]model[:tag]`.

A :class:`Name` that exists is valid. Its four parts hold only a few ASCII characters and never start with a
dot, so that no text from outside can reach a path it should not: there is no other way from a text to a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tropa.errors import TropaError

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
MISSING = "!MISSING!"

_PART = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII),
}


class InvalidName(TropaError):
    """The text is no model name. `full` is how the reference prints it, `!MISSING!` for empty parts."""

    code = "invalid-model-name"

    def __init__(self, text: str, message: str = "invalid model name", *, full: str | None = None) -> None:
        super().__init__(message)
        self.text = text
        self.full = text if full is None else full


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A valid, fully qualified model name. Letter case is kept; the scheme is not."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        if not all(_PART[part].fullmatch(text) for part, text in self._parts()):
            raise InvalidName(self.full, full=self.full)

    @classmethod
    def parse(cls, text: str) -> Name:
        """Fill in the defaults; raise :class:`InvalidName` for everything that breaks the rules."""
        host, namespace, model, tag = split(text)
        try:
            return cls(host, namespace, model, tag)
        except InvalidName as error:
            raise InvalidName(text, full=error.full) from None

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The shortest form that still means the same name; model and tag are always in it."""
        if self.host != HOST:
            return self.full
        if self.namespace != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The path below `manifests`."""
        return self.host, self.namespace, self.model, self.tag

    def folded(self) -> Name:
        """The key under which names that differ only in case are one."""
        return Name(*(part.lower() for part in self.parts))

    def __str__(self) -> str:
        return self.short

    def _parts(self) -> tuple[tuple[str, str], ...]:
        return ("host", self.host), ("namespace", self.namespace), ("model", self.model), ("tag", self.tag)


def split(text: str) -> tuple[str, str, str, str]:
    """Cut a text into its four parts, from right to left, without judging them."""
    rest, tag = text, TAG
    if (colon := text.rfind(":")) > text.rfind("/"):
        rest, tag = text[:colon] or MISSING, text[colon + 1 :] or MISSING
    host, namespace, model = HOST, NAMESPACE, rest
    if "/" in rest:
        rest, model = (part or MISSING for part in rest.rsplit("/", 1))
        namespace = rest
        if "/" in rest:
            rest, namespace = (part or MISSING for part in rest.rsplit("/", 1))
            host = rest.split("://", 1)[-1] or MISSING
    return host, namespace, model, tag


def resolve(name: Name, existing: Iterable[Name]) -> Name:
    """Spell `name` as it exists, so that case alone never makes a second model.

    A spelling that exists as it was asked for is kept; else a whole name that differs in case only is taken;
    else each part is spelled as some existing name spells it.
    """
    known: dict[str, set[str]] = {part: set() for part in _PART}
    same: list[Name] = []
    for other in existing:
        if other == name:
            return name
        if other.folded() == name.folded():
            same.append(other)
        for part in _PART:
            if getattr(other, part).lower() == getattr(name, part).lower():
                known[part].add(getattr(other, part))
    if same:
        return min(same)
    spelling = {
        part: min(found) for part, found in known.items() if found and getattr(name, part) not in found
    }
    return replace(name, **spelling)


class Source(Enum):
    """Where a model asked for by a suffix has to run."""

    ANY = "any"
    LOCAL = "local"
    CLOUD = "cloud"


def source(text: str) -> tuple[str, Source]:
    """Take a `:local`, `:cloud` or `-cloud` suffix off what a client wrote; two of them are an error."""
    text = text.strip()
    base, found = _suffix(text)
    if found is not Source.ANY and _suffix(base)[1] is not Source.ANY:
        raise InvalidName(text, f'use either :local or :cloud, not both: "{text}"')
    return base, found


def stub(base: str) -> str:
    """The spelling under which a cloud model's stub is stored: `x:8b` → `x:8b-cloud`, `x` → `x:cloud`."""
    return f"{base}-cloud" if base.rfind(":") > base.rfind("/") else f"{base}:cloud"


def _suffix(text: str) -> tuple[str, Source]:
    colon = text.rfind(":")
    if colon <= text.rfind("/"):  # no colon at all, or one that belongs to a port
        return text, Source.ANY
    tag = text[colon + 1 :].lower()
    if tag in ("cloud", "local"):
        return text[:colon], Source(tag)
    if tag.endswith("-cloud"):
        return text[: -len("-cloud")], Source.CLOUD
    return text, Source.ANY
