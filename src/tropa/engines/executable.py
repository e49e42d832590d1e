"""A `llama-server` executable that the user has: Homebrew's, a distribution's, a GPU build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tropa.engines.engine import Command, environment, guarded
from tropa.engines.launch import Launch


@dataclass(frozen=True, slots=True)
class ExecutableEngine:
    """One `llama-server` process per model."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def file(self) -> Path:
        return self.path

    def command(self, launch: Launch) -> Command:
        return Command(guarded((str(self.path), *arguments(launch))), environment(launch))

    def listing(self) -> Command:
        return Command(guarded((str(self.path), "--list-devices")), {})


def arguments(launch: Launch) -> list[str]:
    """`launch` in the words of llama-server's command line. Must say what `engines.host.parameters` says."""
    args = ["--model", str(launch.model), "--alias", launch.alias]
    if launch.address.socket:
        args += ["--host", str(launch.address.socket)]
    else:
        args += ["--host", "127.0.0.1", "--port", str(launch.address.port)]
    args += ["-c", str(launch.total_context), "-np", str(launch.slots), "--no-kv-unified"]
    args += ["-b", str(launch.batch), "-ub", str(launch.batch)]
    args += ["-t", str(launch.threads), "-tb", str(launch.threads)]
    if launch.gpu_layers is not None:
        args += ["-ngl", str(launch.gpu_layers)]
    if launch.main_gpu is not None:
        args += ["--split-mode", "none", "--main-gpu", str(launch.main_gpu)]
    if launch.tensor_split:
        args += ["--tensor-split", ",".join(f"{share:g}" for share in launch.tensor_split)]
    args += ["--cache-type-k", launch.cache_type, "--cache-type-v", launch.cache_type]
    if launch.flash_attention is not None:
        args += ["--flash-attn", "on" if launch.flash_attention else "off"]
    if launch.mmap is not None:
        args += ["--load-mode", "mmap" if launch.mmap else "none"]
    if launch.embedding:
        args += ["--embedding"]
    if launch.rerank:
        args += ["--reranking"]
    args += ["--cache-ram", str(launch.cache_ram_mib), "--ctx-checkpoints", str(launch.checkpoints)]
    args += ["--jinja", "--no-ui", "--offline", "--no-context-shift", "--fit", "off", "--slots"]
    if launch.projector:
        args += ["--mmproj", str(launch.projector)]
    for adapter in launch.adapters:
        args += ["--lora", str(adapter)]
    if launch.save_dir:
        args += ["--slot-save-path", str(launch.save_dir)]
    return args
