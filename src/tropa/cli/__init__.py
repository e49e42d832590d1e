"""The command line: a command parses, calls, prints. `main` is the way in, `commands` the table of them."""
