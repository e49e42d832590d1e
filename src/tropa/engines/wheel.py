"""The engine inside the pinned `xllamacpp` wheel: no compiler, no download, always there."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tropa.engines.engine import Command, environment, guarded
from tropa.engines.launch import Launch


@dataclass(frozen=True, slots=True)
class WheelEngine:
    """`python -m tropa.engines.host`, one process per model."""

    @property
    def name(self) -> str:
        try:
            return f"xllamacpp {version('xllamacpp')}"
        except PackageNotFoundError:
            return "xllamacpp"

    @property
    def file(self) -> Path:
        """Raises FileNotFoundError if the package is not there, or not whole."""
        spec = find_spec("xllamacpp")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("the package xllamacpp is not installed")
        folder = Path(next(iter(spec.submodule_search_locations)))
        for file in (*sorted(folder.glob("xllamacpp*.so")), *sorted(folder.glob("xllamacpp*.pyd"))):
            return file
        raise FileNotFoundError(f"the package xllamacpp is not whole: {folder} has no extension module")

    def command(self, launch: Launch) -> Command:
        # Isolated (-I): neither the working directory nor PYTHON* variables may change what the engine is.
        argv = (
            sys.executable,
            "-I",
            "-m",
            "tropa.engines.host",
            str(os.getpid()),
            json.dumps(launch.to_json()),
        )
        if sys.platform != "linux":
            argv = guarded(argv)
        return Command(argv, environment(launch))

    def listing(self) -> Command:
        return Command((sys.executable, "-I", "-m", "tropa.engines.listing"), {})
