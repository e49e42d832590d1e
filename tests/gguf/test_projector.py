"""What is predicted of a projector is what the engine (llama.cpp b11549, in the pinned wheel) logs, and no less than
its process takes."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gguf.engine import running
from tests.support.ear import ear, tone, whisper
from tests.support.projector import projector
from tests.support.scripted import scripted
from tropa.gguf import read
from tropa.gguf.projector import SOUND_IN_HAND, projector_bytes, sound_buffer

MIB = 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    return scripted(path, {"<go>": ["Yes"]}, template="{{ messages[0].content }}<go>")


@pytest.fixture(scope="module")
def alone(model: Path) -> int:
    """What the model's process takes without any projector."""
    with running(model, context=4096) as engine:
        engine.ask("/completion", {"prompt": "a" * 500, "n_predict": 1})
        return int(psutil.Process(engine.pid).memory_info().rss)


@pytest.mark.parametrize(
    "shape",
    [
        {"width": 64},
        {"width": 512, "feed_forward": 512, "heads": 8},
        {"width": 512, "feed_forward": 2048, "heads": 8, "layers": 3},
        {"width": 256, "feed_forward": 4096, "heads": 4},
    ],
)
def test_an_ear_takes_what_is_predicted(
    shape: dict[str, Any], model: Path, alone: int, tmp_path: Path
) -> None:
    path = whisper(tmp_path / "w.gguf", **shape)
    gguf = read(path)
    with running(model, context=4096, projector=path) as engine:
        media = engine.ask("/props")["media_marker"]
        sound = base64.b64encode(tone(65)).decode()
        asked = {"prompt_string": f"{media}<go>", "multimodal_data": [sound]}
        heard = engine.ask("/completion", {"prompt": asked, "n_predict": 1})
        assert heard["tokens_evaluated"] > 3 * 375
        held = psutil.Process(engine.pid).memory_info().rss - alone
        log = engine.log.read_text(errors="replace")
    (logged,) = re.findall(r"reserve_compute_meta: .*buffer size = +([\d.]+) MiB", log)
    assert sound_buffer(gguf) == pytest.approx(float(logged) * MIB, rel=0.02, abs=2.5 * MIB)
    predicted = projector_bytes(gguf)
    assert gguf.tensor_bytes + sound_buffer(gguf) / 2 < held < predicted


def test_what_has_no_ears_needs_no_room_for_sounds(tmp_path: Path) -> None:
    seeing, hearing = (
        read(projector(tmp_path / "eye.gguf")),
        read(ear(tmp_path / "ear.gguf")),
    )
    assert projector_bytes(seeing) < MIB
    assert projector_bytes(hearing) > SOUND_IN_HAND + hearing.tensor_bytes
