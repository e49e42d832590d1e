from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from tropa.library.sharing import Sharing, sharing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


def test_a_file_of_its_own_shares_nothing(file: Path) -> None:
    assert sharing(file) is None
    assert sharing(file.with_name("nothing")) is None


def test_a_second_name_is_a_hard_link(file: Path) -> None:
    os.link(file, file.with_name("second"))
    assert sharing(file) is Sharing.HARD_LINK


@pytest.mark.skipif(sys.platform != "linux", reason="asks as Linux does")
@pytest.mark.parametrize(("shared", "found"), [((0, 0, 0), None), ((0, 0, 1), Sharing.REFLINK)])
def test_one_shared_piece_makes_a_reflink(
    file: Path, monkeypatch: pytest.MonkeyPatch, shared: tuple[int, ...], found: Sharing | None
) -> None:
    """The filesystem's part is played, in answers of two pieces each."""
    import fcntl

    asked: list[int] = []

    def fiemap(fd: int, request: int, buffer: bytearray) -> int:
        start, *_ = struct.unpack_from("=QQIIII", buffer)
        asked.append(start)
        pieces = range(start // 4096, min(start // 4096 + 2, len(shared)))
        struct.pack_into("=I", buffer, 20, len(pieces))
        for place, number in enumerate(pieces):
            flags = 0x2000 * shared[number] | (number == len(shared) - 1)
            struct.pack_into("=QQQ", buffer, 32 + 56 * place, number * 4096, 1 << 20, 4096)
            struct.pack_into("=I", buffer, 32 + 56 * place + 40, flags)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", fiemap)
    assert sharing(file) is found
    assert asked == [0, 8192]


@pytest.mark.skipif(sys.platform != "linux", reason="asks as Linux does")
def test_a_filesystem_that_does_not_say_is_no_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object) -> int:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert sharing(file) is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_what_is_no_file_shares_nothing_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    assert sharing(tmp_path / "fifo") is None
    assert sharing(tmp_path / "folder") is None
