"""Parts of a message's content: text, and images as data URLs."""

from __future__ import annotations

import re
from typing import Any

from tropa.server.body import BadRequest
from tropa.server.fields import image
from tropa.server.reading import BadField, Fields, kind_of

_DATA_URL = re.compile(r"data:(image/(jpeg|jpg|png|webp|gif|bmp))?;base64,")
BETWEEN = "\n\n"
"""Stands between several texts of one message."""


def parts(
    fields: Fields, name: str, texts: tuple[str, ...], images: tuple[str, ...]
) -> tuple[str, list[str]]:
    """The text of a content and its images (base64). `texts` and `images` are the types of parts that hold them.
    Raises BadField for anything else."""
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
            said.append(part.text("refusal" if kind == "refusal" else "text") or "")
        elif kind in images:
            seen.append(picture(part, "image_url"))
        elif kind is None:
            raise BadField(part.at("type"), "is required")
        else:
            raise BadField(part.at("type"), f'is "{kind[:80]}": supported are {_list(texts + images)}')
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


def _list(kinds: tuple[str, ...]) -> str:
    return ", ".join(f'"{kind}"' for kind in kinds)
