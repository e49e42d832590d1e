from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.places import short_folder
from tests.support.server import Server, serving

KEY = "k-of-the-listener"


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    """A server that wants a key, writes its access log, and lets nobody dawdle."""
    with short_folder() as folder:
        told = {"TROPA_API_KEYS": KEY, "TROPA_CLIENT_TIMEOUT": "1"}
        with serving(folder, **told) as server:
            yield server
