"""What comes with a message besides text: pictures, and sounds among them, in base64 and told by their content."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Sequence

from tropa.library.model import Model
from tropa.service import picture, sound
from tropa.service.errors import BadImage, BadSound, NotCapable
from tropa.service.webp import MOST_PIXELS

IMAGE_TOKENS = 768
"""What an image counts for before the engine has looked at it, and so do thirty seconds of sound: nearly all encoders
hear in pieces of that length, and make no more of each."""
PIECE = 30.0

MOST_SECONDS = 3600.0
"""Of sound in one request. The engine keeps it unpacked: 64 kB for each second, and more while it listens."""


TOGETHER = 4
"""Times MOST_PIXELS: all images of one request, which the engine unpacks side by side."""


def sound_kind(data: str) -> sound.Kind | None:
    """`wav`, `mp3` or `flac`; None for pictures, and for what nobody knows."""
    return sound.kind(_head(data))


async def check(model: Model, asked: str, media: Sequence[str]) -> None:
    """Refuse them before anything is loaded; `asked` is the model's name as the client wrote it.

    Raises NotCapable for a model without eyes or ears, BadSound and BadImage for what can't be read or is too much.
    """
    sounds: list[str] = []
    images: list[str] = []
    for data in media:
        head = _head(data)
        heard = sound.kind(head) or (not picture.is_moving_picture(head) and sound.foreign(head))
        (sounds if heard else images).append(data)
    if images:
        _check_capable(model, asked, "vision", "images")
    if sounds:
        _check_capable(model, asked, "audio", "audio")
    if media:
        await asyncio.to_thread(_check_sizes, images, sounds)


async def tokens(media: Sequence[str]) -> int:
    """What they count for in a prompt, roughly."""
    if not any(map(sound_kind, media)):
        return IMAGE_TOKENS * len(media)
    return await asyncio.to_thread(lambda: sum(map(_tokens, media)))


def _check_capable(model: Model, asked: str, capability: str, what: str) -> None:
    # A model that sees or hears by itself, without a projector, does so in other engines than ours.
    if not model.projectors or not model.can(capability):
        raise NotCapable(f'"{asked}" does not support {what}')


def _check_sizes(images: Sequence[str], sounds: Sequence[str]) -> None:
    pixels = [picture.pixels(base64.b64decode(data)) for data in images]
    if pixels and max(pixels) > MOST_PIXELS:
        raise BadImage(f"an image has {max(pixels)} pixels: up to {MOST_PIXELS} are read, make it smaller")
    if sum(pixels) > MOST_PIXELS * TOGETHER:
        raise BadImage(
            f"the images of the request have {sum(pixels)} pixels: up to {MOST_PIXELS * TOGETHER} are read in one"
        )
    left = MOST_SECONDS
    for data in sounds:
        left -= sound.seconds(base64.b64decode(data), left)
        if left < 0:
            raise BadSound(
                f"the request holds more than {MOST_SECONDS / 60:.0f} minutes of sound: send it in pieces"
            )


def _tokens(data: str) -> int:
    if not sound_kind(data):
        return IMAGE_TOKENS
    return IMAGE_TOKENS * max(1, math.ceil(sound.seconds(base64.b64decode(data), MOST_SECONDS) / PIECE))


def _head(data: str) -> bytes:
    """The first bytes of what is in base64; nothing of what is not."""
    try:
        return base64.b64decode(data[: sound.HEAD // 3 * 4])
    except binascii.Error:
        return b""
