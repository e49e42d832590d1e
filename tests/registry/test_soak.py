"""A few of the interrupted pulls of `soak.py`, which says what is tested. `make soak` does many."""

from __future__ import annotations

from pathlib import Path

from tests.registry.soak import soak


def test_pulls_interrupted_at_random_bytes_end_in_whole_models(debian: None, tmp_path: Path) -> None:
    figures = soak(25, seed=6, folder=tmp_path)
    assert figures.wrong == []
    assert figures.pulls == 25
    assert min(figures.breaks.values()) >= 20, figures.breaks
    assert figures.fetched < 1.5 * figures.needed, "what was there was not fetched again"
