"""Whether a file's bytes are on the disk once for several files: by a second name, or shared until one changes."""

from __future__ import annotations

import os
import stat
import struct
import sys
from enum import Enum
from pathlib import Path

_FIEMAP = 0xC020660B  # _IOWR('f', 11, struct fiemap)
_HEAD = struct.Struct("=QQIIII")  # start, length, flags, mapped extents, room for extents, reserved
_EXTENT = struct.Struct("=QQQQQIIII")  # logical, physical, length, two reserved, flags, three reserved
_LAST, _SHARED = 0x1, 0x2000
_AT_ONCE = 64
_EVERYTHING = (1 << 64) - 1


class Sharing(Enum):
    """The value is the word that people see."""

    HARD_LINK = "hard link"
    REFLINK = "reflink"


def sharing(path: Path) -> Sharing | None:
    """None also where the filesystem does not say, or there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a FIFO would wait
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_nlink > 1:
            return Sharing.HARD_LINK
        return Sharing.REFLINK if _shares_extents(fd) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _shares_extents(fd: int) -> bool:
    """Does any piece of the file on the disk belong to another file too?"""
    if sys.platform != "linux":
        return False
    import fcntl

    start = 0
    while True:
        request = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(request, 0, start, _EVERYTHING - start, 0, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, _FIEMAP, request)
        count = _HEAD.unpack_from(request)[3]
        for number in range(count):
            logical, _, length, _, _, flags, *_ = _EXTENT.unpack_from(
                request, _HEAD.size + number * _EXTENT.size
            )
            if flags & _SHARED:
                return True
            if flags & _LAST:
                return False
            start = logical + length
        if not count:
            return False
