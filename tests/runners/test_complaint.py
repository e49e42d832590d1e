from __future__ import annotations

import pytest

from tropa.runners.complaint import complaint, last_words, ran_out_of_memory

NO_GGUF = """\
0.00.002.966 I srv  llama_server: initializing ...
0.00.005.972 I srv    load_model: loading model '/etc/passwd'
0.00.006.084 E gguf_init_from_reader: invalid magic characters: 'root', expected 'GGUF'
0.00.006.209 E llama_model_load: error loading model: llama_model_loader: failed to load model from /etc/passwd
0.00.006.219 E llama_model_load_from_file_impl: failed to load model
0.00.006.280 E cmn  common_init_: failed to load model '/etc/passwd'
0.00.006.286 E srv    load_model: failed to load model, '/etc/passwd'
0.00.006.288 I srv    operator(): operator(): cleaning up before exit...
0.00.006.688 E srv  llama_server: exiting due to model loading error
error: Failed to init server, please check the input params.
"""
NO_SOCKET = """\
0.00.004.486 E srv         start: couldn't bind HTTP server socket, hostname: /tmp/x/s.sock, port: 9931
0.00.004.584 E srv  llama_server: exiting due to HTTP server error
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            NO_GGUF,
            (
                "gguf_init_from_reader: invalid magic characters: 'root', expected 'GGUF'; llama_model_load: error "
                "loading model: llama_model_loader: failed to load model from /etc/passwd"
            ),
        ),
        (
            NO_SOCKET,
            "srv         start: couldn't bind HTTP server socket, hostname: /tmp/x/s.sock, port: 9931",
        ),
        ("0.01.000.000 E srv  llama_server: exiting due to model loading error", None),
        (
            "llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file",
            None,
        ),
        ("Illegal instruction", None),
        (
            "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected\nbye",
            "ggml_cuda_init: ",
        ),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_the_reason_is_found(output: str, reason: str | None) -> None:
    found = complaint(output.splitlines())
    if reason is None:
        assert found == output.removeprefix("0.01.000.000 E ")
    elif reason.endswith(": "):
        assert found.startswith(reason)
    else:
        assert found == reason


def test_a_reason_is_told_once_and_not_at_endless_length() -> None:
    lines = ["error: the same"] * 50 + [f"error: number {i}" for i in range(1000)]
    found = complaint(lines)
    assert len(found) <= 2048
    assert found.endswith("error: number 999")
    assert complaint(["error: the same"] * 50) == "error: the same"


@pytest.mark.parametrize(
    "line",
    [
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB on device 0: cudaMalloc failed: out of memory",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "ggml_vulkan: ErrorOutOfDeviceMemory",
        "llama_kv_cache: failed to allocate buffer for kv cache",
    ],
)
def test_want_of_memory_is_recognised(line: str) -> None:
    assert ran_out_of_memory(["loading", line])
    assert not ran_out_of_memory([NO_GGUF])


def test_the_refusal_of_a_request_is_no_reason_to_die() -> None:
    refused = "0.09.000.000 E srv send_error: task id = 3, error: request (900 tokens) exceeds the available context"
    assert last_words([refused]) == ""
    assert (
        last_words([refused, "/src/ggml.c:42: GGML_ASSERT(x) failed"])
        == "/src/ggml.c:42: GGML_ASSERT(x) failed"
    )
