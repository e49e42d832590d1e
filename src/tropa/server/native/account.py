"""Accounts and cloud services of the reference: here are none, and clients are told so in the words they know."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from tropa.server.respond import read_body, send_json

_CLOUD = "ollama cloud is disabled: {} is unavailable"


async def status(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/status`: no cloud."""
    await send_json(send, {"cloud": {"disabled": True, "source": "config"}})


async def me(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/me`"""
    await send_json(send, {"error": "account unavailable"}, 503)


async def sign_out(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/signout` and `DELETE /api/user/keys/{key}`"""
    await send_json(send, {"error": "you are not currently signed in"}, 401)


async def recommendations(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/experimental/model-recommendations`: what to run is the user's choice."""
    await send_json(send, {"recommendations": []})


async def web_search(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/experimental/web_search`"""
    await _disabled(receive, send, "web search")


async def web_fetch(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/experimental/web_fetch`"""
    await _disabled(receive, send, "web fetch")


async def _disabled(receive: Receive, send: Send, what: str) -> None:
    if not (await read_body(receive)).strip():
        await send_json(send, {"error": "missing request body"}, 400)
        return
    await send_json(send, {"error": _CLOUD.format(what)}, 403)
