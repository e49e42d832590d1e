"""From a model to a smaller one, with the engine's own arithmetic, in a process of its own. See docs/quantize.md."""
