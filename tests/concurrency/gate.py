"""A llama-server that loads a model only when it is told to: loads that last exactly as long as a test wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support import llama_server

SCRIPT = """#!/bin/sh
for word in "$@"; do
    case "$word" in
        */sha256-*) while [ -e "{folder}/hold-${{word##*/}}" ]; do sleep 0.02; done ;;
    esac
done
exec "{engine}" "$@"
"""


@dataclass(frozen=True)
class Gate:
    """`executable` is the engine. It holds the models that have a file for it in `folder`."""

    folder: Path
    executable: Path

    def close(self, blob: Path) -> None:
        """From now on engines for this blob start, say nothing, and do not load."""
        (self.folder / f"hold-{blob.name}").touch()

    def open(self, blob: Path) -> None:
        (self.folder / f"hold-{blob.name}").unlink()


def gate(folder: Path) -> Gate:
    """A gate in an empty folder; all open."""
    engine = llama_server.install(folder, "llama-server-real")
    executable = folder / "llama-server"
    executable.write_text(SCRIPT.format(folder=folder, engine=engine))
    executable.chmod(0o755)
    return Gate(folder, executable)
