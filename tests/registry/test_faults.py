"""What networks and servers do to a download. It ends in the right bytes, or in an error that says why."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

import pytest

from tests.registry.conftest import Machine, Published
from tests.registry.faults import Faulty, Times
from tests.registry.web import Ask, Reply, Web
from tropa.library import disk
from tropa.library.errors import StoreUnusable
from tropa.registry import partial
from tropa.registry.errors import (
    BadAnswer,
    BadRedirect,
    CorruptDownload,
    GaveUp,
    PullFailed,
    Refused,
    RegistryError,
)

Machines = Callable[..., Machine]
Spoil = Callable[[Reply], Reply]


def spoil_blobs(
    proxy: Faulty, published: Published, spoil: Spoil, when: Callable[[], bool] = lambda: True
) -> None:
    """Of the requests for the weights, those for which `when` is true."""

    def apply(ask: Ask, reply: Reply) -> Reply:
        mine = ask.method == "GET" and str(published.digest) in ask.path
        return spoil(reply) if mine and when() else reply

    proxy.spoil = apply


def cut(at: int) -> Spoil:
    def spoil(reply: Reply) -> Reply:
        reply.cut = at
        return reply

    return spoil


def status(code: int, headers: dict[str, str] | None = None) -> Spoil:
    return lambda reply: Reply(code, headers or {}, b"because")


@pytest.mark.parametrize("at", [0, 1, 59_999])
def test_cut_connections_are_continued(
    machine: Machines, proxy: Faulty, published: Published, at: int
) -> None:
    spoil_blobs(proxy, published, cut(at), Times(3))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def test_after_a_cut_only_the_rest_is_asked_for(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, cut(1000), Times(1))
    here = machine(streams=1)
    here.pull(f"{proxy.host}/team/large")
    assert [ask.headers["Range"] for ask in proxy.blobs()[:2]] == ["bytes=0-59999", "bytes=1000-59999"]


def test_connections_that_always_break_but_always_bring_something_get_there(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, cut(5_000))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def test_connections_that_never_bring_anything_are_given_up(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, cut(0))
    here = machine()
    with pytest.raises(GaveUp, match="max retries exceeded"):
        here.pull(f"{proxy.host}/team/large")
    assert not here.has(f"{proxy.host}/team/large")


def test_a_stall_is_noticed_and_what_came_is_kept(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    def stall(reply: Reply) -> Reply:
        reply.stall = 20_000
        return reply

    spoil_blobs(proxy, published, stall, Times(1))
    here = machine(stall=0.3, streams=1)
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")
    assert proxy.blobs()[1].headers["Range"] == "bytes=20000-59999"


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_what_may_pass_is_tried_again(
    machine: Machines, proxy: Faulty, published: Published, code: int
) -> None:
    spoil_blobs(proxy, published, status(code), Times(2))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


@pytest.mark.parametrize("code", [400, 403, 404, 410, 416])
def test_what_cannot_get_better_is_asked_once(
    machine: Machines, proxy: Faulty, published: Published, code: int
) -> None:
    spoil_blobs(proxy, published, status(code))
    here = machine(streams=1)
    with pytest.raises(RegistryError) as caught:
        here.pull(f"{proxy.host}/team/large")
    assert len(proxy.blobs()) == 1
    assert "does not have it" in str(caught.value) if code == 404 else str(caught.value) == f"{code}: because"


def test_retry_after_is_obeyed(machine: Machines, proxy: Faulty, published: Published) -> None:
    times: list[float] = []

    def too_many(reply: Reply) -> Reply:
        return Reply(429, {"Retry-After": "1"}, b"slow down")

    def when() -> bool:
        times.append(time.monotonic())
        return len(times) == 1

    spoil_blobs(proxy, published, too_many, when)
    machine(streams=1, longest=5.0).pull(f"{proxy.host}/team/large")
    assert times[1] - times[0] >= 1.0


def test_server_errors_of_the_manifest_are_tried_again(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    often = Times(2)
    proxy.spoil = lambda ask, reply: Reply(503) if "/manifests/" in ask.path and often() else reply
    machine().pull(f"{proxy.host}/team/large")
    assert len(proxy.web.asked("GET", "/manifests/")) == 3


def wrong_range(reply: Reply) -> Reply:
    """Some other part of the file, honestly labelled."""
    reply.headers["Content-Range"] = f"bytes 5-{5 + len(reply.body) - 1}/300001"
    return reply


def wrong_total(reply: Reply) -> Reply:
    reply.headers["Content-Range"] = reply.headers["Content-Range"].replace("/300001", "/300002")
    return reply


def no_label(reply: Reply) -> Reply:
    del reply.headers["Content-Range"]
    return reply


@pytest.mark.parametrize("spoil", [wrong_range, no_label])
def test_another_range_than_asked_for_is_never_written(
    machine: Machines, proxy: Faulty, published: Published, spoil: Spoil
) -> None:
    spoil_blobs(proxy, published, spoil, Times(2))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")
    spoil_blobs(proxy, published, spoil)
    other = machine()
    with pytest.raises(GaveUp, match=r"asked for the bytes|without saying which"):
        other.pull(f"{proxy.host}/team/large")
    assert not other.has(f"{proxy.host}/team/large")


def test_a_file_of_another_size_than_the_manifest_says_is_refused(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, wrong_total)
    with pytest.raises(BadAnswer, match="300002 bytes, and the manifest says 300001"):
        machine().pull(f"{proxy.host}/team/large")


def test_a_server_without_ranges_sends_the_whole(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, lambda reply: Reply(200, {}, published.weights))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")
    assert not [name for name in here.blobs() if "partial" in name]


@pytest.mark.parametrize("wrong", [-1, 0, 1])
def test_an_answer_that_does_not_say_how_long_it_is_is_taken_as_far_as_it_should_go(
    machine: Machines, proxy: Faulty, published: Published, wrong: int
) -> None:
    """Chunked, by a proxy that re-packs what passes; once shorter than it should be, or longer."""
    once = Times(1)

    def repack(ask: Ask, reply: Reply) -> Reply:
        if reply.status in (200, 206) and ask.method == "GET":
            reply.headers = {k: v for k, v in reply.headers.items() if k.lower() != "content-length"}
            reply.headers["Transfer-Encoding"] = "chunked"
            if "Range" in ask.headers and once():
                reply.body = reply.body[:-1] if wrong < 0 else reply.body + b"x" * wrong
        return reply

    proxy.spoil = repack
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def test_a_server_without_ranges_that_breaks_off_begins_anew(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    broken = Times(3)
    spoil_blobs(
        proxy, published, lambda reply: Reply(200, {}, published.weights, cut=70_000 if broken() else None)
    )
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def flip(reply: Reply) -> Reply:
    middle = len(reply.body) // 2
    reply.body = reply.body[:middle] + bytes([reply.body[middle] ^ 1]) + reply.body[middle + 1 :]
    return reply


def test_wrong_bytes_are_fetched_once_more(machine: Machines, proxy: Faulty, published: Published) -> None:
    spoil_blobs(proxy, published, flip, Times(1))
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def test_wrong_bytes_are_never_accepted(machine: Machines, proxy: Faulty, published: Published) -> None:
    spoil_blobs(proxy, published, flip)
    here = machine()
    with pytest.raises(
        CorruptDownload,
        match=rf"^digest mismatch, file must be downloaded again: want {published.digest}, got sha256:",
    ):
        here.pull(f"{proxy.host}/team/large")
    assert not here.has(f"{proxy.host}/team/large")
    assert not [name for name in here.blobs() if published.digest.hex in name], "nothing of it stays"
    assert len(proxy.blobs()) == 12, "six parts, twice, and no more"


def test_a_redirect_to_another_host_is_followed_without_credentials(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    from tropa.registry.credentials import Credentials, Store

    def store(ask: Ask) -> Reply:
        start, end = (int(text) for text in ask.headers["Range"].removeprefix("bytes=").split("-"))
        body = published.weights[start : end + 1]
        return Reply(206, {"Content-Range": f"bytes {start}-{end}/300001"}, body)

    with Web(store) as elsewhere:
        address = f"http://localhost:{elsewhere.host.split(':')[1]}/blob?signature=sentinel-signature"
        here = machine()
        Store(here.home / "credentials.json").put(proxy.host, Credentials("somebody", "sentinel-password"))
        challenge = {"WWW-Authenticate": 'Basic realm="tests"'}

        def spoil(ask: Ask, reply: Reply) -> Reply:
            if "Authorization" not in ask.headers:
                return Reply(401, challenge)
            return Reply(307, {"Location": address}) if str(published.digest) in ask.path else reply

        proxy.spoil = spoil
        here.pull(f"{proxy.host}/team/large")
        assert here.whole(f"{proxy.host}/team/large")
        assert len(elsewhere.asks) == 6
        assert not [ask for ask in elsewhere.asks if "Authorization" in ask.headers]
        asked = [ask for ask in proxy.blobs() if str(published.digest) in ask.path]
        assert len(asked) <= 4, "one for each stream at most: the address is remembered"


def test_an_address_that_has_run_out_is_asked_for_anew(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    fresh = Times(2)

    def store(ask: Ask) -> Reply:
        if not fresh() and "second" not in ask.path:
            return Reply(403, {}, b"expired")
        start, end = (int(text) for text in ask.headers["Range"].removeprefix("bytes=").split("-"))
        return Reply(
            206, {"Content-Range": f"bytes {start}-{end}/300001"}, published.weights[start : end + 1]
        )

    with Web(store) as elsewhere:
        addresses = iter(["first", *["second"] * 10])
        spoil_blobs(
            proxy,
            published,
            lambda reply: Reply(
                302, {"Location": f"http://localhost:{elsewhere.host.split(':')[1]}/{next(addresses)}"}
            ),
        )
        here = machine(streams=1)
        here.pull(f"{proxy.host}/team/large")
        assert here.whole(f"{proxy.host}/team/large")


def test_endless_redirects_end(machine: Machines, proxy: Faulty, published: Published) -> None:
    proxy.spoil = lambda ask, reply: Reply(302, {"Location": ask.path})
    with pytest.raises(PullFailed, match="maximum redirects exceeded"):
        machine().pull(f"{proxy.host}/team/large")
    assert len(proxy.web.asked("GET", "/manifests/")) == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/x", "http://", "gopher:x"])
def test_redirects_to_something_else_than_the_web_are_refused(
    machine: Machines, proxy: Faulty, published: Published, location: str
) -> None:
    spoil_blobs(proxy, published, lambda reply: Reply(302, {"Location": location}))
    with pytest.raises(BadRedirect, match="redirects to something that is no web address"):
        machine().pull(f"{proxy.host}/team/large")


def test_a_web_page_instead_of_a_blob_is_said(machine: Machines, proxy: Faulty, published: Published) -> None:
    def page(ask: Ask, reply: Reply) -> Reply:
        small = "/blobs/" in ask.path and str(published.digest) not in ask.path
        return Reply(200, {"Content-Type": "text/html"}, b"<html>12" + b" " * 15) if small else reply

    proxy.spoil = page
    with pytest.raises(RegistryError, match=r"web page|the manifest says"):
        machine().pull(f"{proxy.host}/team/large")


def test_a_manifest_that_is_not_the_one_announced_is_refused(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    def other(ask: Ask, reply: Reply) -> Reply:
        if "/manifests/" in ask.path:
            reply.body = reply.body.replace(b'"schemaVersion"', b'"SchemaVersion"')
        return reply

    proxy.spoil = other
    with pytest.raises(PullFailed, match="these are not the bytes of sha256:"):
        machine().pull(f"{proxy.host}/team/large")


def test_a_server_that_is_not_there_is_said(machine: Machines) -> None:
    with Web(lambda ask: Reply()) as web:
        host = web.host
    with pytest.raises(PullFailed, match="nobody takes the connection"):
        machine().pull(f"{host}/a/b")


def test_a_full_disk_is_a_clear_error_and_the_store_stays_valid(
    machine: Machines, proxy: Faulty, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    left = 100_000
    real = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        nonlocal left
        if len(data) > left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left -= len(data)
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreUnusable, match="No space left on device"):
        here.pull(f"{proxy.host}/team/large")
    monkeypatch.undo()
    assert here.wrong() == []
    assert here.library.models() == []
    kept = partial.progress_of(here.library.store.blobs, published.digest, 300_001)
    assert 0 < kept <= 100_000
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")


def test_a_full_disk_at_the_manifest_leaves_the_old_model(
    machine: Machines, proxy: Faulty, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "replace", full)
    with pytest.raises(StoreUnusable, match="No space left on device"):
        here.pull(f"{proxy.host}/team/large")
    assert not here.has(f"{proxy.host}/team/large")


def test_refusals_are_told_with_the_servers_words_but_no_pages(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    spoil_blobs(proxy, published, lambda reply: Reply(403, {"Content-Type": "text/html"}, b"<html>no</html>"))
    with pytest.raises(Refused, match=r"^403: \(a web page\)$"):
        machine().pull(f"{proxy.host}/team/large")
