"""What generate and chat refuse: the status and the text of each, and that nothing is loaded for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.server import Server

TINY = "registry.ollama.ai/library/tiny:latest"
LEVELS = '"high", "medium", "low", "max", true, or false'
FORMAT = 'expected "json" or a valid JSON Schema object'
TOOL = {"type": "function", "function": {"name": "weather"}}

BOTH: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "nosuch"}, 404, "model 'nosuch' not found"),
    ({"model": "nosuch:7b"}, 404, "model 'nosuch:7b' not found"),
    ({"model": "a/b/c/d/e"}, 400, "invalid model name"),
    ({"model": "bad name"}, 400, "invalid model name"),
    ({"model": "tiny:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
    ({"model": "a:local:cloud"}, 400, 'use either :local or :cloud, not both: "a:local:cloud"'),
    ({"top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ({"top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
    ({"top_logprobs": 21, "model": "nosuch"}, 400, "top_logprobs must be between 0 and 20"),
    ({"think": True}, 400, '"tiny" does not support thinking'),
    ({"think": "high"}, 400, '"tiny" does not support thinking'),
    ({"think": "High"}, 400, f'invalid think value: "High" (must be {LEVELS})'),
    ({"think": ""}, 400, f'invalid think value: "" (must be {LEVELS})'),
    ({"think": 1}, 400, f"think must be a boolean or string ({LEVELS})"),
    ({"keep_alive": "abc"}, 400, 'time: invalid duration "abc"'),
    ({"keep_alive": ""}, 400, 'time: invalid duration ""'),
    ({"keep_alive": "5"}, 400, 'time: missing unit in duration "5"'),
    ({"keep_alive": "-1"}, 400, 'time: missing unit in duration "-1"'),
    ({"keep_alive": "1d"}, 400, 'time: unknown unit "d" in duration "1d"'),
    ({"keep_alive": True}, 400, "Unsupported type: 'bool'"),
    ({"keep_alive": [5]}, 400, "Unsupported type: '[]interface {}'"),
    ({"keep_alive": {}}, 400, "Unsupported type: 'map[string]interface {}'"),
    ({"options": {"top_k": "5"}}, 500, 'option "top_k" must be of type integer'),
    ({"options": {"num_ctx": True}}, 500, 'option "num_ctx" must be of type integer'),
    ({"options": {"temperature": "0"}}, 500, 'option "temperature" must be of type float32'),
    ({"options": {"use_mmap": 1}}, 500, 'option "use_mmap" must be of type boolean'),
    ({"options": {"stop": "end"}}, 500, 'option "stop" must be of type array'),
    ({"options": {"stop": [1]}}, 500, 'option "stop" must be of an array of strings'),
]


def refused(server: Server, path: str, fields: dict[str, Any]) -> tuple[int, str]:
    """The same, whether a stream was asked for or not."""
    body = {"model": "tiny", "prompt": "Hi!", "messages": [{"role": "user", "content": "Hi!"}], **fields}
    whole = server.post(path, body | {"stream": False})
    streamed = server.post(path, body)
    assert (streamed.status, streamed.error) == (whole.status, whole.error)
    return whole.status, whole.error


@pytest.mark.parametrize(("fields", "status", "error"), BOTH, ids=str)
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_refused_by_both(server: Server, path: str, fields: dict[str, Any], status: int, error: str) -> None:
    assert refused(server, path, fields) == (status, error)
    assert server.ps() == {}, "nothing was loaded"


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"model": ""}, 404, "model '' not found"),
        ({"raw": True, "system": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"raw": True, "template": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"raw": True, "context": [1]}, 400, "raw mode does not support template, system, or context"),
        ({"suffix": "x"}, 400, f"{TINY} does not support insert"),
        ({"images": ["QUJD"]}, 400, '"tiny" does not support images'),
    ],
    ids=str,
)
def test_refused_by_generate(server: Server, fields: dict[str, Any], status: int, error: str) -> None:
    assert refused(server, "/api/generate", fields) == (status, error)
    assert server.ps() == {}


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"model": ""}, 400, "model is required"),
        ({"model": "  "}, 400, "model is required"),
        ({"tools": [TOOL]}, 400, f"{TINY} does not support tools"),
        ({"messages": [{"content": "", "images": ["QUJD"]}]}, 400, '"tiny" does not support images'),
    ],
    ids=str,
)
def test_refused_by_chat(server: Server, fields: dict[str, Any], status: int, error: str) -> None:
    assert refused(server, "/api/chat", fields) == (status, error)
    assert server.ps() == {}


def test_a_template_that_is_none(server: Server) -> None:
    status, error = refused(server, "/api/generate", {"template": "{{ .Prompt"})
    assert status == 400
    assert "unclosed action" in error
    assert server.ps() == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_ctx", 0),
        ("num_ctx", -1),
        ("num_ctx", 1 << 40),
        ("num_batch", 0),
        ("num_thread", 1 << 20),
        ("main_gpu", -1),
        ("seed", 1 << 63),
        ("num_predict", 1e30),
    ],
)
def test_numbers_that_no_engine_could_use(server: Server, option: str, value: float) -> None:
    status, error = refused(server, "/api/generate", {"options": {option: value}})
    assert status == 400
    assert error.startswith(f'option "{option}" is ')


def test_a_number_too_large_for_a_float(server: Server) -> None:
    body = b'{"model":"tiny","prompt":"Hi!","options":{"temperature":1e999}}'
    answer = server.post("/api/generate", body)
    assert answer.status == 400
    assert answer.error.startswith('option "temperature" is out of range')


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("xml", r'"\"xml\""'),
        ("JSON", r'"\"JSON\""'),
        (5, '"5"'),
        ([1, "x"], r'"[1,\"x\"]"'),
        (True, '"true"'),
    ],
)
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_no_format(server: Server, path: str, form: object, shown: str) -> None:
    assert refused(server, path, {"format": form}) == (500, f"invalid format: {shown}; {FORMAT}")
    assert server.ps() == {}, "nothing was loaded"


def test_a_schema_that_is_none(server: Server) -> None:
    status, error = refused(server, "/api/chat", {"format": {"type": "strnig"}})
    assert status == 400
    assert "strnig" in error


def test_unknown_options_are_ignored(server: Server) -> None:
    """Old clients still send options that are gone."""
    old = {"mirostat": 2, "tfs_z": "x", "numa": [], "TOP_K": "x", "num_predict": 1, "top_k": None}
    assert server.post("/api/generate", model="tiny", prompt="Hi!", options=old).status == 200
