from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import llama_server
from tropa.engines.candidates import EngineNotFound, candidates
from tropa.engines.executable import ExecutableEngine
from tropa.engines.wheel import WheelEngine


def test_without_a_wish_it_is_the_wheel() -> None:
    assert candidates(None) == [WheelEngine()]


def test_the_users_own_comes_first_and_the_wheel_stays(tmp_path: Path) -> None:
    path = llama_server.install(tmp_path)
    assert candidates(str(path)) == [ExecutableEngine(path), WheelEngine()]


def test_a_name_is_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = llama_server.install(tmp_path, "my-llama")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert candidates("my-llama")[0] == ExecutableEngine(path)


def test_a_link_is_followed_so_that_an_update_behind_it_is_seen(tmp_path: Path) -> None:
    path = llama_server.install(tmp_path)
    (tmp_path / "link").symlink_to(path)
    assert candidates(str(tmp_path / "link"))[0].file == path


@pytest.mark.parametrize("wish", ["/no/such/llama-server", "no-such-command", "folder", "text"])
def test_a_wish_that_is_no_executable_is_an_error(
    wish: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineNotFound, match=f"TROPA_LLAMA_SERVER={wish}"):
        candidates(wish)


def test_the_wheels_file_is_there() -> None:
    assert WheelEngine().file.is_file()
    assert WheelEngine().name.startswith("xllamacpp 20")
