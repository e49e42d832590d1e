# STUB until the real one comes
from functools import lru_cache

from tropa.gguf import read
from tropa.scheduler.demand import *


@lru_cache(100)
def demand_of(path, projectors=(), adapters=(), cache_type="f16"):
    g = read(path)
    a = g.architecture
    n = g.metadata[a + ".block_count"]
    d = g.metadata[a + ".embedding_length"]
    return Demand(
        key=str(path),
        layers=tuple(Layer(path.stat().st_size // n, 4 * d) for _ in range(n)),
        trained_context=g.metadata[a + ".context_length"],
        context_granule=256,
    )
