"""A header read a moment ago is not read again, and never outlives the file that said it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.gguf.raw import STRING, Raw, key, sample
from tropa.gguf import recent as module
from tropa.gguf.errors import CutShort, UnreadableFile
from tropa.gguf.recent import Recent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(sample().encode())
    return path


def test_a_file_that_was_not_touched_is_read_once(file: Path) -> None:
    recent = Recent()
    assert recent.read(file) is recent.read(file)


def test_another_file_of_the_same_name_and_size_is_read_anew(file: Path) -> None:
    recent = Recent()
    old = recent.read(file)
    other = file.with_suffix(".other")
    other.write_bytes(sample().encode().replace(b"zwei", b"dos!"))
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert recent.read(file) is not old


def test_errors_are_found_each_time_and_told_no_longer_than_they_hold(file: Path) -> None:
    recent = Recent()
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    for _ in range(2):
        with pytest.raises(CutShort):
            recent.read(file)
    file.write_bytes(good)
    assert recent.read(file).architecture == "llama"
    file.unlink()
    with pytest.raises(UnreadableFile):
        recent.read(file)


def test_what_is_kept_has_a_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    recent = Recent()
    files = [file, file.with_suffix(".2"), file.with_suffix(".3")]
    for each in files:
        each.write_bytes(sample().encode())
    first, second, _ = (recent.read(each) for each in files)
    assert recent.read(files[1]) is second
    assert recent.read(files[0]) is not first
    wordy = file.with_suffix(".4")
    wordy.write_bytes(Raw(keys=[key("general.architecture", STRING, "x" * (5 << 20))]).encode())
    assert recent.read(wordy) is not recent.read(wordy)
