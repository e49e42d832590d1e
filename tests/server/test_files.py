"""Which files the models of a server are made of, and `tropa list --files`, which prints it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.library.making import gguf
from tests.support.places import short_folder
from tests.support.server import Server, serving
from tropa.cli.files import file_listing


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With two models over one file of weights."""
    path: Path = tmp_path_factory.mktemp("weights") / "plain.gguf"
    path.write_bytes(gguf())
    with short_folder() as folder, serving(folder) as server:
        server.create("plain", path)
        server.post("/api/create", {"model": "terse", "from": "plain", "system": "Be brief."})
        yield server


def files(server: Server) -> dict[str, dict[str, dict[str, Any]]]:
    """By model and kind."""
    models = server.get("/api/files").json["models"]
    return {model["name"]: {file["kind"]: file for file in model["files"]} for model in models}


def test_every_file_is_where_it_is_said_to_be_and_so_large(server: Server) -> None:
    found = files(server)
    assert set(found) == {"tiny:latest", "plain:latest", "terse:latest"}
    assert [*found["terse:latest"]] == ["model", "system", "config"]
    for model in found.values():
        for file in model.values():
            assert Path(file["path"]).stat().st_size == file["size"]


def test_what_is_shared_is_said_on_both_sides(server: Server) -> None:
    found = files(server)
    plain, terse = found["plain:latest"]["model"], found["terse:latest"]["model"]
    assert plain["path"] == terse["path"]
    assert (plain["shared_with"], terse["shared_with"]) == (["terse:latest"], ["plain:latest"])
    assert found["terse:latest"]["system"]["shared_with"] == []


def test_the_listing_counts_a_shared_file_once(server: Server) -> None:
    answer = server.get("/api/files").json
    text = file_listing(answer, "plain") + file_listing(answer, "terse") + file_listing(answer)
    once = {file["digest"]: file["size"] for model in files(server).values() for file in model.values()}
    assert f"3 models, {len(once)} files, " in text
    assert "; without sharing " in text.splitlines()[-1]
    assert f"    model     {len(gguf())} B    {files(server)['plain:latest']['model']['path']}\n" in text
    assert text.count("        shared with plain:latest\n") == 2


def test_a_missing_file_is_said_to_be_missing(server: Server) -> None:
    path = Path(files(server)["terse:latest"]["system"]["path"])
    content = path.read_bytes()
    path.unlink()
    try:
        file = files(server)["terse:latest"]["system"]
        assert (file["missing"], file["size"]) == (True, len(content))
        assert "    system    missing    " in file_listing(server.get("/api/files").json, "terse")
    finally:
        path.write_bytes(content)


def test_a_second_name_outside_the_folder_is_said(server: Server, tmp_path: Path) -> None:
    path = Path(files(server)["plain:latest"]["model"]["path"])
    assert "sharing" not in files(server)["plain:latest"]["model"]
    try:
        (path.parents[2] / "outside.gguf").hardlink_to(path)
        assert files(server)["terse:latest"]["model"]["sharing"] == "hard link"
        text = file_listing(server.get("/api/files").json, "plain")
        assert "        its bytes are those of another file (hard link)\n" in text
    finally:
        (path.parents[2] / "outside.gguf").unlink(missing_ok=True)
