"""Which llama-server: the pinned wheel, or an executable the user has. One interface, one HTTP API."""
