from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.places import short_folder
from tests.support.server import Server, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all tests of a module: none of them may leave it in a state that another would notice."""
    with short_folder() as folder, serving(folder) as server:
        yield server
