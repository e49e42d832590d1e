"""Measurements of Tropa against the bare engine. Each is a module to run: `python -m benchmarks.relay`."""
