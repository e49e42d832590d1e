"""Parts of a message's content: text, images as data URLs, and sounds."""

from __future__ import annotations

import base64
import re
from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import image
from tropa.server.reading import BadField, Fields, kind_of
from tropa.service import sound
from tropa.service.media import sound_kind

_DATA_URL = re.compile(r"data:(image/(jpeg|jpg|png|webp|gif|bmp))?;base64,")
_SOUND_URL = re.compile(r"data:(audio/[\w.+-]+)?;base64,")
SOUND = "input_audio"
BETWEEN = "\n\n"
"""Stands between several texts of one message."""


def parts(
    fields: Fields, name: str, texts: tuple[str, ...], images: tuple[str, ...]
) -> tuple[str, list[str]]:
    """The text of a content, and its images and sounds (base64) in their order. `texts` and `images` are the types of
    parts that hold them; where images may be, so may sounds. Raises BadField for anything else."""
    content = fields.get(name)
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        raise BadField(fields.at(name), f"must be a string or a list of parts, not {kind_of(content)}")
    said: list[str] = []
    seen: list[str] = []
    for part in fields.objects(name):
        kind = part.text("type")
        if kind in texts:
            holder = "refusal" if kind == "refusal" else "text"
            if holder not in part:
                raise BadField(part.at(holder), "is required")
            said.append(part.text(holder) or "")
        elif kind in images:
            seen.append(picture(part, "image_url"))
        elif images and kind == SOUND:
            seen.append(recording(part, SOUND))
        elif kind is None:
            raise BadField(part.at("type"), "is required")
        else:
            raise BadField(
                part.at("type"),
                f'is "{kind[:80]}": supported are {_list(texts + images + ((SOUND,) if images else ()))}',
            )
    return BETWEEN.join(said), seen


def picture(fields: Fields, name: str) -> str:
    """The base64 of a data URL, which stands in `name` itself or as `url` in the object there."""
    value: Any = fields.get(name)
    at = fields.at(name)
    if isinstance(value, dict):
        value, at = Fields(value, at).text("url"), f"{at}.url"
    if not isinstance(value, str):
        raise BadField(at, "is required: a data URL with the image")
    if value.startswith(("http://", "https://")):
        raise BadField(
            at,
            "image URLs are not currently supported, please use base64 encoded data instead (data:image/png;base64,…)",
        )
    if not (head := _DATA_URL.match(value)):
        raise BadField(at, "invalid image input: expected data:image/png;base64,… (or jpeg, webp, gif, bmp)")
    try:
        return image(value[head.end() :], at)
    except BadRequest as exc:
        raise BadField(at, f"invalid image input: {exc}") from exc


def recording(fields: Fields, name: str) -> str:
    """The base64 in `data` of the object in `name`. Its content says what it is; the `format` beside it does not."""
    value, at = fields.get(name), fields.at(name)
    if not isinstance(value, dict):
        raise BadField(at, "invalid input_audio format: must be an object with the sound in 'data'")
    data = Fields(value, at).text("data")
    if not data:
        raise BadField(f"{at}.data", "invalid input_audio format: missing data")
    head = _SOUND_URL.match(data)
    try:
        found = image(data[head.end() :] if head else data, at)
    except BadRequest as exc:
        raise BadField(f"{at}.data", f"invalid input_audio base64 data: {exc}") from exc
    if sound_kind(found) is None:
        what = sound.foreign(base64.b64decode(found[: sound.HEAD // 3 * 4])) or "of no known kind"
        raise BadField(f"{at}.data", f"invalid input_audio data: it is {what}; WAV, MP3 and FLAC are taken")
    return found


def _list(kinds: tuple[str, ...]) -> str:
    return ", ".join(f'"{kind}"' for kind in kinds)
