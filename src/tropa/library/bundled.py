"""The model that comes with the program: there in a new installation, without a pull and without a copy.

It is described by a manifest like any other, made up in memory from the weights in the package; so it has an
ID, a size and a digest, and a copy of it under another name is the same model with the same ID.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.header import describe, parameter_size
from tropa.library.manifest import Config, Layer
from tropa.library.model import Blob
from tropa.library.name import Name

LICENSE = """\
tiny is a small model for demonstrations and tests. It was trained from scratch for Tropa on text made for it,
knows a few hundred short answers, and nothing else. Do not rely on what it says.
MIT License, like Tropa itself.
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """A manifest, and where everything it names is: the weights in their file, the rest in memory."""

    manifest: bytes
    weights: Blob
    texts: dict[Digest, bytes]


class Bundled:
    """One GGUF in the package, under one name. Nothing is read before it is needed, and then once."""

    def __init__(
        self, name: Name, path: Path, *, immutable: bool = False, license_text: str = LICENSE
    ) -> None:
        """`immutable` says that nobody writes to the file in place, so that the store may link to it."""
        self.name = name
        self.path = path
        self.immutable = immutable
        self._license = license_text.encode()
        self._lock = threading.Lock()
        self._known: tuple[tuple[int, ...], Contents] | None = None

    def contents(self) -> Contents | None:
        """None if the package was installed without the weights."""
        from tropa.gguf import read

        try:
            stat = self.path.stat()
        except OSError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            if self._known is None or self._known[0] != stamp:
                with self.path.open("rb") as file:
                    digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
                header = describe(read(self.path))
                texts = [self._license]
                weights = Layer(manifest.MODEL, str(digest), stat.st_size)
                layers = [weights, _layer(manifest.LICENSE, self._license)]
                config = Config(
                    model_format="gguf",
                    model_family=header.architecture,
                    model_families=[header.architecture],
                    model_type=parameter_size(header.parameter_count),
                    file_type=header.file_type,
                )
                texts.append(manifest.compose_config(config, layers))
                data = manifest.compose(_layer(manifest.CONFIG, texts[-1]), layers)
                known = Contents(data, Blob(digest, self.path), {Digest.of(text): text for text in texts})
                self._known = stamp, known
            return self._known[1]


def packaged() -> Bundled:
    """`tiny`, as this installation has it."""
    import sysconfig

    import tropa

    path = Path(tropa.__file__).resolve().parent / "bundled" / "tiny.gguf"
    # Installers replace files. In a checkout, training the model anew may write into them.
    installed = path.is_relative_to(Path(sysconfig.get_path("purelib")).resolve())
    return Bundled(Name.parse("tiny"), path, immutable=installed)


def _layer(media_type: str, data: bytes) -> Layer:
    return Layer(media_type, str(Digest.of(data)), len(data))
