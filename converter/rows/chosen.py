"""Which rows of an input are converted, by their row numbers: those that an earlier run rejected (`input.rejects_of`).

Workers count rows from the start of their block. Where a block begins in its input, the worker of the one before it
says; so rows are left out in whole columns, before anything else is done with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from converter.rows.batches import Numbered, numbered
from converter.sources.base import Piece
from converter.sources.malformed import RowNumbers
from converter.sources.origins.base import Origin


class Ranges(NamedTuple):
    """Ranges of row numbers of one input, from 1, in order: from `starts` to `ends`, which are not included.

    `found` says at which of the starts a row began. Workers set this, each at other places.
    """

    starts: RowNumbers
    ends: RowNumbers
    found: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, starts: RowNumbers, lengths: RowNumbers) -> Ranges:
        """Return ranges that have at least one number, and end where the next one begins."""
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], np.maximum(lengths[order], 1)
        following = np.append(starts[1:], np.iinfo(np.int64).max)
        return cls(starts, np.minimum(starts + lengths, following), np.zeros(len(starts), np.bool_))

    def contain(self, numbers: RowNumbers) -> npt.NDArray[np.bool_]:
        """Return which of the numbers, at which rows begin, are in a range."""
        at = np.searchsorted(self.starts, numbers, side="right") - 1
        is_inside = (at >= 0) & (numbers < self.ends[at])
        self.found[at[is_inside & (self.starts[at] == numbers)]] = True
        return is_inside


class Chosen:
    """The rows that are converted, of each input by its label."""

    def __init__(self, ranges: Mapping[str, Ranges]) -> None:
        self._ranges = ranges

    @property
    def missing(self) -> int:
        """At how many of the row numbers no row began, once all rows are read."""
        return sum(int((~each.found).sum()) for each in self._ranges.values())

    def among(self, block: Numbered, rows: RowNumbers) -> RowNumbers:
        """Return the indices of those that are converted, among rows with these numbers in a block."""
        kept = [np.empty(0, np.int64)]
        for index, part, shift in block.by_piece(rows):
            if ranges := self._ranges.get(block.pieces[index].origin.label):
                kept.append(part.start + np.flatnonzero(ranges.contain(rows[part] + shift)))
        return np.concatenate(kept)


class Place:
    """Where the block of a task begins. `before` is that of the task before it."""

    def __init__(self, before: Place | None) -> None:
        self._before = before
        self._end: Future[tuple[Origin | None, int]] = Future()

    def firsts_of(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the row number that each piece of the block begins with; waits for the blocks before it."""
        firsts, end = numbered(pieces, *(self._before._end.result() if self._before else (None, 1)))
        self._before = None  # else all of them would stay
        self._end.set_result(end)
        return firsts

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Pass what is raised inside on to those that wait for it."""
        try:
            yield
        except BaseException as error:
            if not self._end.done():
                self._end.set_exception(error)
            raise
