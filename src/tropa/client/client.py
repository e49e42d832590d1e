"""One request, one connection: plain calls, NDJSON streams, and uploads of files."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tropa import __version__
from tropa.client import wire
from tropa.client.errors import BadReply, CannotConnect, ConnectionLost, NoSuchRoute, ServerError
from tropa.client.lines import Lines
from tropa.text.address import Host

if TYPE_CHECKING:
    import socket

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
        self._name = _ANYWHERE.get(host.host, host.host)
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
        self._send("HEAD", "/").close()

    def has_blob(self, digest: str) -> bool:
        answer = self._send("HEAD", f"/api/blobs/{digest}")
        answer.close()
        if answer.status not in {200, 404}:
            raise ServerError(_status_line(answer), answer.status)
        return answer.status == 200

    def upload(self, digest: str, blocks: Iterable[bytes], length: int) -> None:
        """`blocks` together have `length` bytes, or raise."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        answer = self._send("POST", f"/api/blobs/{digest}", blocks, headers)
        try:
            if answer.status >= 400:
                raise self._refusal(answer)
        finally:
            answer.close()

    def stream(self, path: str, body: Mapping[str, object]) -> Generator[Json, None, None]:
        """Each record as it comes. Closing the generator tells the server that nobody listens any more."""
        answer = self._send("POST", path, *_encoded(body, "application/x-ndjson"))
        try:
            if answer.status >= 400:
                raise self._refusal(answer, streaming=True)
            lines = Lines()
            while chunk := self._read(answer):
                for line in lines.feed(chunk):
                    yield self._record(line)
            if rest := lines.finish().strip():  # a single object has no line end
                yield self._record(rest)
        finally:
            answer.close()

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
        answer = self._send(method, path, *_encoded(body, "application/json"))
        try:
            if answer.status >= 400:
                raise self._refusal(answer)
            pieces = []
            while piece := self._read(answer):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            answer.close()

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> wire.Answer:
        connection = self._connect()
        try:
            broken: OSError | None = None
            try:
                host = wire.host_field(self.host.scheme, self._name, self.host.port)
                fields = {"Host": host, **self._headers, **(headers or {})}
                wire.send(connection, method, self.host.path + path, fields, body)
            except OSError as exc:  # a server that refuses an upload may answer without reading all of it
                broken = exc
            except ValueError as exc:
                raise CannotConnect(self.host.url, str(exc), refused=False) from exc
            try:
                return wire.Answer(connection, method)
            except OSError as exc:
                raise ConnectionLost(_reason(broken or exc)) from exc
            except wire.NotHttp as exc:
                raise BadReply(self.host.url, "this is not HTTP") from exc
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> socket.socket:
        host = self.host
        try:
            connection = wire.connect(host.scheme, self._name, host.port, self._timeout)
        except (OSError, UnicodeError) as exc:  # the second: no possible name
            refused = isinstance(exc, ConnectionRefusedError)
            raise CannotConnect(host.url, _reason(exc), refused=refused) from exc
        connection.settimeout(self._patience)
        return connection

    def _read(self, answer: wire.Answer) -> bytes:
        """What is there, at least a byte; nothing at the proper end."""
        try:
            return answer.read()
        except OSError as exc:
            raise ConnectionLost(_reason(exc)) from exc

    def _refusal(self, answer: wire.Answer, *, streaming: bool = False) -> ServerError:
        body = b""
        try:
            while len(body) < _ERROR_LIMIT and (piece := answer.read()):
                body += piece
        except OSError:
            body = b""  # the status alone has to do
        status = _status_line(answer)
        text = f"{self.host.url} answers: {status}" if _is_page(body) else _error_text(body)
        if answer.status == 404 and text == _NO_ROUTE:
            return NoSuchRoute("the server does not know this request: is it an older one?", answer.status)
        hint = _WANTS_KEY if answer.status == 401 else None
        if not text:
            return ServerError(status, answer.status, hint=hint)
        prefix = f"{status}: " if streaming and not _is_page(body) else ""
        return ServerError(text, answer.status, prefix=prefix, hint=hint)

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


def _status_line(answer: wire.Answer) -> str:
    return f"{answer.status} {answer.reason}".rstrip()


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
    if type(error).__module__ == "ssl":  # which is imported only where it is needed
        if why := getattr(error, "verify_message", ""):
            return f"its certificate is not trusted: {why}"
        return f"it does not speak TLS as we do; is it http, not https? ({getattr(error, 'reason', error)})"
    match error:
        case TimeoutError():
            return "no answer in time"
        case ConnectionResetError():
            return "the server closed it"
        case OSError(strerror=str(text)) if text:
            return text[0].lower() + text[1:]
        case _:
            return str(error) or type(error).__name__
