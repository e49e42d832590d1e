"""Text people read and write: sizes, times, durations, tables, addresses. Pure, and imports nothing of ours."""
