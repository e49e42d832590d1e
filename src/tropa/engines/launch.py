"""Everything an engine process is told when it starts, as one plain value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a UNIX socket where there are such, else a loopback TCP port.

    `api_key` is asked of every caller on TCP, where any process of the machine could connect; a UNIX socket
    lies in a directory that only its owner can enter.
    """

    socket: Path | None = None
    port: int = 0
    api_key: str = ""

    def __str__(self) -> str:
        return str(self.socket) if self.socket else f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Launch:
    """The start-up parameters of one engine process.

    `context` is tokens **per slot**: the only place where it is multiplied by `slots` is the writing of the
    engine's own arguments (`total_context`). `batch` is in tokens; one batch should take about a second, since
    a slot in prompt processing is freed only between batches (docs/engines.md).
    """

    model: Path
    address: Address
    alias: str
    context: int
    slots: int
    threads: int
    batch: int = 512
    gpu_layers: int | None = None
    main_gpu: int | None = None
    tensor_split: tuple[float, ...] = ()
    cache_type: str = "f16"
    flash_attention: bool | None = None
    mmap: bool | None = None
    embedding: bool = False
    rerank: bool = False
    """Scores of a query with documents instead of vectors: the engine answers the one or the other."""
    cache_ram_mib: int = 0
    checkpoints: int = 0
    projector: Path | None = None
    adapters: tuple[Path, ...] = ()
    save_dir: Path | None = None
    environment: tuple[tuple[str, str], ...] = field(default=())

    @property
    def total_context(self) -> int:
        """Tokens of KV cache over all slots: what the engine calls `n_ctx`."""
        return self.context * self.slots

    def to_json(self) -> dict[str, Any]:
        """Plain data for the process that hosts the wheel. Paths become text; nothing in it is secret."""
        data = asdict(self)
        data["address"] = {
            "socket": str(self.address.socket) if self.address.socket else None,
            "port": self.address.port,
        }
        for name in ("model", "projector", "save_dir"):
            data[name] = str(data[name]) if data[name] else None
        data["adapters"] = [str(path) for path in self.adapters]
        data["total_context"] = self.total_context
        del data["environment"]
        return data
