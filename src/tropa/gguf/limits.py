"""How much of an untrusted header we are willing to look at.

Each bound is many times what the largest models have, so a file beyond it is damaged or hostile. Together
they bound the time and memory that one bad file can cost: work never follows a number from the file, only
bytes that exist.
"""

from __future__ import annotations

HEADER = 256 << 20
"""Bytes before the tensor data. The largest vocabularies with their merges take 20 MiB."""
KEYS = 1 << 16
TENSORS = 1 << 17
STRING = 16 << 20
"""Bytes of one string. Chat templates and licences stay below 100 KiB."""
ELEMENTS = 64 << 20
"""Elements of one array."""
ARRAY_DEPTH = 4
"""Arrays in arrays. The engine itself reads no nested ones; the format allows them."""
DIMENSIONS = 4
TENSOR_NAME = 63
"""Bytes: what fits the engine's fixed field."""
KEPT_ELEMENTS = 4096
"""Numeric arrays up to this length (one number per layer) are kept; longer ones are read when asked for."""
ALIGNMENT = 1 << 20
