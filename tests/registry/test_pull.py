"""Pulling from a real registry: what is told, what lies in the store afterwards, and what is never seen there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from tests.library.making import gguf, make
from tests.registry.conftest import Machine, Published, add_model, noise
from tests.registry.faults import Faulty
from tests.registry.web import Ask, Reply, Web
from tests.support.processes import until
from tropa.errors import TropaError
from tropa.library import manifest
from tropa.library.errors import CloudDisabled, InvalidManifest
from tropa.library.name import InvalidName, Name
from tropa.registry.errors import Left, NotEnoughSpace, PullFailed
from tropa.registry.leaving import Leaving

Machines = Callable[..., Machine]


def test_a_model_arrives_whole_with_the_bytes_of_its_manifest(
    machine: Machines, registry: str, published: Published
) -> None:
    here = machine()
    here.pull(f"{registry}/team/large")
    found = here.library.store.find(Name.parse(f"{registry}/team/large"))
    assert found is not None
    assert found.path.read_bytes() == published.manifest
    assert here.whole(f"{registry}/team/large")
    assert not [name for name in here.blobs() if "partial" in name]


def test_the_events_are_those_that_clients_know(
    machine: Machines, registry: str, published: Published
) -> None:
    statuses = machine().pull(f"{registry}/team/large")
    short = published.digest.hex[:12]
    assert statuses[0].status == "pulling manifest"
    assert [each.status for each in statuses[-3:]] == [
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    mine = [each for each in statuses if each.digest == str(published.digest)]
    assert {each.status for each in mine} == {f"pulling {short}"}
    assert {each.total for each in mine} == {300_001}
    assert mine[0].completed == 0
    assert mine[-1].completed == 300_001
    layers = list(dict.fromkeys(each.digest for each in statuses if each.digest))
    assert layers == [layer.digest for layer in manifest.parse(published.manifest).blobs()], "config last"


def test_what_is_here_is_not_fetched_again(machine: Machines, proxy: Faulty, published: Published) -> None:
    here = machine()
    here.pull(f"{proxy.host}/team/large")
    before = len(proxy.blobs())
    statuses = here.pull(f"{proxy.host}/team/large")
    assert len(proxy.blobs()) == before
    assert [(each.total, each.completed) for each in statuses if each.digest == str(published.digest)] == [
        (300_001, 300_001)
    ]


def test_a_blob_of_another_size_is_not_taken_for_it(
    machine: Machines, registry: str, published: Published
) -> None:
    here = machine()
    here.pull(f"{registry}/team/large")
    here.library.store.blobs.path(published.digest).write_bytes(b"short")
    here.pull(f"{registry}/team/large")
    assert here.whole(f"{registry}/team/large")


def test_large_blobs_come_in_parts_each_asked_for_once(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    machine().pull(f"{proxy.host}/team/large")
    ranges = [ask.headers["Range"] for ask in proxy.blobs() if str(published.digest) in ask.path]
    expected = [f"bytes={at}-{min(at + 60_000, 300_001) - 1}" for at in range(0, 300_001, 60_000)]
    assert sorted(ranges, key=lambda text: int(text[6:].split("-")[0])) == expected


def test_superseded_layers_go_and_shared_ones_stay(machine: Machines, registry: str) -> None:
    there, here = machine(), machine()
    name = f"{registry}/team/changing"
    make(there.library, name, gguf(tensors=2), system="first")
    there.push(name)
    here.pull(name)
    before = here.blobs()
    make(there.library, name, gguf(tensors=2), system="second")
    there.push(name)
    statuses = [each.status for each in here.pull(name)]
    assert statuses[-2:] == ["removing unused layers", "success"]
    assert here.whole(name)
    assert len(here.blobs()) == len(before)
    assert len(here.blobs() - before) == 2, "system and config are new"


def test_noprune_keeps_superseded_layers(machine: Machines, registry: str) -> None:
    there, here = machine(), machine()
    here.library.prune = False
    name = f"{registry}/team/kept"
    make(there.library, name, gguf(), system="first")
    there.push(name)
    here.pull(name)
    before = here.blobs()
    make(there.library, name, gguf(), system="second")
    there.push(name)
    assert "removing unused layers" not in [each.status for each in here.pull(name)]
    assert before <= here.blobs()


def test_an_empty_layer_is_a_layer(machine: Machines, registry: str) -> None:
    there, here = machine(), machine()
    name = f"{registry}/team/empty"
    add_model(there.library, name, (manifest.MODEL, b"x"), (manifest.LICENSE, b""))
    there.push(name)
    here.pull(name)
    assert here.whole(name)


def test_a_dry_run_says_sizes_and_fetches_nothing(
    machine: Machines, registry: str, published: Published
) -> None:
    here = machine()
    rows = [each for each in here.client.sizes(f"{registry}/team/large") if each.digest]
    assert [(each.status.split()[0], each.total, each.completed) for each in rows] == [
        ("model", 300_001, 0), ("system", 8, 0), ("config", 23, 0),
    ]  # fmt: skip
    assert not here.has(f"{registry}/team/large")
    assert here.blobs() == set()


def test_an_unknown_model_is_said_in_the_words_that_clients_look_for(
    machine: Machines, registry: str
) -> None:
    with pytest.raises(PullFailed, match=r"^pull model manifest: file does not exist$"):
        machine().pull(f"{registry}/team/nothing")


def test_two_pulls_of_one_blob_share_its_download(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    here = machine()
    _hold_back(proxy, published)
    one, other = _Puller(here, f"{proxy.host}/team/large"), _Puller(here, f"{proxy.host}/team/large")
    until(lambda: one.seen and other.seen, "both are under way")
    assert proxy.web.stalled.wait(10)
    proxy.web.released.set()
    assert one.finish() is None
    assert other.finish() is None
    starts = [
        ask.headers.get("Range", "").split("-")[0]
        for ask in proxy.blobs()
        if str(published.digest) in ask.path
    ]
    assert starts.count("bytes=240000") == 1, "nobody fetched a part that another was fetching"


def test_one_callers_leaving_does_not_stop_the_other(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    here = machine()
    _hold_back(proxy, published)
    one, other = _Puller(here, f"{proxy.host}/team/large"), _Puller(here, f"{proxy.host}/team/large")
    until(lambda: one.seen and other.seen, "both are under way")
    one.leaving.leave()
    assert isinstance(one.finish(), Left)
    proxy.web.released.set()
    assert other.finish() is None
    assert here.whole(f"{proxy.host}/team/large")


def test_when_the_last_caller_leaves_the_download_ends_and_stays_for_the_next(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    here = machine()
    _hold_back(proxy, published)
    puller = _Puller(here, f"{proxy.host}/team/large")
    until(lambda: puller.seen and proxy.web.stalled.is_set(), "it is under way")
    puller.leaving.leave()
    assert isinstance(puller.finish(), Left)
    assert not here.has(f"{proxy.host}/team/large")
    proxy.web.released.set()
    proxy.spoil = lambda ask, reply: reply
    before = len(proxy.blobs())
    statuses = here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")
    assert len(proxy.blobs()) > before
    resumed = [each.completed for each in statuses if each.digest == str(published.digest)]
    assert resumed[0] > 0, "what was fetched before was not fetched again"


def test_closing_ends_what_is_under_way(machine: Machines, proxy: Faulty, published: Published) -> None:
    here = machine()
    _hold_back(proxy, published)
    puller = _Puller(here, f"{proxy.host}/team/large")
    until(lambda: puller.seen and proxy.web.stalled.is_set(), "it is under way")
    here.client.close()
    assert isinstance(puller.finish(), Left)


def test_another_process_downloads_and_we_wait_for_it(
    machine: Machines, registry: str, published: Published
) -> None:
    """Two clients on one folder: the lock of the partial file is what both see."""
    here = machine()
    other = machine()
    other.library.store.blobs.folder.parent.mkdir(parents=True, exist_ok=True)
    here.library.store.blobs.folder.mkdir(parents=True)
    other.library.store.blobs.folder.symlink_to(here.library.store.blobs.folder)
    name = f"{registry}/team/large"
    pullers = [_Puller(each, name) for each in (here, other, here, other)]
    assert [puller.finish() for puller in pullers] == [None] * 4
    assert here.whole(name)
    assert other.whole(name)
    assert not [each for each in here.blobs() if "partial" in each]


def test_when_the_other_process_stops_we_go_on_where_it_was(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    here, other = machine(), machine()
    here.library.store.blobs.folder.mkdir(parents=True)
    other.library.store.root.mkdir(parents=True)
    other.library.store.blobs.folder.symlink_to(here.library.store.blobs.folder)
    _hold_back(proxy, published)
    name = f"{proxy.host}/team/large"
    first = _Puller(here, name)
    until(lambda: first.seen and proxy.web.stalled.is_set(), "the first is under way")
    waiting = _Puller(other, name)
    until(lambda: waiting.seen, "the second shows how far the first is")
    first.leaving.leave()
    proxy.web.released.set()
    assert isinstance(first.finish(), Left)
    assert waiting.finish() is None
    assert other.whole(name)
    asked = [ask.headers.get("Range", "") for ask in proxy.blobs() if str(published.digest) in ask.path]
    assert asked.count("bytes=0-59999") == 1, "the first part was not fetched twice"


def test_free_space_is_looked_at_before_the_first_byte(
    machine: Machines, proxy: Faulty, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    here = machine()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 300_000))
    with pytest.raises(
        NotEnoughSpace, match=r"needs 300 KB, and .* has 300 KB free \(300032 and 300000 bytes\)"
    ):
        here.pull(f"{proxy.host}/team/large")
    assert proxy.blobs() == []


def test_a_cloud_model_is_not_pulled(machine: Machines, registry: str) -> None:
    with pytest.raises(CloudDisabled):
        machine().pull(f"{registry}/team/large:cloud")


@pytest.mark.parametrize("name", ["", "a b", "../../etc/passwd", "h/../m", "x@sha256:0", "h/n/m:" + "t" * 81])
def test_hostile_names_ask_nobody(machine: Machines, name: str) -> None:
    with pytest.raises(InvalidName):
        machine().pull(name)


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"<html>hello</html>", None, "answers with a web page"),
        (b"{", None, "invalid manifest"),
        (b"[]", None, "invalid manifest"),
        (b"null", None, "invalid manifest"),
        (b"[" * 100_000, None, "invalid manifest"),
        (b'{"schemaVersion":1,"fsLayers":[]}', None, "schema version 1"),
        (b'{"schemaVersion":2,"layers":[]}', None, "has no config"),
        (b"{}" + b" " * (5 << 20), None, "larger than"),
        (b"hello", "text/html", "answers with a web page"),
    ],
)
def test_what_is_no_manifest_is_said(machine: Machines, body: bytes, kind: str | None, what: str) -> None:
    headers = {"Content-Type": kind or "application/json"}
    with Web(lambda ask: Reply(200, headers, body)) as web:
        here = machine()
        with pytest.raises(PullFailed, match=what):
            here.pull(f"{web.host}/a/b")
        assert here.blobs() == set()


def _manifest(**fields: object) -> bytes:
    config = {"mediaType": manifest.CONFIG, "digest": "sha256:" + "a" * 64, "size": 2}
    layer = {"mediaType": manifest.MODEL, "digest": "sha256:" + "b" * 64, "size": 10}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [layer], **fields}).encode()


def _layer(**fields: object) -> bytes:
    layer = {"mediaType": manifest.MODEL, "digest": "sha256:" + "b" * 64, "size": 10}
    return _manifest(layers=[{**layer, **fields}])


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (_layer(digest="../../../etc/passwd"), "invalid digest"),
        (_layer(digest="sha512:" + "a" * 128), "invalid digest"),
        (_layer(digest="sha256:" + "z" * 64), "invalid digest"),
        (_layer(size=-1), "the size -1"),
        (_layer(size=10**30), "the size 1000"),
        (_layer(size="10"), "invalid manifest"),
        (
            _layer(mediaType="application/vnd.docker.image.rootfs.diff.tar.gzip"),
            "is no model: its layers are of type",
        ),
        (_layer(mediaType=manifest.TENSOR), "requires MLX"),
        (
            _manifest(config={"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": 1 << 30}),
            "the config has",
        ),
    ],
)
def test_bad_manifests_fetch_nothing(machine: Machines, body: bytes, what: str) -> None:
    with Web(lambda ask: Reply(200, {"Content-Type": "application/json"}, body)) as web:
        here = machine()
        with pytest.raises(PullFailed, match=what):
            here.pull(f"{web.host}/a/b")
        assert not web.asked("GET", "/blobs/")


def test_a_config_that_is_none_is_refused_before_the_model_is_registered(machine: Machines) -> None:
    config, weights = b"not JSON", b"weights"
    blobs = {_digest(data): data for data in (config, weights)}
    body = _manifest(
        config={"mediaType": manifest.CONFIG, "digest": _digest(config), "size": len(config)},
        layers=[{"mediaType": manifest.MODEL, "digest": _digest(weights), "size": len(weights)}],
    )
    with Web(lambda ask: _serve(ask, body, blobs)) as web:
        here = machine()
        with pytest.raises(InvalidManifest, match="invalid config"):
            here.pull(f"{web.host}/a/b")
        assert not here.has(f"{web.host}/a/b")


OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize("platforms", [["any"], ["other", "mine"]])
def test_an_index_with_one_fitting_manifest_leads_to_it(machine: Machines, platforms: list[str]) -> None:
    import platform

    from tropa.registry.content import _MACHINES  # what this machine is called there

    config, weights = b"{}", noise(1000, 5)
    blobs = {_digest(data): data for data in (config, weights)}
    body = _manifest(
        mediaType=OCI,
        config={
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": _digest(config),
            "size": 2,
        },
        layers=[{"mediaType": manifest.MODEL, "digest": _digest(weights), "size": 1000}],
    )
    names = {
        "mine": _MACHINES.get(platform.machine(), platform.machine()),
        "other": "s390x",
        "any": "unknown",
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": OCI,
                "digest": _digest(body) if each != "other" else "sha256:" + "0" * 64,
                "platform": {"os": "linux", "architecture": names[each]},
            }
            for each in platforms
        ],
    }
    with Web(lambda ask: _serve(ask, body, blobs, json.dumps(index).encode())) as web:
        here = machine()
        here.pull(f"{web.host}/a/b")
        found = here.library.store.find(Name.parse(f"{web.host}/a/b"))
        assert found is not None
        assert found.path.read_bytes() == body


def test_an_index_of_many_is_refused_and_described(machine: Machines) -> None:
    machines = [{"os": "linux", "architecture": name} for name in ("s390x", "mips")]
    entries = [{"digest": "sha256:" + "a" * 64, "platform": each} for each in machines]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    with (
        Web(lambda ask: Reply(200, {}, index)) as web,
        pytest.raises(PullFailed, match="an index of 2 manifests"),
    ):
        machine().pull(f"{web.host}/a/b")


def _serve(ask: Ask, body: bytes, blobs: dict[str, bytes], index: bytes | None = None) -> Reply:
    last = ask.path.rpartition("/")[2]
    if "/manifests/" in ask.path:
        return Reply(200, {}, body if index is None or last.startswith("sha256:") else index)
    return Reply(200, {}, blobs[last]) if last in blobs else Reply(404)


def _digest(data: bytes) -> str:
    from tests.registry.debian import digest_of

    return digest_of(data)


def _hold_back(proxy: Faulty, published: Published) -> None:
    """The second part comes half, and then nothing until it is released."""

    def spoil(ask: Ask, reply: Reply) -> Reply:
        if ask.headers.get("Range", "").startswith("bytes=60000-") and not proxy.web.released.is_set():
            reply.stall = 20_000
        return reply

    proxy.spoil = spoil


class _Puller:
    """A pull in a thread."""

    def __init__(self, at: Machine, name: str) -> None:
        self.leaving = Leaving()
        self.seen = False
        self.error: TropaError | None = None
        self._steps = at.client.pull(name, leaving=self.leaving)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for status in self._steps:
                self.seen = self.seen or status.completed > 0
        except TropaError as error:
            self.error = error

    def finish(self) -> TropaError | None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.error
