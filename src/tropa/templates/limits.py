"""What one template may cost. Templates come from anywhere, and from requests.

Together these bound the time (seconds) and the memory (some ten MiB beside the data) of parsing or executing
any text with any data.
"""

from __future__ import annotations

TEXT = 256 << 10
"""Code points in a template. The largest in public libraries have about 20 thousand."""

NESTING = 100
"""Blocks and parentheses inside each other, in the text. An `else if` chain does not nest."""

STEPS = 3_000_000
"""Nodes executed, loop passes, words of commands; long values count for more. A message of a chat takes 10 to 50."""

STACK = 500
"""Depth of execution, in frames of ours: a block or a called template takes 2, parentheses take 5."""

OUTPUT = 16 << 20
"""Code points of a result, and of any text built on the way. More than any model's context holds: 16 Mi code points
are about 4 million tokens."""
