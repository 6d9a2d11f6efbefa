"""Rows whose user ID is in a list, such as of users who have opted out (`input.suppress`).

Two hashes stand for an ID, 128 bits together: that an ID is taken for another one of a list of a billion happens with a
probability of 1e-21 for a billion rows. They are sorted by the first one, in memory or, where they do not fit, in a
file. Most IDs that are not in the list are recognized by a table in memory, of a bit for each text of leading bits.
Others are looked for among the hashes with the same leading bits, of which it takes fewer: one or two in memory, a
page in a file.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.rows.lookup import NONE, Hashes, Places, find_pairs
from converter.rows.selection import Selected
from converter.rows.skipped import MOST_SKIPPED
from converter.rows.spill_file import SpillFile
from converter.sources.origins.base import Origin
from converter.spec.rules import SUPPRESSED

Pairs = npt.NDArray[np.uint64]
"""The hashes of IDs, of shape (number of IDs, 2)."""

BYTES_AN_ID = 24
"""How much memory an ID takes at most: 16 bytes its hashes, up to 4 the table, up to 4 the start of its bucket."""
HASHES = ("hash0", "hash1")
_PAIR = 16  # bytes
_SLOTS = 16  # of the table for an ID: of other IDs, at most one in 16 has to be looked for
_LEAST_BITS = 10
_PAGE = 256  # hashes with the same leading bits, at most about: 4 KiB of a file
_READ_PAGES = 2048  # at once
_AT_ONCE = 1 << 20  # hashes that are entered


@dataclass(frozen=True)
class Held:
    """The hashes of a list, each pair once, sorted by the first ones.

    They are in memory, or in a file, one after the other; `memory` is how many bytes the table may take.
    """

    where: Pairs | SpillFile
    memory: int

    def __len__(self) -> int:
        return self.where.size // (_PAIR if isinstance(self.where, SpillFile) else 2)

    def parts(self) -> Iterator[Pairs]:
        """Yield all of them in order, in parts."""
        for start in range(0, len(self), _AT_ONCE):
            yield self.read(start, min(start + _AT_ONCE, len(self)))

    def read(self, start: int, end: int) -> Pairs:
        """Return some of them."""
        if isinstance(self.where, SpillFile):
            return pairs_of(self.where.read(start * _PAIR, (end - start) * _PAIR))
        return self.where[start:end]


class Suppression:
    """A list of IDs.

    `number` is the index of the ID in the line that they are compared with. `origins` are where the list is from.
    """

    def __init__(self, held: Held, number: int, origins: Sequence[Origin]) -> None:
        self.number = number
        self.origins = origins
        self.held = held
        in_file = isinstance(held.where, SpillFile)  # then there may be more than 2**32
        if isinstance(held.where, SpillFile):
            weakref.finalize(self, held.where.close)
        bits = max((_SLOTS * len(held)).bit_length(), _LEAST_BITS)
        bits = min(bits, (8 * max(held.memory, 1 << _LEAST_BITS)).bit_length() - 1)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits - 3, np.uint8)
        bits = max((len(held) // (_PAGE if in_file else 2)).bit_length(), 1)
        self._bucket_shift = np.uint64(64 - bits)
        self._starts: npt.NDArray[np.int64 | np.uint32] = np.zeros((1 << bits) + 1, np.int64 if in_file else np.uint32)
        """Where the hashes of each bucket start: those with the same leading bits."""
        for pairs in held.parts():
            self._enter(np.ascontiguousarray(pairs[:, 0]))
        np.cumsum(self._starts, dtype=self._starts.dtype, out=self._starts)

    def __len__(self) -> int:
        return len(self.held)

    def _enter(self, first: Hashes) -> None:
        """Enter the next hashes in the table, and count those of each bucket."""
        slots = (first >> self._shift).astype(np.int64)
        byte = int(slots[0]) >> 3
        marked = np.zeros((int(slots[-1]) >> 3) + 1 - byte << 3, np.bool_)
        marked[slots - (byte << 3)] = True
        self._table[byte : byte + len(marked) // 8] |= np.packbits(marked, bitorder="little")
        buckets = (first >> self._bucket_shift).astype(np.int64)
        counts = np.bincount(buckets - buckets[0])
        bucket = int(buckets[0]) + 1
        part = self._starts[bucket : bucket + len(counts)]
        np.add(part, counts, out=part, casting="unsafe")

    def hashes(self, ids: pl.LazyFrame) -> pl.LazyFrame:
        """Select the hashes of IDs (`id0` …)."""
        return ids.select(hashes_of_ids(self.number))

    def apply(self, selected: Selected, hashes: pl.DataFrame, wanted: Container[str] = ()) -> Selected:
        """Leave out the rows whose IDs, with these hashes, are in the list. Raises `DestinationError` of its file.

        Of the first of them, where these are `wanted`, only the indices are given.
        """
        found = self.contains(*(hashes[name].to_numpy() for name in HASHES))
        if not len(found):
            return selected
        kept = np.ones(len(selected.rows), np.bool_)
        kept[found] = False
        skipped = selected.skipped + Counter({SUPPRESSED.name: len(found)})
        firsts = dict(selected.firsts)
        if SUPPRESSED.name in wanted:
            firsts[SUPPRESSED.name] = selected.rows[found[:MOST_SKIPPED]], pl.DataFrame()
        return Selected(selected.frame.filter(pl.Series(kept)), selected.rows[kept], skipped, firsts)

    def contains(self, first: Hashes, second: Hashes) -> Places:
        """Return the indices of IDs that are in the list, in order."""
        slots = (first >> self._shift).astype(np.int64)
        rows = np.flatnonzero((self._table[slots >> 3] >> (slots & 7).astype(np.uint8)) & 1)
        if isinstance(self.held.where, SpillFile):
            rows = rows[np.argsort(first[rows])]
            found = [_found(first, second, *each) for each in self._read(first, rows)]
        else:
            buckets = first[rows] >> self._bucket_shift
            found = [_found(first, second, self.held.where, rows, self._starts[buckets].astype(np.int64))]
        return np.sort(np.concatenate(found)) if found else rows

    def _read(self, first: Hashes, rows: Places) -> Iterator[tuple[Pairs, Places, Places]]:
        """Yield the hashes of the buckets of some rows, sorted by their hashes; the rows; and where to look for each.

        It reads the buckets that rows are in alone, those that follow each other at once.
        """
        buckets, first_rows = np.unique(first[rows] >> self._bucket_shift, return_index=True)
        edges = np.append(first_rows, len(rows))
        for start in range(0, len(buckets), _READ_PAGES):
            some = buckets[start : start + _READ_PAGES].astype(np.int64)
            runs = np.split(some, np.flatnonzero(np.diff(some) > 1) + 1)
            pairs = np.concatenate(
                [self.held.read(int(self._starts[run[0]]), int(self._starts[run[-1] + 1])) for run in runs]
            )
            of_some = rows[edges[start] : edges[start + len(some)]]
            yield pairs, of_some, np.searchsorted(np.ascontiguousarray(pairs[:, 0]), first[of_some])


def _found(first: Hashes, second: Hashes, pairs: Pairs, rows: Places, places: Places) -> Places:
    """Return those of the `rows` whose hashes are among the pairs, at their `places` or after these."""
    found = find_pairs((pairs[:, 0], pairs[:, 1]), (first[rows], second[rows]), places)
    kept: Places = rows[found != NONE]
    return kept


def hashes_of_ids(number: int = 0) -> list[pl.Expr]:
    """Return the hashes of an ID of the line (`HASHES`, UInt64). Processes of other versions give other ones."""
    return [pl.col(f"id{number}").hash(seed).alias(name) for seed, name in enumerate(HASHES)]


def pairs_of(data: bytes | memoryview) -> Pairs:
    """Return the hashes that are in bytes one after the other."""
    return np.frombuffer(data, np.uint64).reshape(-1, 2)
