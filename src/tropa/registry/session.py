"""Requests to one registry as somebody: answers its challenges, and shares what it was given.

    1. send with what we have    2. on 401, get something better, once for all who wait    3. send again

A registry may ask for Basic, or send us to a token server. There we show credentials if we have some; else our
key, if it is a registry that knows keys; else nobody's name, which is enough for public things.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlunsplit

from tropa.registry import challenge
from tropa.registry.challenge import Challenge
from tropa.registry.credentials import Credentials, Keyring
from tropa.registry.errors import BadAnswer, BadRedirect, RealmMismatch, Refused, Unauthorized
from tropa.registry.identity import Identity
from tropa.registry.leaving import Leaving
from tropa.registry.limits import ANSWER, ERROR
from tropa.registry.remote import HUGGING_FACE, Remote, is_loopback, origin, split
from tropa.registry.transport import Request, Response, Transport

_CLIENT = "tropa"
_HIDDEN = "***"
_ROUNDS = 3


class Session:
    """One operation on one repository. Any number of threads."""

    def __init__(self, remote: Remote, transport: Transport, identity: Identity, keyring: Keyring) -> None:
        self.remote = remote
        self._transport = transport
        self._identity = identity
        self._keyring = keyring
        self._refreshing = threading.Lock()
        self._authorization: str | None = None
        self._secrets: set[str] = set()

    def send(self, request: Request, leaving: Leaving) -> Response:
        """The answer, whatever it says but 401: that raises Unauthorized."""
        used = self._authorization
        for _ in range(_ROUNDS):
            response = self._transport.open(self._with(request, used), leaving)
            if response.status != 401:
                return response
            if response.foreign:
                raise self.refusal(response)  # a server of others, to whom we say nothing about ourselves
            challenges = challenge.parse(response.headers.getlist("WWW-Authenticate"))
            response.drain()
            with self._refreshing:
                if self._authorization in (None, used):
                    return self._introduced(request, challenges, leaving)
                used = self._authorization  # another thread was here meanwhile
        raise Unauthorized(self._advice())

    def refusal(self, response: Response) -> Refused:
        """The error that an answer of 400 or more is."""
        text = self.scrubbed(response.start(ERROR))
        if text[:1] == "<" or "text/html" in response.headers.get("Content-Type", ""):
            text = "(a web page)"
        return Refused(response.status, text or "(no reason given)", _after(response))

    def scrubbed(self, text: str) -> str:
        """Without what we sent: a server may say back what it got."""
        # A copy, for other threads may learn more meanwhile; the longest first, for one may be part of another.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text

    def _with(self, request: Request, authorization: str | None) -> Request:
        return replace(request, secret={"Authorization": authorization}) if authorization else request

    def _introduced(self, request: Request, challenges: list[Challenge], leaving: Leaving) -> Response:
        """Send it again, as somebody. Whoever is refused meanwhile waits, and then uses what was found here."""
        for better in self._obtained(challenges, leaving):
            self._secrets.add(better.partition(" ")[2])
            self._authorization = better
            response = self._transport.open(self._with(request, better), leaving)
            if response.status != 401:
                return response
            if response.foreign:
                raise self.refusal(response)
            response.drain()
        raise Unauthorized(self._advice())

    def _obtained(self, challenges: list[Challenge], leaving: Leaving) -> Iterator[str]:
        """What the registry may accept; each is fetched when the one before it was not enough."""
        credentials = self._keyring.get(self.remote.host)
        if credentials is not None:
            self._secrets |= credentials.secrets
        bearer = next((each for each in challenges if each.scheme == "bearer" and each.realm), None)
        if bearer is None:
            if credentials is not None and any(each.scheme == "basic" for each in challenges):
                yield f"Basic {credentials.basic}"
            return
        refused: Refused | None = None
        for ask in self._ways(bearer, credentials):
            try:
                token = self._token(ask, leaving)
            except Refused as error:
                if error.temporary:
                    raise
                refused = error
                continue
            yield f"Bearer {token}"
        if refused is not None and refused.status not in (401, 403):
            raise refused

    def _ways(self, bearer: Challenge, credentials: Credentials | None) -> Iterator[Request]:
        if credentials is not None:
            self._check_realm(bearer.realm)
            if credentials.identity_token:
                yield _exchange(bearer, credentials)
            else:
                secret = {"Authorization": f"Basic {credentials.basic}"}
                yield Request("GET", _token_url(bearer), secret=secret)
            return
        if not self.remote.signs:
            self._check_realm(bearer.realm)
            yield Request("GET", _token_url(bearer))
        if self._may_sign(bearer.realm):
            url = _token_url(bearer, ts=str(int(time.time())), nonce=secrets.token_urlsafe(16))
            yield Request("GET", url, secret={"Authorization": self._identity.authorization(url)})

    def _may_sign(self, realm: str) -> bool:
        """A signature goes to the host that was asked, and nowhere else: it could be used there in our name."""
        asked, wanted = self.remote.host.lower(), split(realm).netloc.lower()
        if origin(realm) == origin(self.remote.root):
            return True
        if {asked, wanted} <= HUGGING_FACE and origin(realm)[0] == self.remote.scheme:
            return True
        if self.remote.signs:
            raise RealmMismatch(wanted, asked)
        return False

    def _check_realm(self, realm: str) -> None:
        """Credentials never travel in the clear because a header said so."""
        parts = split(realm)
        if parts.scheme == "https" and parts.hostname:
            return
        same = parts.netloc.lower() == self.remote.host.lower() and self.remote.scheme == "http"
        if parts.scheme == "http" and parts.hostname and (same or is_loopback(parts.netloc)):
            return
        raise BadRedirect(f"{self.remote.host} wants its token fetched from an address that is not https")

    def _token(self, ask: Request, leaving: Leaving) -> str:
        response = self._transport.open(ask, leaving)
        if response.status >= 400:
            raise self.refusal(response)
        data = response.small(ANSWER, "token")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise BadAnswer(f"the token server of {self.remote.host} sent no token")
        return token

    def _advice(self) -> str:
        if self.remote.host.lower() in HUGGING_FACE:
            return "model not found or private; for private ones, register the key that 'tropa login' shows"
        if self.remote.signs:
            return "the model may not exist, or be somebody else's; 'tropa login' shows the key to register"
        return f"tropa login {self.remote.host}"


def _token_url(bearer: Challenge, **more: str) -> str:
    """The realm, its own query kept, with ours; keys in order, for what is signed is what is sent."""
    parts = split(bearer.realm)
    query = parse_qsl(parts.query, keep_blank_values=True)
    query += [("service", bearer.service)] if bearer.service else []
    query += [("scope", scope) for scope in bearer.scope.split(" ")]
    query += more.items()
    query.sort(key=lambda item: item[0])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


def _exchange(bearer: Challenge, credentials: Credentials) -> Request:
    form = urlencode(
        {
            "grant_type": "refresh_token",
            "service": bearer.service,
            "client_id": _CLIENT,
            "scope": bearer.scope,
            "refresh_token": credentials.identity_token,
        }
    ).encode()
    return Request(
        "POST", bearer.realm, {"Content-Type": "application/x-www-form-urlencoded"}, body=lambda: form
    )


def _after(response: Response) -> float | None:
    """`Retry-After`, in seconds; as a date it counts from now."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
