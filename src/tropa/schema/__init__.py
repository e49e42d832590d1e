"""JSON schemas as grammars that an engine can hold an answer to. Pure: no engine, no I/O."""
