"""The command line's own way to the server: our HTTP API over the standard library, and nothing else."""
