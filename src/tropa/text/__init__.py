"""Text people read: sizes, times, durations, tables. Pure functions that import nothing of ours."""
