"""The distribution protocol, spoken to one repository: manifests, blobs, uploads. Each call is one try."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO
from urllib.parse import parse_qsl, urlencode, urljoin, urlunsplit

from tropa.library import manifest as manifests
from tropa.library.digest import Digest
from tropa.registry.errors import BadAnswer, NoRanges, NotFound, RegistryError
from tropa.registry.leaving import Leaving
from tropa.registry.limits import MANIFEST, Limits
from tropa.registry.remote import Remote, origin, shown, split
from tropa.registry.session import Session
from tropa.registry.transport import Request, Response, Transport

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_EVERYTHING = f"{manifests.MEDIA_TYPE}, {OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_LIST}"
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_UPLOADED = re.compile(r"(?:bytes[= ])?0-(\d{1,19})", re.ASCII)
_BYTES = "application/octet-stream"
_STALE = frozenset({400, 401, 403, 404, 410})
"""Answers of a direct address that mean: ask the registry for another."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: where its next piece goes. `redirects`: the registry speaks the reference's dialect."""

    url: str
    redirects: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a piece: the upload goes on at `upload`; with `direct`, the piece has to be sent there."""

    upload: Upload
    direct: str | None = None


class Repository:
    """Any number of threads. Raises `tropa.registry.errors`; whether a try more would help is in the error."""

    def __init__(self, session: Session, transport: Transport, limits: Limits) -> None:
        self._session = session
        self._transport = transport
        self._limits = limits
        self._direct: dict[Digest, str] = {}

    @property
    def remote(self) -> Remote:
        return self._session.remote

    def manifest(self, reference: str, leaving: Leaving) -> bytes:
        """As received, and what its own header says it is. Raises NotFound."""
        # The public registries are asked in the words that they know; others have more kinds of manifests.
        accept = manifests.MEDIA_TYPE if self.remote.signs else _EVERYTHING
        response = self._send(
            Request("GET", f"{self.remote.url}/manifests/{reference}", {"Accept": accept}), leaving
        )
        if "text/html" in response.headers.get("Content-Type", ""):
            response.close()
            raise _web_page(response)
        with leaving.interrupting(response.interrupt):
            data = response.small(MANIFEST, "manifest")
        if data.lstrip()[:1] == b"<":
            raise _web_page(response)
        if (length := response.length) is not None and length != len(data):
            raise BadAnswer(f"{shown(response.url)}: the manifest was cut short", temporary=True)
        told = response.headers.get("Docker-Content-Digest", "")
        got = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if told.startswith("sha256:") and told != got:
            raise BadAnswer(f"{shown(response.url)}: these are not the bytes of {told}", temporary=True)
        if reference.startswith("sha256:") and reference != got:
            raise BadAnswer(f"{shown(response.url)}: these are not the bytes of {reference}", temporary=True)
        return data

    def blob(self, digest: Digest, start: int, end: int, total: int, leaving: Leaving) -> Response:
        """The bytes from `start` to before `end`, of `total`: exactly these are promised by the answer's head.

        Raises NoRanges if only the whole is to be had, and BadAnswer if it is another file's size.
        """
        whole = (start, end) == (0, total)
        headers = {} if whole else {"Range": f"bytes={start}-{end - 1}"}
        response = self._opened(digest, headers, leaving)
        try:
            if response.status == 206:
                _check_range(response, start, end, total)
            elif response.length not in (None, total):
                raise BadAnswer(
                    f"{shown(response.url)}: {response.length} bytes, and the manifest says {total}"
                )
            elif not whole:
                raise NoRanges
            elif "text/html" in response.headers.get("Content-Type", ""):
                raise _web_page(response)
        except RegistryError:
            response.close()
            raise
        return response

    def address(self, digest: Digest) -> str:
        """Where a blob is asked for."""
        return f"{self.remote.url}/blobs/{digest}"

    def has(self, digest: Digest, leaving: Leaving) -> bool:
        try:
            response = self._send(Request("HEAD", f"{self.remote.url}/blobs/{digest}"), leaving)
        except NotFound:
            return False
        response.drain()
        return True

    def start_upload(self, digest: Digest, source: str | None, leaving: Leaving) -> Upload | None:
        """None: the registry took the blob from the repository `source`, and nothing has to be sent."""
        query = f"?{urlencode({'from': source, 'mount': str(digest)})}" if source else ""
        request = Request(
            "POST", f"{self.remote.url}/blobs/uploads/{query}", {"Content-Length": "0"}, body=lambda: b""
        )
        response = self._send(request, leaving)
        response.drain()
        return None if response.status == 201 else self._upload(response)

    def send_piece(
        self, upload: Upload, start: int, size: int, body: Callable[[], IO[bytes]], leaving: Leaving
    ) -> Sent:
        headers = {
            "Content-Type": _BYTES,
            "Content-Length": str(size),
            "Content-Range": f"{start}-{start + size - 1}",
            "X-Redirect-Uploads": "1",
        }
        response = self._send(Request("PATCH", upload.url, headers, body=body), leaving)
        response.drain()
        if response.status != 307:
            return Sent(self._upload(response))
        if not (direct := response.headers.get("Location")):
            raise BadAnswer(f"{shown(upload.url)}: http: no Location header in response")
        if not (following := response.headers.get("Docker-Upload-Location")):
            raise BadAnswer(f"{shown(upload.url)}: a redirect that does not say how to go on")
        return Sent(Upload(self._ours(upload.url, following), redirects=True), urljoin(upload.url, direct))

    def send_direct(self, url: str, size: int, body: Callable[[], IO[bytes]], leaving: Leaving) -> None:
        """To the storage behind a registry: its address says it all, so it learns nothing else."""
        if split(url).scheme != "https" and self.remote.scheme == "https":
            raise BadAnswer(f"{self.remote.host} wants uploads sent to an address that is not https")
        request = Request("PUT", url, {"Content-Length": str(size)}, body=body)
        response = self._transport.open(request, leaving)
        if response.status >= 300:
            raise self._session.refusal(response)
        response.drain()

    def uploaded(self, upload: Upload, leaving: Leaving) -> tuple[Upload, int]:
        """How far an upload is: where to go on, and after how many bytes. Raises NotFound if it is forgotten."""
        response = self._send(Request("GET", upload.url), leaving)
        response.drain()
        text = response.headers.get("Range", "")
        match = _UPLOADED.fullmatch(text)
        end = int(match[1]) if match else 0
        return self._upload(response, upload), end + 1 if end else 0

    def commit(self, upload: Upload, digest: Digest, etag: str | None, leaving: Leaving) -> None:
        parts = split(upload.url)
        query = [*parse_qsl(parts.query, keep_blank_values=True), ("digest", str(digest))]
        query += [("etag", etag)] if etag else []
        query.sort(key=lambda item: item[0])
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        headers = {"Content-Type": _BYTES, "Content-Length": "0"}
        request = Request("PUT", url, headers, body=lambda: b"", patience=self._limits.commit)
        response = self._send(request, leaving)
        response.drain()
        told = response.headers.get("Docker-Content-Digest")
        if told and told != str(digest):
            raise BadAnswer(f"{self.remote.host} stored {told} where {digest} was sent")

    def put_manifest(self, data: bytes, media_type: str, leaving: Leaving) -> None:
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        url = f"{self.remote.url}/manifests/{self.remote.reference}"
        response = self._send(
            Request("PUT", url, headers, body=lambda: data, patience=self._limits.commit), leaving
        )
        response.drain()
        told = response.headers.get("Docker-Content-Digest", "")
        got = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if told.startswith("sha256:") and told != got:
            raise BadAnswer(f"{self.remote.host} stored the manifest as {told}, not as {got}")

    def ping(self, leaving: Leaving) -> None:
        """Whether the registry is one, and takes us for who we are."""
        response = self._send(Request("GET", self.remote.root), leaving)
        response.drain()

    def _send(self, request: Request, leaving: Leaving) -> Response:
        response = self._session.send(request, leaving)
        if response.status < 400:
            return response
        refusal = self._session.refusal(response)
        if response.status == 404:
            raise NotFound from refusal
        raise refusal

    def _opened(self, digest: Digest, headers: dict[str, str], leaving: Leaving) -> Response:
        """Straight from the address that the registry sent us to before, as long as it holds."""
        if (direct := self._direct.get(digest)) is not None:
            response = self._transport.open(Request("GET", direct, headers), leaving)
            if response.status not in _STALE:
                if response.status >= 400:
                    raise self._session.refusal(response)
                return response
            response.drain()
            self._direct.pop(digest, None)
        response = self._send(Request("GET", self.address(digest), headers), leaving)
        if response.foreign:
            self._direct[digest] = response.url
        return response

    def _upload(self, response: Response, before: Upload | None = None) -> Upload:
        where = response.headers.get("Docker-Upload-Location")
        redirects = where is not None or (before is not None and before.redirects)
        where = where or response.headers.get("Location")
        if not where:
            if before is not None:
                return before
            raise BadAnswer(f"{shown(response.url)}: http: no Location header in response")
        return Upload(self._ours(response.url, where), redirects)

    def _ours(self, base: str, location: str) -> str:
        """Uploads carry our token, so they stay with the registry that gave it."""
        try:
            url = urljoin(base, location)
        except ValueError as error:
            raise BadAnswer(f"{self.remote.host} wants uploads sent to what is no address") from error
        if split(url).netloc.lower() == self.remote.host.lower():
            # Registries behind a proxy that ends TLS often say http where they mean themselves.
            url = urlunsplit((self.remote.scheme, *split(url)[1:]))
        if origin(url) != origin(self.remote.root):
            raise BadAnswer(f"{self.remote.host} wants uploads sent to another registry: {shown(url)}")
        return url


def _check_range(response: Response, start: int, end: int, total: int) -> None:
    text = response.headers.get("Content-Range", "")
    match = _RANGE.fullmatch(text)
    where = shown(response.url)
    if match is None:
        raise BadAnswer(f"{where}: part of a file, without saying which", temporary=True)
    if match[3] not in ("*", str(total)):
        raise BadAnswer(f"{where}: {match[3]} bytes, and the manifest says {total}")
    if (int(match[1]), int(match[2])) != (start, end - 1):
        raise BadAnswer(
            f"{where}: asked for the bytes {start}-{end - 1} and was given {match[1]}-{match[2]}",
            temporary=True,
        )
    if response.length not in (None, end - start):
        raise BadAnswer(f"{where}: its length is not that of its range", temporary=True)


def _web_page(response: Response) -> BadAnswer:
    return BadAnswer(
        f"{shown(response.url)} answers with a web page", hint="is it the address of a registry?"
    )
