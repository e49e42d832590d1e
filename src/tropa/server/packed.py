"""Request bodies that a client has packed, as some of OpenAI's do: both dialects take zstd and gzip.

What is packed small can unfold to anything, so it is unpacked up to a limit, and into little memory.
"""

from __future__ import annotations

import sys
import zlib
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from tropa.server.body import BadRequest
from tropa.server.respond import read_body

MOST = 20 << 20  # bytes of a body once unpacked
_WINDOW = 23  # bits: 8 MiB of memory for the decoder
_GZIP_OR_ZLIB = 47  # zlib's number for either


async def unpacked(scope: Scope, receive: Receive) -> bytes:
    """The whole body, unpacked. What is no encoding at all is not looked at. Raises BadRequest."""
    body = await read_body(receive)
    match Headers(scope=scope).get("content-encoding", "").strip().lower():
        case "zstd":
            return _of_zstd(body)
        case "gzip" | "x-gzip" | "deflate":
            return _of_gzip(body)
        case "br" | "compress" | "x-compress" as other:
            raise BadRequest(
                f"Content-Encoding {other} is not supported: pack the body with zstd or gzip, or send it plain"
            )
        case _:
            return body


def _of_zstd(body: bytes) -> bytes:
    zstd = _zstd()
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})
    try:
        found: bytes = decoder.decompress(body, max_length=MOST + 1)
    except zstd.ZstdError as exc:
        raise BadRequest(f"the request body is not zstd, as its Content-Encoding says: {exc}") from exc
    return _checked(found, whole=decoder.eof)


def _of_gzip(body: bytes) -> bytes:
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = decoder.decompress(body, MOST + 1)
    except zlib.error as exc:
        raise BadRequest(f"the request body is not gzip, as its Content-Encoding says: {exc}") from exc
    return _checked(found, whole=decoder.eof)


def _checked(found: bytes, *, whole: bool) -> bytes:
    if len(found) > MOST:
        raise BadRequest(f"the request body is larger than {MOST} bytes once unpacked")
    if not whole:
        raise BadRequest("the packed request body was cut off")
    return found


def _zstd() -> Any:
    """Late: hardly any client asks for it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
