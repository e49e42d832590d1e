"""`/v1/responses`. Nothing is kept: every request brings its whole conversation."""
