"""Models that Hugging Face has in several files: fetched as files, joined to one model, or refused in clear words."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from tests.library.test_shards import contents, split
from tests.registry.conftest import Machine
from tests.registry.test_reference import World
from tests.registry.web import Ask, Reply
from tests.support import models
from tropa.gguf import InvalidGGUF, read
from tropa.registry.errors import BadAnswer, CorruptDownload, Left, NotEnoughSpace, PullFailed, RegistryError
from tropa.registry.hub import chosen
from tropa.registry.leaving import Leaving

Machines = Callable[..., Machine]
NAME = "hf.co/user/repo-GGUF:Q4_K_M"
REFUSAL = b'{"error":"The specified tag is a sharded GGUF. Ollama does not support this yet."}'


@dataclass
class Site(World):
    """The registry that refuses a split model, and the plain interface beside it. Files lie at a host of their own."""

    files: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)  # SHA-256 that are not the files' own
    page: int = 1000

    def answer(self, ask: Ask) -> Reply:
        parts = urlsplit(ask.path)
        if parts.hostname == "cdn.example.com":
            return self._storage(ask)
        if "/manifests/" in parts.path:
            return Reply(400, {}, REFUSAL)
        if "Authorization" in ask.headers:
            self.wrong.append("credentials where nobody asked for any")
        if parts.hostname != "huggingface.co":
            self.wrong.append(f"asked of {parts.hostname}: {parts.path}")
        if parts.path == "/api/models/user/repo-GGUF/tree/main":
            return self._tree(parts.query)
        file = unquote(parts.path.removeprefix("/user/repo-GGUF/resolve/main/"))
        self.blobs[hashlib.sha256(self.files[file]).hexdigest()] = self.files[file]
        where = hashlib.sha256(self.files[file]).hexdigest()
        return Reply(302, {"Location": f"http://cdn.example.com/{where}?signature=sentinel-signature"})

    def _tree(self, query: str) -> Reply:
        listed = [entry(path, data, self.told.get(path)) for path, data in self.files.items()]
        start = int(query.partition("cursor=")[2] or 0)
        more = {"Link": f'<http://huggingface.co/api/models/user/repo-GGUF/tree/main?cursor={start + self.page}>; rel="next"'}  # fmt: skip # noqa: E501 - a header is one line
        page = json.dumps(listed[start : start + self.page]).encode()
        return Reply(200, more if start + self.page < len(listed) else {}, page)


def entry(path: str, data: bytes = b"x", oid: str | None = None) -> dict[str, object]:
    lfs = {"oid": oid or hashlib.sha256(data).hexdigest(), "size": len(data)}
    return {"type": "file", "path": path, "size": len(data), "lfs": lfs}


def names(stem: str, count: int, *without: int) -> list[dict[str, object]]:
    return [entry(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1) if n not in without]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return models.llama(tmp_path / "whole.gguf", width=64, vocab=400, layers=1)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, whole: Path) -> Iterator[Site]:
    site = Site()
    for file, data in split(whole, 3).items():
        site.files[f"Q4_K_M/{file.replace('m-', 'model Q4_K_M-')}"] = data
        site.files[f"{file.replace('m-', 'model-Q8_0-')}"] = data[::-1]
    site.files["README.md"] = b"# a model"
    with site.web:
        monkeypatch.setenv("http_proxy", site.web.url)
        yield site
    assert site.wrong == []


def parts(site: Site) -> list[bytes]:
    return [data for path, data in site.files.items() if "Q4_K_M" in path]


def hexes(site: Site) -> set[str]:
    return {f"sha256-{hashlib.sha256(data).hexdigest()}" for data in parts(site)}


@pytest.mark.parametrize("page", [1000, 2])
def test_a_split_model_arrives_as_one(machine: Machines, site: Site, whole: Path, page: int) -> None:
    here, site.page = machine(), page
    statuses = here.pull(NAME, insecure=True)
    model = here.library.find(NAME)
    assert model.weights is not None
    assert contents(read(model.weights.path)) == contents(read(whole))
    assert here.whole(NAME)
    assert not hexes(site) & here.blobs(), "the parts are of no more use"
    said = [each.status for each in statuses]
    assert said[0] == "pulling manifest"
    assert "joining 3 parts" in said
    assert said.count("success") == 1
    assert said[-1] == "success"
    for data in parts(site):
        mine = [each for each in statuses if each.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"]
        assert (mine[-1].total, mine[-1].completed) == (len(data), len(data))


def test_what_was_joined_is_not_fetched_again(machine: Machines, site: Site) -> None:
    here = machine()
    here.pull(NAME, insecure=True)
    asked = len(site.web.asked("GET", "cdn.example.com"))
    assert here.pull(NAME, insecure=True)[-1].status == "success"
    assert len(site.web.asked("GET", "cdn.example.com")) == asked
    assert here.whole(NAME)


def test_a_dry_run_tells_the_sizes_of_the_parts(machine: Machines, site: Site) -> None:
    here = machine()
    told = [each for each in here.client.sizes(NAME, insecure=True) if each.digest]
    assert [(each.total, each.completed) for each in told] == [(len(data), 0) for data in parts(site)]
    assert here.blobs() == set()


def test_a_part_of_other_bytes_than_listed_is_an_error_and_no_model(machine: Machines, site: Site) -> None:
    here = machine()
    second = [path for path in site.files if "Q4_K_M" in path][1]
    site.told[second] = "0" * 64
    with pytest.raises(CorruptDownload, match="digest mismatch"):
        here.pull(NAME, insecure=True)
    assert not here.has(NAME)
    assert here.library.models() == []
    assert here.wrong() == []
    assert not [name for name in here.blobs() if "0" * 64 in name]


def test_an_interrupted_pull_goes_on_where_it_was(machine: Machines, site: Site) -> None:
    here, leaving, honest = machine(streams=1, part=20_000), Leaving(), site.web.handler
    first, second = (hashlib.sha256(data).hexdigest() for data in parts(site)[:2])

    def stalling(ask: Ask) -> Reply:
        reply = honest(ask)
        if f"cdn.example.com/{second}" in ask.path:
            reply.stall = 10_000
        return reply

    site.web.handler = stalling
    statuses = here.client.pull(NAME, insecure=True, leaving=leaving)
    assert any(each.digest == f"sha256:{second}" and each.completed == 10_000 for each in statuses)
    leaving.leave()
    with pytest.raises(Left):
        list(statuses)
    assert not here.has(NAME)
    site.web.handler = honest
    site.web.asks.clear()
    here.pull(NAME, insecure=True)
    assert here.whole(NAME)
    assert not site.web.asked("GET", first), "the first part was here"
    begun = [ask.headers.get("Range", "bytes=0-") for ask in site.web.asked("GET", f"example.com/{second}")]
    assert begun
    assert not any(each.startswith("bytes=0-") for each in begun), "nor the beginning of the second again"


def test_an_incomplete_set_is_named_and_nothing_is_fetched(machine: Machines, site: Site) -> None:
    here = machine()
    del site.files[next(path for path in site.files if "Q4_K_M-00002" in path)]
    with pytest.raises(PullFailed, match=r"Q4_K_M/model Q4_K_M is incomplete: part 2 of 3 is missing"):
        here.pull(NAME, insecure=True)
    assert not site.web.asked("GET", "/resolve/")
    assert not here.has(NAME)


def test_room_is_needed_for_the_parts_and_for_the_model(
    machine: Machines, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    size = sum(len(data) for data in parts(site))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2 * size - 1))
    with pytest.raises(NotEnoughSpace, match=f"{2 * size} and {2 * size - 1} bytes"):
        here.pull(NAME, insecure=True)
    assert not site.web.asked("GET", "/resolve/")


@pytest.mark.parametrize(
    ("tag", "stem"),
    [
        ("q4_k_m", "Q4_K_M/m"),
        ("Q4_K_S", "m-Q4_K_S"),
        ("IQ4_XS", "m.IQ4_XS"),
        ("m-Q8_0", "m-Q8_0"),
        ("M-UD-Q8_0-00001-of-00002.gguf", "m-UD-Q8_0"),
        ("latest", "Q4_K_M/m"),
    ],
)
def test_a_tag_is_a_word_of_the_path_or_a_name(tag: str, stem: str) -> None:
    stems = ("Q4_K_M/m", "m-Q4_K_S", "m.IQ4_XS", "m-Q8_0", "m-UD-Q8_0")
    listed = [each for every in stems for each in names(every, 2)]
    assert [part.path for part in chosen(listed, tag, "user/repo")] == [
        f"{stem}-0000{n}-of-00002.gguf" for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("listed", "tag", "said"),
    [
        (names("a-Q8_0", 2) + names("UD-Q8_0", 3), "Q8_0", r"any of 2 .*UD-Q8_0 \(3 files\), a-Q8_0 \(2 files\)"),
        (names("a-Q8_0", 2), "Q8", r"no split model has Q8 in its name; there are: a-Q8_0 \(2 files\)"),
        ([], "Q8_0", "there are: none"),
        (names("a-Q8_0", 3, 1), "Q8_0", "part 1 of 3 is missing"),
        (names("a-Q8_0", 3, 3), "Q8_0", "part 3 of 3 is missing"),
        (names("../a-Q8_0", 2), "Q8_0", "name that is not used: '../a-Q8_0"),
        (names("a/../../b-Q8_0", 2), "Q8_0", "name that is not used"),
        (names("/etc/a-Q8_0", 2), "Q8_0", "name that is not used"),
        (names("x\\..\\a-Q8_0", 2), "Q8_0", "name that is not used"),
        (names("x\x1b/a-Q8_0", 2), "Q8_0", "name that is not used"),
        ([entry("a-Q8_0-00001-of-00001.gguf", oid="../x")], "Q8_0", "without its SHA-256"),
        ([{**entry("a-Q8_0-00001-of-00001.gguf"), "lfs": None}], "Q8_0", "without its SHA-256"),
        (names("a-Q8_0", 1) * 2, "Q8_0", "is listed twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_said(listed: list[dict[str, object]], tag: str, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        chosen(listed, tag, "user/repo")


def test_parts_that_are_no_model_together_make_none(machine: Machines, site: Site) -> None:
    here = machine()
    with pytest.raises(InvalidGGUF, match=r"model-Q8_0-00001-of-00003\.gguf"):
        here.pull("hf.co/user/repo-GGUF:Q8_0", insecure=True)
    assert here.library.models() == []


def test_who_leaves_while_parts_are_joined_leaves_no_model_and_no_leftover(
    machine: Machines, site: Site
) -> None:
    here, leaving = machine(), Leaving()
    statuses = here.client.pull(NAME, insecure=True, leaving=leaving)
    assert any(status.status.startswith("joining") for status in statuses)
    leaving.leave()
    with pytest.raises(Left):
        next(statuses)
    assert not here.has(NAME)
    assert here.blobs() == hexes(site), "the parts wait for the next time"
    asked = len(site.web.asked("GET", "cdn.example.com"))
    here.pull(NAME, insecure=True)
    assert here.whole(NAME)
    assert len(site.web.asked("GET", "cdn.example.com")) == asked


def test_a_list_that_is_none_is_an_error(machine: Machines, site: Site) -> None:
    honest = site.web.handler
    site.web.handler = lambda ask: Reply(200, {}, b'{"a":') if "/api/" in ask.path else honest(ask)
    with pytest.raises(PullFailed, match="no list of files") as caught:
        machine().pull(NAME, insecure=True)
    assert isinstance(caught.value.__cause__, BadAnswer)


def test_files_for_some_people_only_are_said_to_be_fetched_by_hand(machine: Machines, site: Site) -> None:
    honest = site.web.handler
    site.web.handler = lambda ask: Reply(401, {}, b"{}") if "/api/" in ask.path else honest(ask)
    with pytest.raises(PullFailed, match="unauthorized: access denied") as caught:
        machine().pull(NAME, insecure=True)
    assert "tropa create" in str(caught.value.hint)
