"""Who runs, who waits, who leaves: a pure core, events in, actions out."""
