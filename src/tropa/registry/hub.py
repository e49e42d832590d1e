"""Hugging Face beside its registry: models that it has in several files, which the registry does not hand out.

The plain interface lists a repository's files with their SHA-256, and sends each under an address of its own. What is
listed is untrusted: a path only ever becomes part of a URL, and the bytes count when they have their digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from tropa.library import manifest as manifests
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.manifest import Layer
from tropa.library.shards import ShardName
from tropa.registry.errors import BadAnswer, Refused, UnsupportedManifest
from tropa.registry.leaving import Leaving
from tropa.registry.limits import MANIFEST
from tropa.registry.remote import HUGGING_FACE, Remote, origin, shown
from tropa.registry.repository import Repository
from tropa.registry.transport import Request

PARTS = "split_parts"
"""The config's field that says of which files a model was joined, so that they are not fetched again."""
_HOST = "huggingface.co"
_PAGES = 50
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?', re.IGNORECASE)
_USUAL = "Q4_K_M"
"""What the registry takes where no tag is given."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a split model: its path in the repository, and what its bytes are."""

    path: str
    digest: Digest
    size: int

    @property
    def file(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def layer(self) -> Layer:
        return Layer(manifests.MODEL, str(self.digest), self.size)


class Hub(Repository):
    """The same repository through the plain interface. Knows where a blob is once `parts` has found it."""

    _paths: Mapping[Digest, str] = {}

    @staticmethod
    def beside(remote: Remote) -> Remote:
        """Where the plain interface is. Registry tokens are for the registry, so it gets a session of its own."""
        return replace(remote, host=_HOST)

    def parts(self, leaving: Leaving) -> list[Part]:
        """The files of the model that the tag names, in order. Raises UnsupportedManifest if that is not one."""
        found = chosen([*self._listed(leaving)], self.remote.reference, self.remote.repository)
        self._paths = {part.digest: part.path for part in found}
        return found

    def address(self, digest: Digest) -> str:
        return f"{self._site}/{self.remote.repository}/resolve/main/{quote(self._paths[digest], safe='/')}"

    @property
    def _site(self) -> str:
        return f"{self.remote.scheme}://{self.remote.host}"

    def _listed(self, leaving: Leaving) -> Iterator[Mapping[str, Any]]:
        url = f"{self._site}/api/models/{self.remote.repository}/tree/main?recursive=true"
        for _ in range(_PAGES):
            response = self._send(Request("GET", url), leaving)
            with leaving.interrupting(response.interrupt):
                data = response.small(MANIFEST, "list of files")
            try:
                page = msgspec.json.decode(data, type=list[dict[str, Any]])
            except (ValueError, RecursionError) as error:
                raise BadAnswer(f"{shown(url)} answers with no list of files") from error
            yield from page
            following = _NEXT.search(response.headers.get("Link", ""))
            if following is None:
                return
            target = urljoin(url, following[1])
            if origin(target) != origin(url):
                raise BadAnswer(f"{shown(url)}: its list of files goes on at another host")
            url = target
        raise BadAnswer(f"{shown(url)}: the list of files does not end")


def is_split(remote: Remote, error: BaseException | None) -> bool:
    """Whether the registry refused a manifest because the model is in several files."""
    return (
        remote.host.lower() in HUGGING_FACE
        and isinstance(error, Refused)
        and error.status == 400
        and "sharded" in str(error).lower()
    )


def chosen(listed: Iterable[Mapping[str, Any]], tag: str, repository: str) -> list[Part]:
    """Of a listing, the files of the one split model whose path has the tag as a whole word, in any case.

    The name of a model's files, or of one of them, is a tag as well; it wins over words.
    """
    groups: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    for entry in listed:
        path = entry.get("path")
        if entry.get("type") != "file" or not isinstance(path, str):
            continue
        if (name := ShardName.parse(path)) is not None:
            stem = path.rpartition("/")[0] + "/" + name.prefix if "/" in path else name.prefix
            _check(path)
            files = groups.setdefault((stem, name.count), {})
            if name.index in files:
                raise BadAnswer(f"{repository}: {path} is listed twice")
            files[name.index] = entry
    stem, count = _matching(groups, tag, repository)
    files = groups[stem, count]
    missing = [index for index in range(1, min(count, len(files) + 1) + 1) if index not in files]
    if missing or set(files) != set(range(1, count + 1)):
        lacking = f"part {missing[0]} of {count} is missing" if missing else f"there are more than {count}"
        raise UnsupportedManifest(
            f"{repository}: the split model {stem} is incomplete: {lacking}",
            hint="its repository has to be mended, or name another of its models as the tag",
        )
    return [_part(files[index], repository) for index in range(1, count + 1)]


def _matching(groups: Iterable[tuple[str, int]], tag: str, repository: str) -> tuple[str, int]:
    every = sorted(groups)
    folded = tag.lower()
    named = ShardName.parse(tag)
    exact = [
        (stem, count)
        for stem, count in every
        if PurePosixPath(stem).name.lower() in (folded, named.prefix.lower() if named else folded)
        and (named is None or named.count == count)
    ]
    found = exact or [group for group in every if _has_word(group[0], tag)]
    if not found and folded == "latest":
        found = [group for group in every if _has_word(group[0], _USUAL)] or every
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{stem} ({count} files)" for stem, count in (found or every)[:_SHOWN]) or "none"
    more = len(found or every) - _SHOWN
    names += f" and {more} more" if more > 0 else ""
    if found:
        raise UnsupportedManifest(
            f"{repository}: {tag} may be any of {len(found)} split models: {names}",
            hint="give the name of one's files as the tag, without its folder and -00001-of-...",
        )
    raise UnsupportedManifest(
        f"{repository}: no split model has {tag} in its name; there are: {names}",
        hint="name one of them as the tag",
    )


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])", text, re.IGNORECASE) is not None


def _check(path: str) -> None:
    """Raises BadAnswer for a path that could lead out of its repository."""
    if (
        not path.isprintable()
        or "\\" in path
        or len(path) > 1000
        or any(step in ("", ".", "..") for step in path.split("/"))
    ):
        raise BadAnswer(f"Hugging Face lists a file with a name that is not used: {path[:200]!r}")


def _part(entry: Mapping[str, Any], repository: str) -> Part:
    path, told = entry["path"], entry.get("lfs")
    oid, size = (told.get("oid"), told.get("size")) if isinstance(told, dict) else (None, None)
    try:
        digest = Digest.parse(f"sha256:{oid}")
    except InvalidDigest as error:
        raise BadAnswer(f"{repository}: {path} is listed without its SHA-256") from error
    if type(size) is not int or not 0 < size < 1 << 63:
        raise BadAnswer(f"{repository}: {path} is listed without its size")
    return Part(path, digest, size)
