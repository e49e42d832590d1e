"""Tables as scripts expect them: columns in order, four spaces between, a header in capitals, no rulers."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "    "


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """All lines, each ended. Every cell is padded to its column; the header's last one is followed by one
    space, each data line's by a whole gap.
    """
    widths = [max(cells_wide(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    lines = [GAP.join(_padded(titles, widths)) + " "]
    lines += [GAP.join(_padded(row, widths)) + GAP for row in rows]
    return "\n".join(lines) + "\n"


def format_rows(rows: Sequence[Sequence[str]], indent: str) -> str:
    """Rows without a header and of any number of cells, indented: the sections of `show`."""
    columns = max((len(row) for row in rows), default=0)
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(cells_wide(row[column]) for row in full) for column in range(columns)]
    return "".join(indent + GAP.join(_padded(row, widths)) + GAP + "\n" for row in full)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell + " " * (width - cells_wide(cell)) for cell, width in zip(cells, widths, strict=True)]


def cells_wide(text: str) -> int:
    """How many columns of a terminal `text` takes; it has no control characters."""
    if text.isascii():
        return len(text)
    import unicodedata  # late: a table of plain ASCII, the rule, does not need the database

    wide = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
            continue
        wide += 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
    return wide
