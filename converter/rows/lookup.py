"""Pairs of hashes, 128 bits together, looked for among sorted ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
NONE = -1
"""The place of a pair that is not there."""


def find_pairs(there: tuple[Hashes, Hashes], wanted: tuple[Hashes, Hashes], places: Places) -> Places:
    """Return where pairs are that are wanted, `NONE` for those that are not `there`.

    Those that are there are sorted by their first hashes. Each pair is looked for at its place and after it, up to a
    greater first hash: nearly always, that is one step, or two.
    """
    found = np.full(len(places), NONE, np.int64)
    rows = np.arange(len(places))
    while len(rows):
        inside = places < len(there[0])
        rows, places = rows[inside], places[inside]
        first, second = there[0][places], there[1][places]
        equal = (first == wanted[0][rows]) & (second == wanted[1][rows])
        found[rows[equal]] = places[equal]
        follows = (first <= wanted[0][rows]) & ~equal
        rows, places = rows[follows], places[follows] + 1
    return found
