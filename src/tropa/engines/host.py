"""The process that hosts the wheel's engine: `python -m tropa.engines.host PARENT_PID LAUNCH_JSON`.

It loads the model, serves llama-server's HTTP API on the address it was given, and ends by signal. There is
no Python in the path of a request. SIGTERM keeps its default action: the wheel holds the interpreter's lock
while it loads, so a Python handler would be deaf for exactly as long as the load takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import threading
from typing import Any

from tropa.engines.guard import die_with_parent


def parameters(launch: dict[str, Any]) -> Any:
    """`Launch.to_json()` as the wheel's `CommonParams`. Must say what `engines.executable.arguments` says."""
    import xllamacpp as x

    p = x.CommonParams()
    p.model.path = launch["model"]
    p.model_alias = {launch["alias"]}
    address = launch["address"]
    p.hostnames = [address["socket"] or "127.0.0.1"]
    p.port = address["port"]
    if key := os.environ.pop("LLAMA_API_KEY", ""):
        p.api_keys = [key]
    p.n_ctx = launch["total_context"]
    p.n_parallel = launch["slots"]
    p.kv_unified = False
    p.n_batch = p.n_ubatch = launch["batch"]
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = launch["threads"]
    if launch["gpu_layers"] is not None:
        p.n_gpu_layers = launch["gpu_layers"]
    if launch["main_gpu"] is not None:
        p.main_gpu = launch["main_gpu"]
        p.split_mode = x.llama_split_mode.LLAMA_SPLIT_MODE_NONE
    if split := launch["tensor_split"]:
        p.tensor_split = [*split, *[0.0] * (128 - len(split))]
    p.cache_type_k = p.cache_type_v = getattr(x.ggml_type, f"GGML_TYPE_{launch['cache_type'].upper()}")
    if launch["flash_attention"] is not None:
        kind = "ENABLED" if launch["flash_attention"] else "DISABLED"
        p.flash_attn_type = getattr(x.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{kind}")
    if launch["mmap"] is not None:
        kind = "MMAP" if launch["mmap"] else "NONE"
        p.load_mode = getattr(x.llama_load_mode, f"LLAMA_LOAD_MODE_{kind}")
    p.embedding = launch["embedding"] or launch["rerank"]
    if launch["rerank"]:
        p.pooling_type = x.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    p.cache_ram_mib = launch["cache_ram_mib"]
    p.n_ctx_checkpoints = launch["checkpoints"]
    p.use_jinja = True
    p.ui = False
    p.offline = True
    p.ctx_shift = False
    p.fit_params = False  # we know the memory; the engine must not change what it was told
    p.endpoint_slots = True
    if launch["projector"]:
        p.mmproj.path = launch["projector"]
    if launch["adapters"]:
        p.lora_adapters = [x.CommonAdapterLoraInfo(path) for path in launch["adapters"]]
    if launch["save_dir"]:
        p.slot_save_path = launch["save_dir"] + os.sep
    return p


def flush_log() -> None:
    """Have the engine write what its log still holds. A thread of its own writes it, so a process that ends at
    once takes the last lines along, and with them the reason why it ended."""
    import xllamacpp

    with contextlib.suppress(AttributeError, OSError):  # exported by the wheels for Linux and macOS
        library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        current, flush = library["_Z15common_log_mainv"], library["_Z16common_log_flushP10common_log"]
        current.restype = ctypes.c_void_p
        flush.argtypes, flush.restype = [ctypes.c_void_p], None
        flush(current())


def main(argv: list[str]) -> None:
    """Serve until killed. A model that cannot be loaded ends the process with status 1 and the engine's log."""
    parent, launch = argv
    if sys.platform == "linux":
        die_with_parent(int(parent))
    p = parameters(json.loads(launch))
    import xllamacpp

    try:
        server = xllamacpp.Server(p)
    except RuntimeError as exc:
        flush_log()
        print(f"error: {exc}", file=sys.stderr, flush=True)
        os._exit(1)  # no destructors: a half-made engine has been seen to hang in them
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main(sys.argv[1:])
