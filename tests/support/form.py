"""`multipart/form-data` by hand, so that a test can spoil it."""

from __future__ import annotations

from collections.abc import Mapping

BOUNDARY = "--a-boundary-of-ours"


def form(
    fields: Mapping[str, str], files: Mapping[str, bytes], *, filename: str = "speech.wav", whole: bool = True
) -> tuple[dict[str, str], bytes]:
    """Headers and a body. `whole` False: without its last boundary."""
    parts = []
    for name, value in fields.items():
        parts.append((f'form-data; name="{name}"', value.encode()))
    for name, data in files.items():
        parts.append((f'form-data; name="{name}"; filename="{filename}"', data))
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    end = f"--{BOUNDARY}--\r\n".encode() if whole else b""
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body + end
