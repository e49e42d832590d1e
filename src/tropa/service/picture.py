"""How many pixels a picture claims to have, before an engine makes room for them.

The engine's reader unpacks a picture whole, three bytes a pixel and more on its way, and believes its head: a GIF of 35
bytes that claimed 20,000 by 20,000 pixels cost 2.4 GB and 13 seconds.
"""

from __future__ import annotations

import re
import struct

from tropa.service.errors import BadImage

_TAKEN = "PNG, JPEG, GIF, BMP and WebP are taken"
# A frame's head: its length fits its components, 8 bits each, height and width. Nothing else in the format looks so.
_JPEG_FRAME = re.compile(
    rb"\xff[\xc0-\xc2]\x00(?:\x0b\x08(....)\x01|\x11\x08(....)\x03|\x14\x08(....)\x04)", re.DOTALL
)
_PHONES = (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1", b"avif", b"avis")


def is_moving_picture(head: bytes) -> bool:
    """Whether this container, by its name one of films, holds a picture."""
    return head[4:8] == b"ftyp" and head[8:12] in _PHONES


def pixels(data: bytes) -> int:
    """Nothing for a WebP, which is made into something else before an engine sees it. Raises BadImage for what an
    engine can't read."""
    wide, high = _size(data)
    return wide * high


def _size(data: bytes) -> tuple[int, int]:
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            if data[12:16] != b"IHDR":
                raise BadImage("a PNG image does not begin with its size: it is broken")
            wide, high = struct.unpack_from(">II", data, 16)
        elif data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        elif data[:4] == b"GIF8":
            wide, high = struct.unpack_from("<HH", data, 6)
        elif data[:2] == b"BM":
            short = data[14:18] == b"\x0c\0\0\0"
            wide, high = struct.unpack_from("<HH" if short else "<ii", data, 18)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return 0, 0
        else:
            known = "HEIC or AVIF" if is_moving_picture(data[:12]) else "of no known kind"
            raise BadImage(f"an image is {known}: {_TAKEN}")
    except struct.error as exc:
        raise BadImage("an image is cut off in its head") from exc
    return abs(wide), abs(high)


def _jpeg(data: bytes) -> tuple[int, int]:
    """The largest of the sizes in it: a small picture of itself may come first."""
    found = [struct.unpack(">HH", next(filter(None, match.groups()))) for match in _JPEG_FRAME.finditer(data)]
    if not found:
        raise BadImage("a JPEG image does not say its size: it is broken, or of a kind that is not read")
    high, wide = max(found, key=lambda size: size[0] * size[1])
    return wide, high
