"""How long a sound is, at the longest and at the shortest that it could mean.

An engine unpacks a sound whole before it looks at it, and takes its word for its length. A kilobyte can say of itself
that it lasts for days, and the engine makes room for that; a sound of one sample ends the engine. So what is sent to it
is measured first.
"""

from __future__ import annotations

import struct
from typing import Literal

from tropa.service.errors import BadSound

Kind = Literal["wav", "mp3", "flac"]

HEAD = 12
"""Bytes from the beginning that tell what something is."""

LEAST = 0.02
"""Seconds, less than which nobody can have said anything."""

_COMPANDED = (6, 7)  # A-law, mu-law: a byte each
_PLAIN = (1, 3, *_COMPANDED, 0xFFFE)
_BIT_RATES = {  # kbit/s by the number in a frame's head: (MPEG 1?, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {
    3: (44100, 48000, 32000),
    2: (22050, 24000, 16000),
    0: (11025, 12000, 8000),
}  # by the version's number
_DENSEST = 0.144 / 24
"""Seconds per byte of the shortest frames of the slowest kind: for what a decoder may find where we find nothing."""
_DECODER_DELAY = 529  # samples that some take away as well
_FOREIGN = (
    (0, b"OggS", "Ogg"),
    (0, b"\x1a\x45\xdf\xa3", "WebM"),
    (4, b"ftyp", "MP4"),
    (0, b"FORM", "AIFF"),
    (0, b"#!AMR", "AMR"),
    (0, b"caff", "CAF"),
)


def kind(head: bytes) -> Kind | None:
    """What the first HEAD bytes of something say; None: no sound that an engine knows."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return "mp3"
    return None


def foreign(head: bytes) -> str:
    """The name of a container of sounds (or films) that no engine opens; nothing for anything else."""
    return next((name for at, mark, name in _FOREIGN if head[at : at + len(mark)] == mark), "")


def seconds(data: bytes, most: float) -> float:
    """How long it may last; somewhere beyond `most` it is no longer counted. Raises BadSound for what is no sound, and
    for one that may be shorter than LEAST."""
    match kind(data[:HEAD]):
        case "wav":
            shortest, longest = _wav(data)
        case "flac":
            shortest = longest = _flac(data)
        case "mp3":
            shortest, longest = _mp3(data, most)
        case None:
            name = foreign(data[:HEAD])
            raise BadSound(f"the sound is {name or 'of no known kind'}: WAV, MP3 and FLAC are taken")
    if shortest < LEAST:
        raise BadSound(f"the sound is shorter than {LEAST} seconds, or says so")
    return longest


def _wav(data: bytes) -> tuple[float, float]:
    tag = channels = rate = bits = block = stated = 0
    at = HEAD
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt " and at + 16 <= len(data):
            tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", data, at)
        elif name == b"fact" and at + 4 <= len(data):
            stated = int.from_bytes(data[at : at + 4], "little")
        elif name == b"data":
            break
        at += size + size % 2
    else:
        raise BadSound("the WAV holds no samples: it has no chunk 'data'")
    if not (channels and rate and bits):
        raise BadSound(
            "the WAV does not say how it is to be read: channels, rate and bits must be more than 0"
        )
    there = min(size, len(data) - at)  # who writes into a pipe does not know the size yet
    if tag in _PLAIN:
        width = channels * (1.0 if tag in _COMPANDED else bits / 8)
        widths = (width, block or width)  # decoders go by the one or by the other
        return there / max(widths) / rate, there / min(widths) / rate
    packed = there * 2  # to four bits a sample at the densest
    return min(there / channels, stated or packed) / rate, max(packed, stated) / rate


def _flac(data: bytes) -> float:
    if len(data) < 26:
        raise BadSound("the FLAC is cut off in its head")
    found = int.from_bytes(data[18:26], "big")
    rate, samples = found >> 44, found & ((1 << 36) - 1)
    if not rate:
        raise BadSound("the FLAC has no sample rate")
    if not samples:
        raise BadSound(
            "the FLAC does not say how long it is, as one written to a pipe: write it to a file first"
        )
    return samples / rate


def _mp3(data: bytes, most: float) -> tuple[float, float]:
    at, end = _tagged(data), len(data)
    heard = 0.0
    claim: tuple[float, float] | None = None
    first = True
    while at + 4 <= end and heard <= most:
        frame = _frame(data, at)
        if frame is None:
            after = data.find(b"\xff", at + 1)
            after = end if after < 0 else after
            heard += (after - at) * _DENSEST
            at = after
            continue
        length, duration = frame
        if first:
            claim, first = _claimed(data[at : at + length], duration), False
        heard += duration
        at += length
    if claim is None:
        return heard, heard
    return claim[0], max(heard, claim[1])


def _tagged(data: bytes) -> int:
    """Where what is heard begins."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _frame(data: bytes, at: int) -> tuple[int, float] | None:
    """Bytes and seconds of the frame that begins here; None if none does."""
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer = head >> 19 & 3, 4 - (head >> 17 & 3)
    kbits, rate = head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[version][rate]
    bits = _BIT_RATES[first, layer][kbits] * 1000
    padding = head >> 9 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4, 384 / hertz
    samples = 1152 if layer == 2 or first else 576
    return samples // 8 * bits // hertz + padding, samples / hertz


def _claimed(frame: bytes, duration: float) -> tuple[float, float] | None:
    """What the first frame says of all of them, if it is one that says so: at the shortest, without the silence that an
    encoder put before and behind, and at the longest."""
    for mark in (b"Xing", b"Info"):
        at = frame.find(mark)
        if at < 0 or len(frame) < at + 12:
            continue
        flags = frame[at + 7]
        if not flags & 1:
            continue
        longest = int.from_bytes(frame[at + 8 : at + 12], "big") * duration
        more = at + 12 + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        added = int.from_bytes(frame[more + 21 : more + 24], "big")
        silence = (added >> 12) + (added & 0xFFF) + _DECODER_DELAY if added and frame[more] else 0
        samples = 1152 if frame[1] >> 3 & 3 == 3 else 576
        return longest - silence * duration / samples, longest
    return None
