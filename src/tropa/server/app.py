"""The application: which path leads where. Routes are a table; what is common to all of them is here, once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tropa import COMPATIBLE, __version__
from tropa.errors import TropaError
from tropa.server import accesslog, journal
from tropa.server.access import Access, Origins
from tropa.server.anthropic import asks as asks_anthropic
from tropa.server.anthropic import routes as anthropic
from tropa.server.anthropic.errors import ANTHROPIC
from tropa.server.dialect import refuse
from tropa.server.intake import MOST_BODY, Hold, Intake, declared
from tropa.server.journal import Journal
from tropa.server.keys import Door, Keys, challenges
from tropa.server.metrics import Metrics
from tropa.server.native import account, catalog, embedding, inference, planning, reranking, running, transfer
from tropa.server.native.files import files
from tropa.server.openai import routes as openai
from tropa.server.openai import transcriptions
from tropa.server.openai.errors import OPENAI
from tropa.server.openapi import Described
from tropa.server.respond import JSON, ClientGone, send_bytes, send_error, send_json
from tropa.service.service import Service

log = logging.getLogger("tropa.server")

BLOBS = "/api/blobs/{digest}"
_MOST = {
    BLOBS: None,
    transcriptions.PATH: transcriptions.MOST_BODY,
}  # bytes of a body, where it is not as everywhere

Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(
    service: Service,
    origins: Origins,
    *,
    loopback: bool,
    transfers: transfer.Transfers | None = None,
    keys: Keys | None = None,
    access_log: str = "off",
    patience: float | None = None,
) -> ASGIApp:
    """Everything that answers HTTP. With `keys`, to those who show one."""
    library = service.models.library
    transfers = transfers or transfer.Transfers(library)
    metrics = Metrics(service.herd.view, service.herd.chronicle, lambda: answered.open)

    def models(handler: Callable[..., Awaitable[None]]) -> Endpoint:
        return partial(handler, library)

    def serving(handler: Callable[..., Awaitable[None]]) -> Endpoint:
        return partial(handler, service)

    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/", _alive),
        ("GET", "/api/version", _version),
        ("GET", "/api/tags", models(catalog.tags)),
        ("GET", "/api/files", models(files)),
        ("GET", "/api/ps", serving(running.ps)),
        ("POST", "/api/generate", serving(inference.generate)),
        ("POST", "/api/chat", serving(inference.chat)),
        ("POST", "/api/embed", serving(embedding.embed)),
        ("POST", "/api/embeddings", serving(embedding.embeddings)),
        ("POST", "/api/rerank", serving(reranking.native)),
        ("POST", "/api/plan", serving(planning.plan)),
        ("POST", "/api/show", models(catalog.show)),
        ("POST", "/api/create", partial(catalog.create, library, transfers)),
        ("POST", "/api/pull", partial(transfer.pull, transfers)),
        ("POST", "/api/push", partial(transfer.push, transfers)),
        ("HEAD", BLOBS, models(catalog.head_blob)),
        ("POST", BLOBS, models(catalog.post_blob)),
        ("POST", "/api/copy", models(catalog.copy)),
        ("DELETE", "/api/delete", models(catalog.delete)),
        ("GET", "/api/status", account.status),
        ("POST", "/api/me", account.me),
        ("POST", "/api/signout", account.sign_out),
        ("DELETE", "/api/user/keys/{key}", account.sign_out),
        ("GET", "/api/experimental/model-recommendations", account.recommendations),
        ("POST", "/api/experimental/web_search", account.web_search),
        ("POST", "/api/experimental/web_fetch", account.web_fetch),
        ("GET", "/metrics", metrics.scrape),
        *openai.routes(service),
        *anthropic.routes(service),
    ]
    for path in ("/", "/api/version", "/api/tags"):
        table.append(
            ("HEAD", path, next(endpoint for method, p, endpoint in table if (method, p) == ("GET", path)))
        )
    described = Described()
    table += [("GET", "/openapi.json", described.json), ("GET", "/docs", described.page)]
    described.routes = [(method, path) for method, path, _ in table]
    paths: dict[str, dict[str, Endpoint]] = {}
    for method, path, endpoint in table:
        paths.setdefault(path, {})[method] = endpoint
    hold = Hold()
    routes = [Route(path, _Methods(path, methods, patience, hold)) for path, methods in paths.items()]
    router = Router(routes, redirect_slashes=False, default=_not_found)
    app: ASGIApp = Door(router, keys, _refuse) if keys else router
    app = Access(_tidy_paths(app), origins, loopback=loopback)
    answered = Journal(app, (metrics.ended, accesslog.writer(access_log)))
    return answered


class _Methods:
    """The handlers of one path. A class, so that Starlette takes it for an ASGI application."""

    def __init__(self, path: str, methods: dict[str, Endpoint], patience: float | None, hold: Hold) -> None:
        self._path = path
        self._most = _MOST.get(path, MOST_BODY)
        self._patience = patience
        self._hold = hold
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        journal.found(scope, self._path)
        endpoint = self._methods.get(scope["method"])
        if endpoint is None:
            allow = (b"allow", ", ".join(sorted(self._methods)).encode())
            await send_bytes(send, b"405 method not allowed", 405, b"text/plain", allow)
            return
        taken = Intake(receive, self._most, self._patience, self._hold, declared(scope))
        started = _Started(send)
        if scope["method"] == "HEAD":
            started.bodiless = True
        try:
            await endpoint(scope, taken, started)
        except ClientGone:
            log.debug("%s %s: the client left", scope["method"], scope["path"])
        except TropaError as exc:
            log.log(logging.DEBUG, "%s %s: %s (%s)", scope["method"], scope["path"], exc, exc.code)
            if not started.begun:
                await send_error(started, exc)
        except Exception:
            log.exception("%s %s failed: this is a bug", scope["method"], scope["path"])
            if not started.begun:
                error = {"error": "internal error, check tropa server logs for details"}
                await send_json(started, error, 500)
        finally:
            taken.close()


class _Started:
    """`send`, remembering whether an answer has begun: after that no status can be sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.bodiless = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        if self.bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _tidy_paths(app: ASGIApp) -> ASGIApp:
    """Doubled and trailing slashes mean nothing."""

    async def tidied(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["type"] == "http" and ("//" in path or (path != "/" and path.endswith("/"))):
            parts = [part for part in path.split("/") if part]
            scope = {**scope, "path": "/" + "/".join(parts)}
        await app(scope, receive, send)

    return tidied


async def _refuse(scope: Scope, send: Send, error: TropaError) -> None:
    """Tell an error before any handler was asked, in the form that the path's clients read."""
    path: str = scope["path"]
    started = _Started(send)
    started.bodiless = scope["method"] == "HEAD"
    how = challenges(scope)
    if path.startswith("/v1/messages") or (path.startswith("/v1/") and asks_anthropic(scope)):
        await refuse(started, ANTHROPIC, error, scope, *how)
    elif path.startswith("/v1/"):
        await refuse(started, OPENAI, error, scope, *how)
    else:
        await send_error(started, error, JSON, *how)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await send_bytes(send, b"404 page not found", 404, b"text/plain")


async def _alive(scope: Scope, receive: Receive, send: Send) -> None:
    """Clients compare this text literally."""
    await PlainTextResponse("Ollama is running")(scope, receive, send)


async def _version(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, {"version": COMPATIBLE, "tropa": __version__})
