"""The command line's own way to the server: our HTTP API over a socket, and nothing else."""
