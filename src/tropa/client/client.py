"""One request, one connection: plain calls, NDJSON streams, and uploads of files."""

from __future__ import annotations

import http.client
import json
import ssl  # http.client has it already
import sys
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from tropa import __version__
from tropa.client.errors import BadReply, CannotConnect, ConnectionLost, NoSuchRoute, ServerError
from tropa.client.lines import Lines
from tropa.settings import Host

CONNECT_TIMEOUT = 10.0
BLOCK = 1 << 20
_ERROR_LIMIT = 1 << 16
_AGENT = f"tropa/{__version__} ({sys.platform}) Python/{sys.version_info.major}.{sys.version_info.minor}"
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
_NO_ROUTE = "404 page not found"
_WANTS_KEY = "set TROPA_API_KEY to a key that this server knows"

Json = dict[str, Any]


class Client:
    """Speaks to the server at `host`. Raises the errors of `tropa.client.errors`, and nothing of sockets.

    `timeout` limits the connecting; with `patience`, also every wait for bytes (else there is no limit: an
    answer may take its time). `key` is shown to a server that asks for one.
    """

    def __init__(
        self,
        host: Host,
        *,
        timeout: float = CONNECT_TIMEOUT,
        patience: float | None = None,
        key: str | None = None,
    ) -> None:
        self.host = host
        self._timeout = timeout
        self._patience = patience
        self._headers = {"User-Agent": _AGENT, **({"Authorization": f"Bearer {key}"} if key else {})}

    def get(self, path: str) -> Json:
        return self._json(self._call("GET", path))

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """The JSON object of the answer, `{}` for an empty body."""
        return self._json(self._call("POST", path, body))

    def delete(self, path: str, body: Mapping[str, object]) -> Json:
        return self._json(self._call("DELETE", path, body))

    def alive(self) -> None:
        """Raises CannotConnect if nobody is there, whatever else may be wrong."""
        self._close(*self._send("HEAD", "/"))

    def has_blob(self, digest: str) -> bool:
        connection, response = self._send("HEAD", f"/api/blobs/{digest}")
        self._close(connection, response)
        if response.status not in {200, 404}:
            raise ServerError(f"{response.status} {response.reason}", response.status)
        return response.status == 200

    def upload(self, digest: str, blocks: Iterable[bytes], length: int) -> None:
        """`blocks` together have `length` bytes, or raise."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        connection, response = self._send("POST", f"/api/blobs/{digest}", blocks, headers)
        try:
            if response.status >= 400:
                raise self._refusal(response)
        finally:
            connection.close()

    def stream(self, path: str, body: Mapping[str, object]) -> Generator[Json, None, None]:
        """Each record as it comes. Closing the generator tells the server that nobody listens any more."""
        connection, response = self._send("POST", path, *_encoded(body, "application/x-ndjson"))
        try:
            if response.status >= 400:
                raise self._refusal(response, streaming=True)
            lines = Lines()
            while chunk := self._read(response):
                for line in lines.feed(chunk):
                    yield self._record(line)
            if rest := lines.finish().strip():  # a single object has no line end
                yield self._record(rest)
        finally:
            connection.close()

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
        connection, response = self._send(method, path, *_encoded(body, "application/json"))
        try:
            if response.status >= 400:
                raise self._refusal(response)
            pieces = []
            while piece := self._read(response):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            connection.close()

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connect()
        try:
            everything = {**self._headers, **(headers or {})}
            broken: OSError | None = None
            try:
                connection.request(method, self.host.path + path, body, everything)
            except OSError as exc:  # a server that refuses an upload may answer without reading all of it
                broken = exc
            except http.client.InvalidURL as exc:
                raise CannotConnect(self.host.url, str(exc), refused=False) from exc
            try:
                return connection, connection.getresponse()
            except OSError as exc:
                raise ConnectionLost(_reason(broken or exc)) from exc
            except http.client.HTTPException as exc:
                if isinstance(exc, http.client.BadStatusLine):
                    raise BadReply(self.host.url, "this is not HTTP") from exc
                raise ConnectionLost(_reason(broken or exc)) from exc
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        name = _ANYWHERE.get(self.host.host, self.host.host)
        kind = http.client.HTTPSConnection if self.host.scheme == "https" else http.client.HTTPConnection
        try:
            connection = kind(name, self.host.port, timeout=self._timeout, blocksize=BLOCK)
            connection.connect()
        except (OSError, UnicodeError, http.client.InvalidURL) as exc:  # the last two: no possible name
            refused = isinstance(exc, ConnectionRefusedError)
            raise CannotConnect(self.host.url, _reason(exc), refused=refused) from exc
        connection.sock.settimeout(self._patience)
        return connection

    def _close(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        response.close()
        connection.close()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """What is there, at least a byte; nothing at the proper end."""
        try:
            chunk = response.read1(1 << 16)
        except (OSError, http.client.HTTPException) as exc:
            raise ConnectionLost(_reason(exc)) from exc
        if not chunk and response.length:
            raise ConnectionLost("the answer was cut short")
        return chunk

    def _refusal(self, response: http.client.HTTPResponse, *, streaming: bool = False) -> ServerError:
        try:
            body = response.read(_ERROR_LIMIT)
        except (OSError, http.client.HTTPException):
            body = b""  # the status alone has to do
        status = f"{response.status} {response.reason}".rstrip()
        text = f"{self.host.url} answers: {status}" if _is_page(body) else _error_text(body)
        if response.status == 404 and text == _NO_ROUTE:
            return NoSuchRoute("the server does not know this request: is it an older one?", response.status)
        hint = _WANTS_KEY if response.status == 401 else None
        if not text:
            return ServerError(status, response.status, hint=hint)
        prefix = f"{status}: " if streaming and not _is_page(body) else ""
        return ServerError(text, response.status, prefix=prefix, hint=hint)

    def _json(self, body: bytes) -> Json:
        return self._object(body) if body.strip() else {}

    def _record(self, line: bytes) -> Json:
        record = self._object(line)
        if isinstance(error := record.get("error"), str) and error:
            raise ServerError(error)
        return record

    def _object(self, text: bytes) -> Json:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise BadReply(self.host.url, "this is not JSON") from exc
        if not isinstance(value, dict):
            raise BadReply(self.host.url, "this is not a JSON object")
        return value


def _encoded(body: Mapping[str, object] | None, accept: str) -> tuple[bytes | None, dict[str, str]]:
    if body is None:
        return None, {"Accept": accept}
    return json.dumps(body).encode(), {"Accept": accept, "Content-Type": "application/json"}


def _is_page(body: bytes) -> bool:
    """HTML: another program, or a proxy that speaks for itself."""
    return body.lstrip()[:1] == b"<"


def _error_text(body: bytes) -> str:
    """The `error` of an envelope, in any dialect; else the text itself."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else body.decode("utf-8", "replace").strip()


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError(verify_message=str(text)):
            return f"its certificate is not trusted: {text}"
        case ssl.SSLError():
            return f"it does not speak TLS as we do; is it http, not https? ({error.reason})"
        case TimeoutError():
            return "no answer in time"
        case http.client.IncompleteRead() | http.client.RemoteDisconnected() | ConnectionResetError():
            return "the server closed it"
        case OSError(strerror=str(text)) if text:
            return text[0].lower() + text[1:]
        case _:
            return str(error) or type(error).__name__
