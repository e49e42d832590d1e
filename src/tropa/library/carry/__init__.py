"""Models in a file: an OCI image layout inside a tar, for machines that no network joins."""
