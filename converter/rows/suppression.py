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

BYTES_AN_ID = 64
"""How much memory an ID takes at most: 16 bytes its hashes, 16 to 32 the table, 4 to 8 its start."""
HASHES = ("hash0", "hash1")
_SLOTS = 16  # of the table for an ID: of other IDs, one in 16 has to be looked for
_LEAST_BITS = 10
_FEWER_BITS = 4  # then there is one hash for each, about


class Suppression(NamedTuple):
    """A list of IDs: their sorted first hashes, the second ones, and a table that says which leading bits there are.

    `starts` says where the hashes with the same leading bits start, of which it takes fewer. `number` is the index of
    the ID in the line that they are compared with. `origins` are where the list is from.
    """

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    table: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.uint32]
    number: int
    origins: Sequence[Origin]

    @classmethod
    def of(cls, hashes: pl.DataFrame, number: int, origins: Sequence[Origin]) -> Suppression:
        """Return the list of IDs with these hashes (`HASHES`, UInt64), each once."""
        hashes = hashes.sort(*HASHES)
        first, second = (hashes[name].to_numpy() for name in HASHES)
        bits = max((_SLOTS * len(first)).bit_length(), _LEAST_BITS)
        table = np.zeros(1 << bits, np.bool_)
        table[first >> _shift(len(table))] = True
        edges = np.arange(1 << bits - _FEWER_BITS, dtype=np.uint64) << _shift(1 << bits - _FEWER_BITS)
        starts = np.searchsorted(first, edges).astype(np.uint32)
        return cls(first, second, table, starts, number, origins)

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
        rows = np.flatnonzero(self.table[first >> _shift(len(self.table))])
        places: npt.NDArray[np.int64] = self.starts[first[rows] >> _shift(len(self.starts))].astype(np.int64)
        found = []
        while len(rows):  # hashes with the same leading bits follow each other: there are one or two
            inside = places < len(self.first)
            rows, places = rows[inside], places[inside]
            there, wanted = self.first[places], first[rows]
            equal = (there == wanted) & (self.second[places] == second[rows])
            found.append(rows[equal])
            follows = (there <= wanted) & ~equal
            rows, places = rows[follows], places[follows] + 1
        return np.sort(np.concatenate(found)) if found else rows


def _shift(size: int) -> np.uint64:
    """Return by how many bits a hash is shifted to be an index in a table of a size, which is a power of two."""
    return np.uint64(65 - size.bit_length())


def hashes_of_ids(number: int = 0) -> list[pl.Expr]:
    """Return the hashes of an ID of the line (`HASHES`, UInt64). Processes of other versions give other ones."""
    return [pl.col(f"id{number}").hash(seed).alias(name) for seed, name in enumerate(HASHES)]
