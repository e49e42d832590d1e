"""Tropa: a local LLM server. Nothing is imported here, so that `tropa ps` starts at once."""

__version__ = "0.1.0"
