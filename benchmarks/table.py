"""Plain tables for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns: the first to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    aligned = []
    for first, *others in (head, *rows):
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        aligned.append("  ".join([first.ljust(widths[0]), *right]))
    return "\n".join(aligned)


def spread(values: Sequence[float], unit: float = 1, digits: int = 2) -> str:
    """Return the median, and in brackets the least and the most where there are several values."""
    middle = f"{statistics.median(values) / unit:,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values) / unit:,.{digits}f}-{max(values) / unit:,.{digits}f}]"
