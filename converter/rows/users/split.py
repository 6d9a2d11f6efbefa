"""Lines of users that are gathered by other processes than those that have made them.

A process that converts a share of the input splits its lines by the leading bits of their users' hashes. Another one
gathers all lines of some of these ranges. In between, lines know their rows by the number of the share and by the row
number in it, and no longer by blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from converter.kernel.calls import Loops
from converter.kernel.sink import Positions
from converter.rows.records import Records
from converter.rows.users.lines import Rows, UserLines
from converter.rows.users.partitions import LinePartitions
from converter.rows.users.taken import TakenLines
from converter.sources.malformed import RowNumbers
from converter.sources.origins.base import Origin
from converter.sources.row_origins import RowOrigin

RANGE_BITS = 10
"""Of a hash, by which lines are split."""
_ROW_BITS = np.uint64(40)
_ROW = np.uint64((1 << 40) - 1)
_BYTES = 1 << 23  # of lines together, unless a single one has more


class Share(NamedTuple):
    """Some lines of a set of files whose users' hashes begin with the bits of `prefix`."""

    prefix: int
    set: int
    lines: UserLines


class SplitLines(TakenLines):
    """Takes lines, and gives them split. `number_of` gives each input, or each share of one, its number."""

    def __init__(self, records: Records, loops: Loops | None, number_of: Callable[[Origin], int]) -> None:
        run, skipped = records.job.run, len(records.leads)
        super().__init__(
            [
                LinePartitions(
                    _BYTES, 0, run.memory, run.spill_dir, skipped=skipped, loops=loops, least_bits=RANGE_BITS
                )
                for _ in range(records.sets)
            ],
            loops,
        )
        self._number_of = number_of

    def split(self, pool: Executor) -> Iterator[Share]:
        """Yield all lines, once all blocks are added."""
        for number, partitions in enumerate(self._sets):
            for partition in partitions.partitions(pool):
                lines = partitions.take(partition)
                lines = lines._replace(at=self._by_number(lines.at))
                for each in _cut(lines):
                    yield Share(partition.prefix >> (partition.bits - RANGE_BITS), number, each)

    def _by_number(self, at: Rows) -> Rows:
        """Return where rows are, for other processes."""
        moved = np.zeros(len(at), np.uint64)
        for origin, indices, numbers in self._places.by_origin(at):
            moved[indices] = (np.uint64(self._number_of(origin)) << _ROW_BITS) + numbers.astype(np.uint64)
        return moved


class NumberedPlaces:
    """Where rows are by the numbers that `SplitLines` has given; the identity of each origin is its number."""

    def by_origin(self, at: Rows) -> Iterator[tuple[Origin, Positions, RowNumbers]]:
        """Yield for each number the indices of its rows among these, in order, and their row numbers in it."""
        order = np.argsort(at, kind="stable")
        numbers = (at[order] >> _ROW_BITS).astype(np.int64)
        rows = (at[order] & _ROW).astype(np.int64)
        edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            number = int(numbers[start])
            yield RowOrigin(f"input {number}", number, rereadable=False), order[start:end], rows[start:end]


def _cut(lines: UserLines) -> Iterator[UserLines]:
    """Yield lines as many at a time as are not too large together."""
    start, count = 0, len(lines.ends)
    while start < count:
        done = int(lines.ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(lines.ends, done + _BYTES, side="right")), start + 1)
        yield lines.between(start, end)
        start = end
