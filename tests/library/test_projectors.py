"""What a projector makes of a model: eyes, ears, or both."""

from __future__ import annotations

import pytest

from tests.library.making import gguf, make, upload
from tropa.library.library import Library

EYE = gguf("clip", general__type="mmproj", clip__has_vision_encoder=True)
EAR = gguf("clip", general__type="mmproj", clip__has_audio_encoder=True)
BOTH = gguf("clip", general__type="mmproj", clip__has_vision_encoder=True, clip__has_audio_encoder=True)
SILENT = gguf("clip", general__type="mmproj")


@pytest.mark.parametrize(
    ("projectors", "found"),
    [
        ([EYE], ("vision",)),
        ([EAR], ("audio",)),
        ([BOTH], ("vision", "audio")),
        ([SILENT], ("vision",)),
        ([EYE, EAR], ("vision",)),
        ([EAR, EYE], ("audio",)),
    ],
)
def test_a_model_can_what_the_projector_can_with_which_an_engine_is_started(
    library: Library, projectors: list[bytes], found: tuple[str, ...]
) -> None:
    """An engine takes one projector, the first."""
    files = {"m.gguf": upload(library, gguf())}
    files |= {f"{number}.gguf": upload(library, data) for number, data in enumerate(projectors)}
    make(library, "x", files=files)
    assert library.find("x").capabilities == ("completion", *found)
    (listed,) = [model for model in library.models() if model.name.model == "x"]
    assert listed.capabilities == ("completion", *found)
