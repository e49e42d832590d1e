"""What is heard of a sound before an engine unpacks it: its kind, and how long it may be."""

from __future__ import annotations

import io
import random
import struct
import wave
from contextlib import suppress

import pytest

from tests.support.ear import RATE, tone
from tropa.service import sound
from tropa.service.errors import BadSound

DAY = 86400.0


def wav(
    samples: bytes = bytes(2 * RATE),
    *,
    rate: int = RATE,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    claim: int | None = None,
    before: bytes = b"",
    block: int | None = None,
) -> bytes:
    width = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)
    size = len(samples) if claim is None else claim
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + body + samples


def flac(samples: int, rate: int = RATE) -> bytes:
    numbers = (rate << 44 | 15 << 36 | samples).to_bytes(8, "big")
    return b"fLaC\x80\0\0\x22" + bytes(10) + numbers + bytes(16)


def mp3(frames: int, *, says: int | None = None, silence: tuple[int, int] = (0, 0)) -> bytes:
    """MPEG 1, layer III, 128 kbit/s, 44.1 kHz: frames of 417 bytes and 1152 samples. `says`: how many there are, by
    their first; `silence`: samples that an encoder added before and behind, by the same."""
    frame = b"\xff\xfb\x90\xc0" + bytes(413)
    first = b""
    if says is not None:
        added = (silence[0] << 12 | silence[1]).to_bytes(3, "big")
        tag = b"Xing" + struct.pack(">II", 1, says) + b"LAME3.100".ljust(21, b"\0") + added
        first = (b"\xff\xfb\x90\xc0" + bytes(17) + tag).ljust(417, b"\0")
    return first + frame * frames


FRAME = 1152 / 44100


@pytest.mark.parametrize(
    ("data", "kind", "seconds"),
    [
        (tone(2.5), "wav", 2.5),
        (wav(bytes(4 * 44100), rate=44100, channels=2), "wav", 1.0),
        (wav(bytes(8000), rate=8000, bits=8, tag=7), "wav", 1.0),
        (wav(before=b"LIST\x05\0\0\0abcde\0"), "wav", 1.0),
        (flac(RATE * 3), "flac", 3.0),
        (mp3(100), "mp3", 100 * FRAME),
        (b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + mp3(10), "mp3", 10 * FRAME),
        (mp3(100, says=100), "mp3", 101 * FRAME),
        (mp3(6, says=6, silence=(576, 1700)), "mp3", 7 * FRAME),
    ],
)
def test_kind_and_length_of_what_people_send(data: bytes, kind: str, seconds: float) -> None:
    assert sound.kind(data[: sound.HEAD]) == kind
    assert sound.seconds(data, DAY) == pytest.approx(seconds, rel=1e-3)


def test_a_wav_from_a_pipe_lasts_as_long_as_its_samples() -> None:
    """Who writes into a pipe can't know the size, and writes the largest there is."""
    assert sound.seconds(wav(claim=0xFFFFFFFF), DAY) == 1.0


@pytest.mark.parametrize(
    "data",
    [
        wav(rate=1),
        wav(bytes(36000), rate=4, bits=12, channels=60, block=1),
        wav(bytes(2000), tag=17, bits=4, before=b"fact\x04\0\0\0\xff\xff\xff\xff"),
        flac(1 << 35),
        flac(100000, rate=1),
        mp3(1, says=0x7FFFFFFF),
    ],
)
def test_what_claims_to_last_for_hours_is_believed(data: bytes) -> None:
    """An engine makes room for what a head claims: seen with 1 kB that took 2.8 GB."""
    assert len(data) < 40000
    assert sound.seconds(data, DAY) > 7200


def test_bytes_between_frames_count_as_the_densest_frames() -> None:
    noise = bytes(1000)
    assert sound.seconds(mp3(2) + noise + mp3(2), DAY) > 4 * FRAME + 5
    assert sound.seconds(b"\xff\xfb" + noise, DAY) > 5


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (wav(rate=0), "does not say how"),
        (wav(channels=0), "does not say how"),
        (wav(bits=0), "does not say how"),
        (wav()[:36], "no samples"),
        (b"RIFF0000WAVE", "no samples"),
        (flac(0), "does not say how long"),
        (flac(1, rate=0), "no sample rate"),
        (b"fLaC", "cut off"),
        (wav(b"\1\0"), "shorter than"),
        (wav(bytes(400), rate=48000), "shorter than"),
        (wav(bytes(2000), channels=60, block=60 * 40), "shorter than"),
        (wav(bytes(2000), tag=17, bits=4, before=b"fact\x04\0\0\0\1\0\0\0"), "shorter than"),
        (flac(1), "shorter than"),
        (mp3(3, says=0), "shorter than"),
        (mp3(1, says=1, silence=(576, 575)), "shorter than"),
        (mp3(3, says=2, silence=(1774, 0)), "shorter than"),
        (b"\xff\xfb", "shorter than"),
        (b"OggS" + bytes(20), "the sound is Ogg: WAV, MP3 and FLAC are taken"),
        (b"\0\0\0\x20ftypM4A ", "the sound is MP4"),
        (b"", "of no known kind"),
    ],
)
def test_what_can_not_be_heard_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(BadSound, match=why):
        sound.seconds(data, DAY)


def test_pictures_are_no_sounds() -> None:
    for head in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM", b""):
        assert sound.kind(head.ljust(sound.HEAD, b"\0") if head else head) is None
        assert sound.foreign(head) == ""


def test_any_bytes_have_a_length_or_a_reason() -> None:
    random.seed(5)
    for good in (tone(0.1), flac(4096) + random.randbytes(200), mp3(20, says=20)):
        for _ in range(400):
            spoilt = bytearray(good[: random.randrange(len(good) + 1)])
            for _ in range(random.randrange(6)):
                if spoilt:
                    spoilt[random.randrange(min(len(spoilt), 60))] = random.randrange(256)
            with suppress(BadSound):
                assert sound.seconds(bytes(spoilt), DAY) >= 0


def test_counting_ends_with_what_is_too_much() -> None:
    assert 10 < sound.seconds(mp3(100_000), 10.0) < 10.1


def test_a_wav_of_pythons_is_understood() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(3)
        out.setframerate(48000)
        out.writeframes(bytes(6 * 4800))
    assert sound.seconds(file.getvalue(), DAY) == pytest.approx(0.1)
