"""Rows whose user ID is in a list, such as of users who have opted out (`input.suppress`).

Two hashes stand for an ID, 128 bits together: that an ID is taken for another one of a list of a billion happens with a
probability of 1e-21 for a billion rows. They are sorted by the first one; most IDs that are not in the list are
recognized by a table of leading bits, which stays in the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.rows.selection import Selected
from converter.sources.origins.base import Origin
from converter.spec.rules import SUPPRESSED

BYTES_AN_ID = 32
"""How much memory an ID takes: its hashes, and 16 bytes of the table."""
HASHES = ("hash0", "hash1")
_SLOTS = 16  # of the table for an ID: of other IDs, one in 16 has to be looked for
_LEAST_BITS = 10


class Suppression(NamedTuple):
    """A list of IDs: their sorted first hashes, the second ones, and a table that says which leading bits there are.

    `number` is the index of the ID in the line that they are compared with. `origins` are where the list is from.
    """

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    table: npt.NDArray[np.bool_]
    number: int
    origins: Sequence[Origin]

    @classmethod
    def of(cls, hashes: pl.DataFrame, number: int, origins: Sequence[Origin]) -> Suppression:
        """Return the list of IDs with these hashes (`HASHES`, UInt64), each once."""
        hashes = hashes.sort(*HASHES)
        first, second = (hashes[name].to_numpy() for name in HASHES)
        bits = max((_SLOTS * len(first)).bit_length(), _LEAST_BITS)
        table = np.zeros(1 << bits, np.bool_)
        table[first >> np.uint64(64 - bits)] = True
        return cls(first, second, table, number, origins)

    def hashes(self, ids: pl.LazyFrame) -> pl.LazyFrame:
        """Select the hashes of IDs (`id0` …)."""
        return ids.select(hashes_of_ids(self.number))

    def apply(self, selected: Selected, hashes: pl.DataFrame) -> Selected:
        """Leave out the rows whose IDs, with these hashes, are in the list."""
        found = self.contains(*(hashes[name].to_numpy() for name in HASHES))
        if not len(found):
            return selected
        kept = np.ones(len(selected.rows), np.bool_)
        kept[found] = False
        skipped = selected.skipped + Counter({SUPPRESSED.name: len(found)})
        return Selected(selected.frame.filter(pl.Series(kept)), selected.rows[kept], skipped)

    def contains(self, first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the indices of IDs that are in the list."""
        shift = np.uint64(65 - len(self.table).bit_length())
        rows = np.flatnonzero(self.table[first >> shift])
        places = np.searchsorted(self.first, first[rows])
        found = []
        while len(rows):  # IDs with the same first hash follow each other; there are hardly ever two
            inside = places < len(self.first)
            rows, places = rows[inside], places[inside]
            same = self.first[places] == first[rows]
            rows, places = rows[same], places[same]
            equal = self.second[places] == second[rows]
            found.append(rows[equal])
            rows, places = rows[~equal], places[~equal] + 1
        return np.sort(np.concatenate(found)) if found else rows


def hashes_of_ids(number: int = 0) -> list[pl.Expr]:
    """Return the hashes of an ID of the line (`HASHES`, UInt64). Processes of other versions give other ones."""
    return [pl.col(f"id{number}").hash(seed).alias(name) for seed, name in enumerate(HASHES)]
