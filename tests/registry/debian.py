"""Debian's docker-registry, a real OCI registry, on loopback."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.registry.web import Ask, Reply, Web
from tests.support.certificate import of_itself
from tests.support.debian import program
from tests.support.processes import until
from tests.support.server import free_port

USER, PASSWORD = "somebody", "sentinel-password"
_HTPASSWD = "somebody:$2y$05$1k/1m1i94AFqe6J/zGguKORs456gDTADRPOSlt.TsQHH23ek6.rVe\n"


def executable() -> Path | None:
    """The program, if it is to be had here."""
    return program("docker-registry", "usr/bin/docker-registry")


@contextmanager
def docker_registry(folder: Path, auth: dict[str, object] | None = None, port: int = 0) -> Iterator[str]:
    """Its host name and port."""
    registry = executable()
    assert registry is not None
    host = f"127.0.0.1:{port or free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "of these tests"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(registry), "serve", str(folder / "config.yml")],
            stdout=log,
            stderr=log,
            env={"PATH": os.defpath, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        until(lambda: _answers(host), f"the registry answers: {(folder / 'log').read_text()}")
        yield host
    finally:
        process.kill()
        process.wait()


def htpasswd(folder: Path) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}


@dataclass
class TokenServer:
    """Hands out tokens that a docker-registry believes: to everybody for reading, to USER for writing."""

    web: Web
    auth: dict[str, object]

    @property
    def asks(self) -> list[Ask]:
        return self.web.asks


@contextmanager
def token_server(folder: Path, *, public: bool = True) -> Iterator[TokenServer]:
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = of_itself(key)
    (folder / "root.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def sign(claims: dict[str, object]) -> str:
        parts = [
            _b64(json.dumps(part).encode())
            for part in ({"typ": "JWT", "alg": "RS256", "x5c": [chain]}, claims)
        ]
        signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _b64(signature)])

    def answer(ask: Ask) -> Reply:
        query = parse_qs(urlsplit(ask.path).query)
        shown = ask.headers.get("Authorization")
        if shown not in (None, f"Basic {wanted}") or (shown is None and not public):
            return Reply(401, {"Content-Type": "application/json"}, f'{{"details":"bad {shown}"}}'.encode())
        access = []
        for scope in query.get("scope", []):
            if scope.count(":") == 2:
                kind, what, actions = scope.split(":")
                allowed = (
                    actions.split(",") if shown else [each for each in actions.split(",") if each == "pull"]
                )
                access.append({"type": kind, "name": what, "actions": allowed})
        now = int(time.time())
        claims = {
            "iss": "tests", "sub": USER if shown else "", "aud": query["service"][0], "access": access,
            "exp": now + 300, "nbf": now - 10, "iat": now, "jti": secrets.token_hex(8),
        }  # fmt: skip
        return Reply(200, {"Content-Type": "application/json"}, json.dumps({"token": sign(claims)}).encode())

    with Web(answer) as web:
        auth: dict[str, object] = {
            "token": {
                "realm": f"{web.url}/token",
                "service": "tests",
                "issuer": "tests",
                "rootcertbundle": str(folder / "root.pem"),
            }
        }
        yield TokenServer(web, auth)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _answers(host: str) -> bool:
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
