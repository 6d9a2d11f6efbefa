"""How many rows an input has at most, as far as a small sample of its bytes shows.

Rows of plain texts are counted by their newlines: all of a small input, windows all over a large one. Parquet and
Arrow files say how many rows they have. Of other inputs, such as compressed texts, only the sizes are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from converter.sources.base import Source
from converter.sources.streams import Ranges
from converter.sources.texts import TextSource

_WINDOW = 1 << 16  # bytes
_MOST_WINDOWS = 64
_SAFETY = 2  # times as many rows as windows show: rows elsewhere may be shorter
_NEWLINE = 10


class RowEstimate(NamedTuple):
    """How many rows some inputs have at most, and the labels of the others."""

    rows: int
    others: frozenset[str]


def estimate_rows(sources: Sequence[Source]) -> RowEstimate:
    """Estimate the rows of the inputs that can be read anywhere. Raises `InputError` where one cannot be read."""
    texts = [source for source in sources if isinstance(source, TextSource) and source.body.size is not None]
    counts = {source.origin.label: source.rows for source in sources}
    known = {label: count for label, count in counts.items() if count is not None}
    others = set(counts) - set(known) - {source.origin.label for source in texts}
    return RowEstimate(_rows_of_texts(texts) + sum(known.values()), frozenset(others))


def _rows_of_texts(sources: Sequence[TextSource]) -> int:
    """Return how many rows plain texts have at most: each but the last one of a text ends in a newline."""
    sizes = [source.body.size or 0 for source in sources]
    ends, size = np.cumsum(sizes), sum(sizes)
    if not size:
        return 0
    if size <= _MOST_WINDOWS * _WINDOW and len(sources) <= _MOST_WINDOWS:
        return sum(_newlines(source, 0, each) for source, each in zip(sources, sizes, strict=True)) + len(sources)
    read = newlines = 0
    for window in range(_MOST_WINDOWS):
        place = window * size // _MOST_WINDOWS
        index = int(np.searchsorted(ends, place, side="right"))
        left = int(ends[index]) - place
        count = min(_WINDOW, left)
        newlines += _newlines(sources[index], sizes[index] - left, count)
        read += count
    return _SAFETY * newlines * size // read + len(sources)


def _newlines(source: TextSource, start: int, size: int) -> int:
    """Count the newlines in a part of a text."""
    memory = np.empty(size, np.uint8)
    count = Ranges(source.body.origin).read(memory, (source.body.start or 0) + start)
    return int(np.count_nonzero(memory[:count] == _NEWLINE))
