"""A stand-in for a `llama-server` executable: its command line, served by the wheel's engine.

It understands the flags that `tropa.engines.executable` writes and no others: an unknown one ends it, as it ends
the real one. Each flag sets what llama.cpp's own parser (common/arg.cpp) sets for it; nothing is taken from Tropa.
Like the real one it ends with status 0 on SIGTERM, and writes its last lines before it ends.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import stat
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import xllamacpp as x


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    p.add_argument("--list-devices", action="store_true")
    p.add_argument("--model", default="")
    p.add_argument("--alias", default="")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("-c", type=int, default=0, dest="context")
    p.add_argument("-np", type=int, default=1, dest="parallel")
    p.add_argument("--no-kv-unified", action="store_true")
    p.add_argument("-b", type=int, default=2048, dest="batch")
    p.add_argument("-ub", type=int, default=512, dest="micro_batch")
    p.add_argument("-t", type=int, default=-1, dest="threads")
    p.add_argument("-tb", type=int, default=-1, dest="batch_threads")
    p.add_argument("-ngl", type=int, dest="gpu_layers")
    p.add_argument("--split-mode", choices=["none", "layer", "row"])
    p.add_argument("--main-gpu", type=int)
    p.add_argument("--tensor-split", type=lambda text: [float(share) for share in text.split(",")])
    types = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
    p.add_argument("--cache-type-k", choices=types, default="f16")
    p.add_argument("--cache-type-v", choices=types, default="f16")
    p.add_argument("--flash-attn", choices=["on", "off", "auto"], default="auto")
    p.add_argument("--load-mode", choices=["auto", "none", "mmap", "mlock"], default="auto")
    p.add_argument("--embedding", action="store_true")
    p.add_argument("--reranking", action="store_true")
    p.add_argument("--cache-ram", type=int, default=8192)
    p.add_argument("--ctx-checkpoints", type=int, default=32)
    p.add_argument("--jinja", action="store_true")
    p.add_argument("--no-ui", action="store_true")
    p.add_argument("--offline", action="store_true")
    p.add_argument("--no-context-shift", action="store_true")
    p.add_argument("--fit", choices=["on", "off"], default="on")
    p.add_argument("--slots", action="store_true")
    p.add_argument("--mmproj", default="")
    p.add_argument("--lora", action="append", default=[])
    p.add_argument("--slot-save-path", default="")
    return p


def parameters(argv: list[str]) -> Any:
    """The command line as the engine's own parameters."""
    a = parser().parse_args(argv)
    p = x.CommonParams()
    p.model.path = a.model
    if a.alias:
        p.model_alias = set(a.alias.split(","))
    p.hostnames = [a.host]
    p.port = a.port
    if key := os.environ.get("LLAMA_API_KEY"):
        p.api_keys = [key]
    p.n_ctx = a.context
    p.n_parallel = a.parallel
    p.kv_unified = not a.no_kv_unified
    p.n_batch = a.batch
    p.n_ubatch = a.micro_batch
    p.cpuparams.n_threads = a.threads
    p.cpuparams_batch.n_threads = a.batch_threads
    if a.gpu_layers is not None:
        p.n_gpu_layers = a.gpu_layers
    if a.split_mode:
        p.split_mode = getattr(x.llama_split_mode, f"LLAMA_SPLIT_MODE_{a.split_mode.upper()}")
    if a.main_gpu is not None:
        p.main_gpu = a.main_gpu
    if a.tensor_split:
        p.tensor_split = a.tensor_split + [0.0] * (128 - len(a.tensor_split))
    p.cache_type_k = getattr(x.ggml_type, f"GGML_TYPE_{a.cache_type_k.upper()}")
    p.cache_type_v = getattr(x.ggml_type, f"GGML_TYPE_{a.cache_type_v.upper()}")
    flash = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}[a.flash_attn]
    p.flash_attn_type = getattr(x.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
    if a.load_mode != "auto":
        p.load_mode = getattr(x.llama_load_mode, f"LLAMA_LOAD_MODE_{a.load_mode.upper()}")
    p.embedding = a.embedding or a.reranking
    if a.reranking:
        p.pooling_type = x.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    p.cache_ram_mib = a.cache_ram
    p.n_ctx_checkpoints = a.ctx_checkpoints
    p.use_jinja = True  # the real one's default, flag or not
    p.ui = not a.no_ui
    p.offline = a.offline
    if a.no_context_shift:
        p.ctx_shift = False
    p.fit_params = a.fit == "on"
    p.endpoint_slots = True
    p.mmproj.path = a.mmproj
    if a.lora:
        p.lora_adapters = [x.CommonAdapterLoraInfo(path) for path in a.lora]
    if a.slot_save_path:
        p.slot_save_path = a.slot_save_path + os.sep
    return p


def install(folder: Path, name: str = "llama-server") -> Path:
    """An executable file in `folder` that runs this program."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{__file__}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def main(argv: list[str]) -> None:
    if parser().parse_args(argv).list_devices:
        print("Available devices:")
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        server = x.Server(parameters(argv))
    except RuntimeError:
        _end_with(1)
    while server is not None:
        signal.pause()


def _end(_number: int, _frame: FrameType | None) -> None:
    _end_with(0)


def _end_with(status: int) -> None:
    library = ctypes.CDLL(x.xllamacpp.__file__)
    library._Z15common_log_mainv.restype = ctypes.c_void_p
    library._Z16common_log_flushP10common_log(ctypes.c_void_p(library._Z15common_log_mainv()))
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
