"""Bodies that a client has packed. Some of OpenAI's own clients do."""

from __future__ import annotations

import gzip
import json
import sys
import zlib

import pytest

from tests.support.server import Answer, Server
from tropa.server.packed import MOST

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = json.dumps(
    {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
).encode()
PATHS = ["/v1/chat/completions", "/v1/messages"]


def post(server: Server, path: str, body: bytes, encoding: str) -> Answer:
    return server.request("POST", path, body, {"Content-Encoding": encoding})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("zstd", zstd.compress(BODY)),
        ("gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("unheard-of", BODY),
    ],
)
def test_a_packed_body_is_taken(server: Server, path: str, encoding: str, packed: bytes) -> None:
    assert post(server, path, packed, encoding).status == 200


@pytest.mark.parametrize(
    ("encoding", "packed", "said"),
    [
        ("zstd", BODY, "not zstd"),
        ("zstd", zstd.compress(BODY)[:-4], "cut off"),
        ("zstd", zstd.compress(b" " * (MOST + 1)), f"larger than {MOST} bytes"),
        ("br", BODY, "Content-Encoding br is not supported"),
        ("gzip", BODY, "not gzip"),
        ("gzip", gzip.compress(BODY)[:-9], "cut off"),
        ("gzip", gzip.compress(b" " * (MOST + 1)), f"larger than {MOST} bytes"),
    ],
)
def test_one_that_cannot_be_unpacked_is_refused_in_the_dialect(
    server: Server, encoding: str, packed: bytes, said: str
) -> None:
    for path in PATHS:
        answer = post(server, path, packed, encoding)
        assert answer.status == 400
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert said in answer.json["error"]["message"]
