"""A store to look at."""

from __future__ import annotations

import pytest

from tests.library.check.reports import age
from tests.library.making import gguf, make
from tropa.library.library import Library


@pytest.fixture
def full(furnished: Library) -> Library:
    """Two models that share a layer, all of it old enough for a prune."""
    make(furnished, "one", gguf(tensors=1), system="be brief")
    make(furnished, "Two:x", gguf(tensors=2), system="be brief")
    age(furnished)
    return furnished
