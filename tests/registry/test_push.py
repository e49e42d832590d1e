"""Pushing to a real registry, and to one of the reference's dialect."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.library.making import gguf, make
from tests.registry.conftest import Machine, add_model, noise
from tests.registry.faults import Faulty, Times
from tests.registry.web import Ask, Reply, Web
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.errors import DamagedModel
from tropa.library.name import Name
from tropa.registry.errors import BadAnswer, GaveUp, NothingToPush, Refused, RegistryError

Machines = Callable[..., Machine]
WEIGHTS = noise(200_003, seed=7)


def upload(machine: Machine, name: str, weights: bytes = WEIGHTS) -> bytes:
    return add_model(machine.library, name, (manifest.MODEL, weights), (manifest.SYSTEM, b"hello"))


def get(host: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": manifest.MEDIA_TYPE})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_registry_has_the_stored_bytes_and_every_blob(machine: Machines, registry: str) -> None:
    here = machine()
    data = upload(here, f"{registry}/push/whole")
    assert here.push(f"{registry}/push/whole")[-1].status == "success"
    assert get(registry, "/v2/push/whole/manifests/latest") == (200, data)
    for layer in manifest.parse(data).blobs():
        status, body = get(registry, f"/v2/push/whole/blobs/{layer.digest}")
        assert (status, Digest.of(body)) == (200, layer.blob)


def test_the_events_are_those_that_clients_know(machine: Machines, registry: str) -> None:
    here = machine()
    data = upload(here, f"{registry}/push/events")
    statuses = here.push(f"{registry}/push/events")
    assert statuses[0].status == "retrieving manifest"
    assert [each.status for each in statuses[-2:]] == ["pushing manifest", "success"]
    layers = list(dict.fromkeys(each.digest for each in statuses if each.digest))
    assert layers == [layer.digest for layer in manifest.parse(data).blobs()]
    weights = [each for each in statuses if each.digest == str(Digest.of(WEIGHTS))]
    assert weights[0].status == f"pushing {Digest.of(WEIGHTS).hex[:12]}"
    assert (weights[-1].completed, weights[-1].total) == (200_003, 200_003)


def test_what_the_registry_has_is_not_sent_again(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/again")
    here.push(f"{proxy.host}/push/again")
    before = len(proxy.web.asked("PATCH"))
    statuses = here.push(f"{proxy.host}/push/again")
    assert len(proxy.web.asked("PATCH")) == before
    assert statuses[-1].status == "success"
    records = [(each.completed, each.total) for each in statuses if each.digest == str(Digest.of(WEIGHTS))]
    assert records[-1] == (200_003, 200_003)
    assert all(completed in (0, 200_003) for completed, _ in records), "nothing seems to move"


def test_pieces_follow_one_another(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/pieces", noise(200_003, seed=8))
    here.push(f"{proxy.host}/push/pieces")
    ranges = [ask.headers["Content-Range"] for ask in proxy.web.asked("PATCH")]
    assert ranges[:3] == ["0-69999", "70000-139999", "140000-200002"]


def test_layers_of_a_base_at_the_same_registry_are_mounted(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    base, name = f"{proxy.host}/push/base", f"{proxy.host}/push/derived"
    weights = gguf(tensors=5)
    make(here.library, base, weights, system="base")
    here.push(base)
    make(here.library, name, base=base, system="derived")
    before = len(proxy.web.asked("PATCH"))
    here.push(name)
    mounts = [ask.path for ask in proxy.web.asked("POST", "push/derived") if "mount=" in ask.path]
    digest = str(Digest.of(weights)).replace(":", "%3A")
    assert f"/v2/push/derived/blobs/uploads/?from=push%2Fbase&mount={digest}" in mounts
    assert len(proxy.web.asked("PATCH")) == before + 2, "only the new system and config"


@pytest.mark.parametrize("code", [500, 503, 429])
def test_pieces_that_a_server_refuses_for_now_are_sent_again(
    machine: Machines, proxy: Faulty, code: int
) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/later{code}", noise(200_003, seed=code))
    often = Times(2)
    _before_upstream(
        proxy, lambda ask: Reply(code, {}, b"later") if ask.method == "PATCH" and often() else None
    )
    assert here.push(f"{proxy.host}/push/later{code}")[-1].status == "success"
    assert get(proxy.upstream, f"/v2/push/later{code}/manifests/latest")[0] == 200


def test_an_upload_that_broke_goes_on_where_the_registry_is(machine: Machines, proxy: Faulty) -> None:
    """The piece arrived and the answer got lost: the registry is asked how far it is."""
    here = machine()
    upload(here, f"{proxy.host}/push/lost", noise(200_003, seed=9))
    often = Times(1)

    def lose(ask: Ask, reply: Reply) -> Reply:
        return Reply(502, {}, b"gone") if ask.method == "PATCH" and often() else reply

    proxy.spoil = lose
    assert here.push(f"{proxy.host}/push/lost")[-1].status == "success"
    assert get(proxy.upstream, "/v2/push/lost/manifests/latest")[0] == 200


class Plain:
    """An OCI registry that keeps what it got of an upload, and says how far it is. `lose`: so many bytes of the next
    piece are taken, and its answer is this status.
    """

    def __init__(self, lose: list[tuple[int, int]]) -> None:
        self.lose = lose
        self.data = b""
        self.blobs: dict[str, bytes] = {}
        self.web = Web(self._answer)

    def _answer(self, ask: Ask) -> Reply:
        path, query = urlsplit(ask.path).path, dict(parse_qsl(urlsplit(ask.path).query))
        where = {"Location": "/v2/upload/1", "Range": f"0-{max(0, len(self.data) - 1)}"}
        match ask.method:
            case "HEAD":
                return Reply(200 if path.rpartition("/")[2] in self.blobs else 404)
            case "POST":
                self.data = b""
                return Reply(202, where)
            case "GET":
                return Reply(204, where)
            case "PATCH":
                if int(ask.headers["Content-Range"].split("-")[0]) != len(self.data):
                    return Reply(416, where)
                if len(self.data) and self.lose:
                    count, status = self.lose.pop(0)
                    self.data += ask.body[:count]
                    return Reply(status, {}, b"lost")
                self.data += ask.body
                return Reply(202, where)
            case "PUT" if path == "/v2/upload/1":
                self.blobs[query["digest"]] = self.data
                return Reply(201 if Digest.of(self.data) == Digest.parse(query["digest"]) else 400)
        return Reply(201)


@pytest.mark.parametrize(("count", "status"), [(0, 500), (12_345, 502), (70_000, 502), (70_000, 416)])
def test_an_upload_goes_on_behind_what_the_registry_has(machine: Machines, count: int, status: int) -> None:
    there = Plain([(count, status)])
    with there.web:
        here = machine()
        upload(here, f"{there.web.host}/push/resumed")
        statuses = here.push(f"{there.web.host}/push/resumed")
    assert there.blobs[str(Digest.of(WEIGHTS))] == WEIGHTS
    starts = [int(ask.headers["Content-Range"].split("-")[0]) for ask in there.web.asked("PATCH")]
    assert starts[:3] == [0, 70_000, 70_000 + count]
    assert max(each.completed for each in statuses) == 200_003


def test_a_registry_that_claims_more_than_was_sent_gets_it_anew(machine: Machines) -> None:
    there = Plain([(70_000, 502)])
    with there.web:
        here = machine()
        honest = there.web.handler
        often = Times(1)

        def boast(ask: Ask) -> Reply:
            reply = honest(ask)
            if ask.method == "GET" and "/upload/" in ask.path and often():
                reply.headers["Range"] = "0-999999"
            return reply

        there.web.handler = boast
        upload(here, f"{there.web.host}/push/boast")
        here.push(f"{there.web.host}/push/boast")
    assert there.blobs[str(Digest.of(WEIGHTS))] == WEIGHTS


def test_an_upload_that_the_registry_forgot_begins_anew(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/forgotten", noise(200_003, seed=10))
    often = Times(1)

    def forget(ask: Ask) -> Reply | None:
        third = ask.headers.get("Content-Range", "").startswith("140000-")
        return Reply(404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}') if third and often() else None

    _before_upstream(proxy, forget)
    assert here.push(f"{proxy.host}/push/forgotten")[-1].status == "success"


def test_a_registry_that_never_takes_it_is_given_up(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/never", noise(10_000, seed=11))
    _before_upstream(proxy, lambda ask: Reply(503, {}, b"no") if ask.method == "POST" else None)
    with pytest.raises(GaveUp, match="503: no"):
        here.push(f"{proxy.host}/push/never")


def test_a_refusal_is_told_at_once(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/denied", noise(10_000, seed=12))
    _before_upstream(
        proxy, lambda ask: Reply(403, {}, b"not your namespace") if ask.method == "POST" else None
    )
    with pytest.raises(Refused, match="403: not your namespace"):
        here.push(f"{proxy.host}/push/denied")
    assert len(proxy.web.asked("POST")) == 1


def test_uploads_stay_with_the_registry_that_got_the_token(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/astray", noise(10_000, seed=13))
    elsewhere = {"Location": "http://localhost:1/v2/x"}
    _before_upstream(proxy, lambda ask: Reply(202, elsewhere) if ask.method == "POST" else None)
    with pytest.raises(BadAnswer, match="wants uploads sent to another registry"):
        here.push(f"{proxy.host}/push/astray")


def test_a_registry_that_stored_something_else_is_found_out(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    upload(here, f"{proxy.host}/push/other", noise(10_000, seed=14))

    def other(ask: Ask, reply: Reply) -> Reply:
        if ask.method == "PUT" and "/manifests/" in ask.path:
            reply.headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        return reply

    proxy.spoil = other
    with pytest.raises(BadAnswer, match="stored the manifest as sha256:000"):
        here.push(f"{proxy.host}/push/other")


def test_a_blob_that_changed_on_our_disk_is_refused_by_its_digest(machine: Machines, registry: str) -> None:
    here = machine()
    weights = noise(10_000, seed=15)
    upload(here, f"{registry}/push/changed", weights)
    here.library.store.blobs.path(Digest.of(weights)).write_bytes(b"x" * 10_000)
    with pytest.raises(RegistryError, match="DIGEST_INVALID"):
        here.push(f"{registry}/push/changed")
    assert get(registry, "/v2/push/changed/manifests/latest")[0] == 404


def test_a_missing_blob_is_said_before_anything_is_pushed(machine: Machines, proxy: Faulty) -> None:
    here = machine()
    weights = noise(10_000, seed=16)
    upload(here, f"{proxy.host}/push/missing", weights)
    here.library.store.blobs.path(Digest.of(weights)).unlink()
    with pytest.raises(DamagedModel, match="is missing or has another size"):
        here.push(f"{proxy.host}/push/missing")


def test_a_model_that_is_not_here_is_said_as_clients_know_it(machine: Machines, registry: str) -> None:
    statuses = machine().client.push(f"{registry}/push/nothing")
    assert [next(statuses).status, next(statuses).status] == [
        "retrieving manifest",
        "couldn't retrieve manifest",
    ]
    with pytest.raises(NothingToPush, match="not found"):
        next(statuses)


def test_unknown_fields_of_a_stored_manifest_are_pushed_with_it(machine: Machines, registry: str) -> None:
    here = machine()
    data = upload(here, f"{registry}/push/fields", noise(1000, seed=17))
    more = data.rstrip(b"}\n") + b',"annotations":{"note":"kept"}}\n'
    here.library.store.write(Name.parse(f"{registry}/push/fields"), more)
    here.push(f"{registry}/push/fields")
    assert get(registry, "/v2/push/fields/manifests/latest") == (200, more)


class Redirecting:
    """A registry of the reference's dialect: pieces go straight to a storage, side by side."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.commits: list[dict[str, str]] = []
        self.storage = Web(self._stored)
        self.web = Web(self._answer)

    def _answer(self, ask: Ask) -> Reply:
        path, query = urlsplit(ask.path).path, dict(parse_qsl(urlsplit(ask.path).query))
        match ask.method:
            case "HEAD":
                return Reply(200 if path.rpartition("/")[2] in self.blobs else 404)
            case "POST":
                self.pieces.clear()
                return Reply(202, {"Docker-Upload-Location": f"{self.web.url}/upload/0?state=a"})
            case "PATCH":
                assert ask.headers["X-Redirect-Uploads"] == "1"
                number = int(path.rpartition("/")[2])
                start = ask.headers["Content-Range"].split("-")[0]
                storage = self.storage.url.replace("127.0.0.1", "localhost")
                return Reply(
                    307,
                    {
                        "Location": f"{storage}/piece/{start}?signature=x",
                        "Docker-Upload-Location": f"{self.web.url}/upload/{number + 1}?state=a",
                    },
                )
            case "PUT" if path.startswith("/v2/"):
                self.manifests[path] = ask.body
                return Reply(201)
            case "PUT":
                whole = b"".join(self.pieces[key] for key in sorted(self.pieces, key=int))
                self.commits.append(query)
                self.blobs[query["digest"]] = whole
                good = query["digest"] == str(Digest.of(whole)) and query["etag"] == self._etag()
                return Reply(201 if good else 400)
        return Reply(405)

    def _stored(self, ask: Ask) -> Reply:
        assert "Authorization" not in ask.headers
        assert "Content-Range" not in ask.headers
        self.pieces[urlsplit(ask.path).path.rpartition("/")[2]] = ask.body
        return Reply(200)

    def _etag(self) -> str:
        sums = [hashlib.md5(self.pieces[key]).digest() for key in sorted(self.pieces, key=int)]
        return f"{hashlib.md5(b''.join(sums)).hexdigest()}-{len(sums)}"


