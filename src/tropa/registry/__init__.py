"""Pull and push: how models travel between this machine's store and an OCI registry."""
