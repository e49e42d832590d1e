"""What the benchmarks share: a server and a bare engine of their own, one load client for both, honest reports."""
