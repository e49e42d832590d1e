"""The interactive session of `run`. `step` decides, `session` acts; the terminal is `console`'s alone."""
