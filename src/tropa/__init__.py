"""Tropa: a local LLM server. Nothing is imported here, so that `tropa ps` starts at once."""

__version__ = "0.1.0"
COMPATIBLE = "0.33.0"
"""The version of the reference that we stand in for: clients, registries and models' authors go by it."""
