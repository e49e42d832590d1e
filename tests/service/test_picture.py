"""How many pixels a picture claims, and that no engine is given more than it can hold."""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

import pytest
from PIL import Image

from tests.service.talking import chat, user
from tests.support.places import short_folder
from tests.support.projector import picture as red
from tests.support.projector import projector
from tests.support.scripted import scripted
from tests.support.server import Server
from tropa.service.errors import BadImage
from tropa.service.picture import pixels

KINDS = ["PNG", "JPEG", "GIF", "BMP"]


def made(kind: str, wide: int = 31, high: int = 17, **how: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (wide, high), "red").save(out, kind, **how)
    return out.getvalue()


def gif(wide: int, high: int) -> bytes:
    frame = b"," + struct.pack("<HHHH", 0, 0, wide, high) + b"\0\x02\x02L\x01\0;"
    return b"GIF89a" + struct.pack("<HH", wide, high) + b"\x80\0\0\0\0\0\xff\xff\xff" + frame


def bmp(wide: int, high: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, wide, high, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_real_pictures(kind: str) -> None:
    assert pixels(made(kind)) == 31 * 17


@pytest.mark.parametrize("how", [{"progressive": True}, {"exif": b"Exif\0\0" + made("JPEG", 8, 8)}])
def test_of_a_jpeg_the_largest_size_counts(how: dict[str, Any]) -> None:
    assert pixels(made("JPEG", **how)) == 31 * 17


def test_a_grey_jpeg_too() -> None:
    out = io.BytesIO()
    Image.new("L", (31, 17)).save(out, "JPEG")
    assert pixels(out.getvalue()) == 31 * 17


def test_a_bmp_may_stand_on_its_head() -> None:
    assert pixels(bmp(31, -17)) == 31 * 17


def test_a_webp_is_looked_at_elsewhere() -> None:
    assert pixels(made("WEBP")) == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "of no known kind: PNG, JPEG, GIF, BMP and WebP are taken"),
        (b"%PDF-1.7", "of no known kind"),
        (b"P6 20000 20000 255\n", "of no known kind"),
        (b"8BPS\0\1", "of no known kind"),
        (b"#?RADIANCE\n", "of no known kind"),
        (b"\0\0\0\x18ftypheic", "HEIC or AVIF"),
        (b"\0\0\0\x18ftypavif", "HEIC or AVIF"),
        (b"\x89PNG\r\n\x1a\n", "broken"),
        (made("PNG")[:18], "cut off"),
        (b"GIF89a", "cut off"),
        (b"BM", "cut off"),
        (made("JPEG")[:20], "does not say its size"),
    ],
)
def test_what_no_engine_reads_is_named(data: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        pixels(data)


@pytest.fixture(scope="module")
def eye(server: Server) -> Server:
    with short_folder() as folder:
        path = scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template="{{ messages[0].content }}<go>")
        files = {each.name: server.upload(each) for each in (path, projector(folder / "eye.gguf"))}
        answer = server.post("/api/create", model="eye", files=files)
        assert answer.lines[-1] == {"status": "success"}, answer.lines
    return server


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_reads_what_is_let_through(eye: Server, kind: str) -> None:
    assert chat(eye, "eye", [user("What?", images=[packed(made(kind))])]).text == "Yes"


@pytest.mark.parametrize("data", [gif(20000, 20000), bmp(20000, 20000), bmp(20000, -(1 << 31))])
def test_a_few_bytes_do_not_become_gigabytes(eye: Server, data: bytes) -> None:
    """The engine took 2.4 GB and 13 seconds for each of the first two."""
    answer = eye.post("/api/chat", model="eye", messages=[user("What?", images=[packed(data)])])
    assert answer.status == 400
    assert "pixels: up to 67108864 are read" in answer.error


def test_all_images_of_a_request_count_together(eye: Server) -> None:
    large = packed(gif(8000, 8000))
    answer = eye.post("/api/chat", model="eye", messages=[user("What?", images=[large] * 5)])
    assert answer.status == 400
    assert "the images of the request have 320000000 pixels" in answer.error


def test_many_pictures_at_once(eye: Server) -> None:
    assert chat(eye, "eye", [user("What?", images=[red()] * 9)]).text == "Yes"