def test_the_references_dialect_sends_pieces_straight_to_the_storage(machine: Machines) -> None:
    there = Redirecting()
    with there.web, there.storage:
        here = machine()
        name = f"{there.web.host}/push/straight"
        data = upload(here, name)
        here.push(name)
        assert there.blobs[str(Digest.of(WEIGHTS))] == WEIGHTS
        assert there.manifests == {"/v2/push/straight/manifests/latest": data}
        assert [*there.commits[0]] == ["digest", "etag", "state"], "in order, what was there is kept"
        assert there.commits[0]["etag"].endswith("-3")
        assert {ask.path.split("?")[0] for ask in there.storage.asks[:3]} == {
            "/piece/0",
            "/piece/70000",
            "/piece/140000",
        }


def test_a_storage_that_fails_for_a_while_gets_the_piece_again(machine: Machines) -> None:
    there = Redirecting()
    often = Times(2)
    stored = there.storage.handler
    there.storage.handler = lambda ask: Reply(503) if often() else stored(ask)
    with there.web, there.storage:
        here = machine()
        upload(here, f"{there.web.host}/push/straight")
        here.push(f"{there.web.host}/push/straight")
        assert there.blobs[str(Digest.of(WEIGHTS))] == WEIGHTS


def _before_upstream(proxy: Faulty, refuse: Callable[[Ask], Reply | None]) -> None:
    """Requests that never reach the real registry."""
    passed = proxy.web.handler
    proxy.web.handler = lambda ask: refuse(ask) or passed(ask)
