"""WebP pictures become PNG before the engine sees them: its own reader knows no WebP, and clients of every dialect may
send it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Sequence

from tropa.service.errors import BadImage
from tropa.service.history import Message

MOST_PIXELS = 1 << 26
"""A picture of a few hundred bytes can claim to be of any size, and is unpacked whole: four bytes a pixel."""

_RIFF = base64.b64encode(b"RIFF").decode()[:5]
_HEAD = 16  # characters of base64 that hold the twelve bytes which tell


async def readable(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages, with pictures that the engine can read. Raises BadImage."""
    if not any(map(_is_webp, (each for message in messages for each in message.get("images") or ()))):
        return messages
    return [
        {**message, "images": await readable_images(images)} if (images := message.get("images")) else message
        for message in messages
    ]


async def readable_images(images: Sequence[str]) -> list[str]:
    """The same for pictures (and sounds, which stay as they are), in base64."""
    return [await asyncio.to_thread(_as_png, each) if _is_webp(each) else each for each in images]


def _is_webp(data: str) -> bool:
    if not data.startswith(_RIFF):
        return False
    try:
        return base64.b64decode(data[:_HEAD])[8:12] == b"WEBP"
    except binascii.Error:
        return False


def _as_png(data: str) -> str:
    """On white where it is transparent: the engine drops that channel, and what stands behind it is often black."""
    from PIL import Image  # late: few requests need it
    from PIL.WebPImagePlugin import WebPImageFile

    try:
        with WebPImageFile(io.BytesIO(base64.b64decode(data))) as picture:
            wide, high = picture.size
            if wide * high > MOST_PIXELS:
                raise BadImage(f"a WebP image has {wide} by {high} pixels: up to {MOST_PIXELS} are read")
            shown = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (SyntaxError, OSError, ValueError) as exc:  # what a broken one makes the reader raise
        raise BadImage("a WebP image can't be read: it is broken, or cut short") from exc
    if shown.mode == "RGBA":
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    out = io.BytesIO()
    shown.save(out, "PNG", compress_level=1)
    return base64.b64encode(out.getvalue()).decode()
