"""Sizes in decimal units, as lists and progress bars show them."""

from __future__ import annotations

_UNITS = ("B", "KB", "MB", "GB", "TB")


def format_size(count: int) -> str:
    """`4.7 GB`: from ten on the whole part, cut off; below with one decimal, unless it is whole."""
    size, unit = 1, 0
    while count >= size * 1000 and unit < len(_UNITS) - 1:
        size *= 1000
        unit += 1
    if count >= 10 * size:
        number = str(count // size)
    elif count % size:
        number = f"{count / size:.1f}"
    else:
        number = str(count // size)
    return f"{number} {_UNITS[unit]}"
