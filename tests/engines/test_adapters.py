"""A model with a LoRA: every engine is started with it, and answers otherwise than without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.goldens.engine import probabilities
from tests.library.convert import adapters
from tests.library.convert.making import imported
from tropa.runners.demand import demand_of

PROMPT = [300, 301, 302, 303, 304]


async def test_an_adapter_changes_what_the_model_says(load: Callable[..., Any], tmp_path: Path) -> None:
    base = imported("llama", tmp_path)
    a, b = adapters.trained("llama", tmp_path / "a")
    adapter = adapters.as_adapter(
        adapters.peft(a, b, {"lora_alpha": 8}, tmp_path / "l"), base, tmp_path / "a.gguf"
    )
    plain, adapted = await load(model=base), await load(model=base, adapters=(adapter,))
    before, after = await probabilities(plain, PROMPT), await probabilities(adapted, PROMPT)
    assert max(abs(before[token] - after[token]) for token in before) > 1


def test_its_memory_is_counted(tmp_path: Path) -> None:
    base = imported("llama", tmp_path)
    a, b = adapters.trained("llama", tmp_path / "a")
    adapter = adapters.as_adapter(
        adapters.peft(a, b, {"lora_alpha": 8}, tmp_path / "l"), base, tmp_path / "a.gguf"
    )
    plain, adapted = demand_of(base), demand_of(base, adapters=(adapter,))
    grown = sum(layer.weights for layer in adapted.layers) - sum(layer.weights for layer in plain.layers)
    assert grown == 2 * sum(half.size for half in (*a.values(), *b.values()))
    assert adapted.key != plain.key
