"""Whether one ID is on many of the lines: a default or a test user, most likely.

A sample of the lines is kept, whose size is bounded. Which lines are in it depends on their numbers alone: so the same
input gives the same answer, however it is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from converter.columns.buffers import Text
from converter.columns.pool import Bytes
from converter.columns.privacy import mask

LEAST_LINES = 1_000
"""Lines, of which there must be so many before an ID is on too many of them."""
MOST_OF_ONE = 0.01
"""The share of lines that one ID may be on."""
_SAMPLED = 1 << 14  # lines: the share of an ID on 1 % of them is then known to a tenth of that
_WIDTH = 96  # bytes of an ID that are compared
_STEP = 2_654_435_769  # the golden ratio: multiples of it, modulo 2^32, are spread evenly
_TAB, _ALL = 9, 1 << 32


class Frequent(NamedTuple):
    """An ID that is on many lines: masked, and on about which share of them."""

    masked: str
    share: float


class Frequency:
    """The IDs of a sample of the lines of one set of files. The ID of a line is after `leads` other fields."""

    def __init__(self, leads: int) -> None:
        self._leads = leads
        self._lines = 0
        self._limit = _ALL
        self._ids: Bytes = np.empty((0, _WIDTH), np.uint8)
        self._marks: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    def add(self, text: Text) -> None:
        """Take in the next lines."""
        count = len(text.ends)
        marks = (np.arange(self._lines, self._lines + count, dtype=np.uint64) * _STEP).astype(np.uint32)
        self._lines += count
        chosen = np.flatnonzero(marks < self._limit)
        while len(self._marks) + len(chosen) > _SAMPLED:
            self._limit //= 2
            kept, chosen = self._marks < self._limit, chosen[marks[chosen] < self._limit]
            self._ids, self._marks = self._ids[kept], self._marks[kept]
        if len(chosen):
            starts = np.where(chosen > 0, text.ends[chosen - 1], 0)
            self._ids = np.concatenate([self._ids, _first_fields(text, starts, self._leads)])
            self._marks = np.concatenate([self._marks, marks[chosen]])

    def sampled(self, most: int) -> Frequency:
        """Return the same with a smaller sample, of at most so many lines."""
        smaller = Frequency(self._leads)
        smaller._take(self, most)
        return smaller

    def merge(self, other: Frequency) -> None:
        """Take in the lines of another part of the set."""
        self._take(other, _SAMPLED)

    def _take(self, other: Frequency, most: int) -> None:
        self._lines += other._lines
        self._limit = min(self._limit, other._limit)
        ids, marks = np.concatenate([self._ids, other._ids]), np.concatenate([self._marks, other._marks])
        while np.count_nonzero(marks < self._limit) > most:
            self._limit //= 2
        self._ids, self._marks = ids[marks < self._limit], marks[marks < self._limit]

    def frequent(self) -> Iterator[Frequent]:
        """Yield the IDs that are on too many lines, the most frequent ones first."""
        if self._lines < LEAST_LINES:
            return
        texts, counts = np.unique(self._ids.view(f"S{_WIDTH}").reshape(-1), return_counts=True)
        shares = counts / counts.sum()
        for index in np.argsort(-shares, kind="stable"):
            if shares[index] <= MOST_OF_ONE:
                return
            id_ = texts[index].strip(b"\0").decode(errors="ignore")
            yield Frequent(pl.select(mask(pl.lit(id_))).item(), float(shares[index]))


def _first_fields(text: Text, starts: npt.NDArray[np.int64], leads: int) -> Bytes:
    """Return the field after `leads` others of lines, by where these start: a row of bytes each, NULs after it."""
    memory = text.buffers[0] if len(text.buffers) == 1 else np.concatenate(text.buffers)
    if starts[-1] + _WIDTH > len(memory):
        memory = np.concatenate([memory, np.zeros(_WIDTH, np.uint8)])
    lines = sliding_window_view(memory, _WIDTH)[starts]
    is_tab = lines == _TAB
    lines[is_tab | (np.cumsum(is_tab, axis=1, dtype=np.uint8) != leads)] = 0
    return lines
