"""What loads really took, remembered over restarts: the second prediction for a shape is a measurement.

One JSON file, replaced whole; it may be deleted at any time. An entry belongs to a model's files as they are now, to
a shape (context, slots, batch, layers on GPUs) and to an engine. Writing is not worth failing for.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tropa.scheduler.actions import Placement
from tropa.scheduler.demand import Demand, Measured
from tropa.scheduler.machine import CPU

log = logging.getLogger("tropa.runners")

MOST_MODELS = 500  # entries kept; the oldest go first
MOST_SHAPES = 16


class MemoryBook:
    """Entries of one engine are nothing to another: `engine` names the one in use."""

    def __init__(self, path: Path, engine: Callable[[], str] = lambda: "") -> None:
        self._path = path
        self._engine = engine
        self._known: dict[str, tuple[Measured, ...]] | None = None
        self._recalled: dict[str, tuple[Demand, Demand]] = {}

    def recall(self, demand: Demand) -> Demand:
        """The demand with what is remembered of it; the same object again until more is known."""
        name = self._name(demand)
        if (kept := self._recalled.get(name)) and kept[0] is demand:
            return kept[1]
        measured = self._entries().get(name, ())
        full = replace(demand, measured=measured) if measured else demand
        self._recalled[name] = (demand, full)
        return full

    def remember(self, demand: Demand, placement: Placement, used: Mapping[str, int]) -> None:
        """Note what a load of `demand` in this shape was measured to hold, per device."""
        entry = Measured(
            context=placement.context,
            slots=placement.slots,
            batch=placement.batch,
            gpu_layers=placement.gpu_layers,
            host=used.get(CPU, 0),
            gpus=tuple(used.get(gpu, 0) for gpu in placement.gpus),
        )
        name = self._name(demand)
        entries = self._entries()
        before = entries.pop(name, ())
        others = [old for old in before if _shape(old) != _shape(entry)]
        entries[name] = (*others[-(MOST_SHAPES - 1) :], entry)
        while len(entries) > MOST_MODELS:
            del entries[next(iter(entries))]
        if entry not in before:
            self._recalled.pop(name, None)
            self._write(entries)

    def _name(self, demand: Demand) -> str:
        weights = sum(
            layer.weights for layer in demand.layers
        )  # a file of the same path may be another model by now
        return f"{demand.key}|{weights}|{self._engine()}"

    def _entries(self) -> dict[str, tuple[Measured, ...]]:
        if self._known is None:
            self._known = _read(self._path)
        return self._known

    def _write(self, entries: Mapping[str, tuple[Measured, ...]]) -> None:
        content = {name: [asdict(entry) for entry in shapes] for name, shapes in entries.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}.part")
            partial.write_text(json.dumps(content))
            partial.replace(self._path)
        except OSError as exc:
            log.warning("cannot remember a measurement in %s: %s", self._path, exc)


def _shape(entry: Measured) -> tuple[int, int, int, int]:
    return entry.context, entry.slots, entry.batch, entry.gpu_layers


def _read(path: Path) -> dict[str, tuple[Measured, ...]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: tuple(_parse(shapes)) for name, shapes in content.items()}


def _parse(shapes: Any) -> list[Measured]:
    """What of an entry still makes sense: the file may be from another version, or edited."""
    names = {field.name for field in fields(Measured)}
    found = []
    for shape in shapes if isinstance(shapes, list) else ():
        if isinstance(shape, dict) and set(shape) == names:
            gpus = shape.pop("gpus")
            numbers = (*shape.values(), *gpus) if isinstance(gpus, list) else (None,)
            if all(type(value) is int and value >= 0 for value in numbers):
                found.append(Measured(**shape, gpus=tuple(gpus)))
    return found
