"""WebP pictures: every dialect lets clients send them, the engine's own reader knows none."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.service.talking import chat, generate, user
from tests.support.ear import tone
from tests.support.places import short_folder
from tests.support.projector import picture, projector
from tests.support.scripted import scripted
from tests.support.server import Server
from tropa.service.errors import BadImage
from tropa.service.webp import readable, readable_images


def webp(colour: tuple[int, ...] = (200, 30, 30), size: tuple[int, int] = (32, 32), **save: Any) -> str:
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, "WEBP", **save)
    return base64.b64encode(out.getvalue()).decode()


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("lossless", [True, False])
async def test_a_webp_becomes_a_png_of_the_same_picture(lossless: bool) -> None:
    (found,) = await readable_images([webp(size=(40, 20), lossless=lossless)])
    shown = opened(found)
    assert (shown.format, shown.mode, shown.size) == ("PNG", "RGB", (40, 20))
    pixel = shown.getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert all(abs(have - want) < 8 for have, want in zip(pixel, (200, 30, 30), strict=True))


async def test_what_is_transparent_is_white() -> None:
    (found,) = await readable_images([webp((0, 0, 0, 0), lossless=True)])
    assert opened(found).getpixel((3, 3)) == (255, 255, 255)


async def test_the_first_picture_of_several_counts() -> None:
    out = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    (found,) = await readable_images([base64.b64encode(out.getvalue()).decode()])
    assert opened(found).getpixel((3, 3)) == (255, 0, 0)


async def test_everything_else_is_left_as_it_is() -> None:
    others = [picture(), base64.b64encode(tone()).decode(), "UklGR", "UklGR!!", "", "x"]
    assert await readable_images(others) == others
    messages = [user("one", images=others), {"role": "assistant", "content": "two"}]
    assert await readable(messages) is messages
    converted = await readable([*messages, user("three", images=[picture(), webp()])])
    assert converted[:2] == messages
    assert [opened(each).format for each in converted[2]["images"]] == ["PNG", "PNG"]


async def test_a_broken_webp_is_refused() -> None:
    whole = base64.b64decode(webp(size=(64, 64)))
    for broken in (whole[:16], whole[:-20], whole[:20] + b"\xff" * 40):
        with pytest.raises(BadImage, match="a WebP image can't be read"):
            await readable_images([base64.b64encode(broken).decode()])


@given(st.binary(max_size=80))
async def test_no_bytes_do_harm(data: bytes) -> None:
    try:
        (found,) = await readable_images([base64.b64encode(b"RIFF\x40\0\0\0WEBP" + data).decode()])
    except BadImage:
        return
    assert opened(found).format == "PNG"


async def test_a_small_file_of_a_huge_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tropa.service.webp.MOST_PIXELS", 1_000_000)
    claim = webp(size=(2000, 501), lossless=True)
    assert len(claim) < 1000
    with pytest.raises(BadImage, match="2000 by 501 pixels: up to 1000000 are read"):
        await readable_images([claim])


def test_a_model_sees_it(server: Server) -> None:
    """By the same number of tokens as a PNG, in a chat, a prompt, and the other dialects."""
    with short_folder() as folder:
        jinja = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
        files = [
            scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template=jinja),
            projector(folder / "mmproj.gguf"),
        ]
        uploaded = {each.name: server.upload(each) for each in files}
        answer = server.post("/api/create", model="webp-eye", files=uploaded)
        assert answer.lines[-1] == {"status": "success"}, answer.lines
    image, plain = webp(), picture()
    asked = ([user("What?", images=images)] for images in ([], [plain], [image]))
    counts = [chat(server, "webp-eye", messages).end["prompt_eval_count"] for messages in asked]
    assert counts[1] == counts[2] > counts[0]
    assert generate(server, "webp-eye", "What?", images=[image]).text == "Yes"
    part = {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{image}"}}
    found = server.post("/v1/chat/completions", model="webp-eye", messages=[user([part])])  # type: ignore[arg-type] # parts
    assert (found.status, found.json["choices"][0]["message"]["content"]) == (200, "Yes")
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": image}}
    found = server.post(
        "/v1/messages", model="webp-eye", max_tokens=5, messages=[{"role": "user", "content": [block]}]
    )
    assert (found.status, found.json["content"][0]["text"]) == (200, "Yes")
    broken = base64.b64encode(base64.b64decode(image)[:30]).decode()
    refused = server.post("/api/chat", model="webp-eye", messages=[user("What?", images=[broken])])
    assert (refused.status, refused.error) == (400, "a WebP image can't be read: it is broken, or cut short")
