"""The lines of users on their way from workers into partitions, with where their rows are in the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

import numpy as np

from converter.columns.buffers import Text
from converter.kernel.calls import Loops
from converter.kernel.sink import Positions
from converter.rows.batches import Converted, Numbered
from converter.rows.users.lines import Rows, RowsOfLines, UserLines
from converter.rows.users.partitions import LinePartitions
from converter.sources.malformed import RowNumbers
from converter.sources.origins.base import Origin

_BLOCK_BITS = np.uint64(32)
_IN_BLOCK = np.uint64((1 << 32) - 1)


class WherePlaced(Protocol):
    """Knows where rows are in the input."""

    def by_origin(self, at: Rows) -> Iterator[tuple[Origin, Positions, RowNumbers]]:
        """Yield for each input the indices of its rows among these, in order, and their row numbers in it."""
        ...


class Places:
    """Where rows are in the input, once their blocks are numbered in order."""

    def __init__(self) -> None:
        self._blocks = 0
        self._origins: list[Origin] = []
        self._starts: list[int] = []
        self._of_origin: list[int] = []
        self._shifts: list[int] = []

    def add(self, block: Numbered) -> None:
        """Add the next block."""
        start = 0
        for piece, first in zip(block.pieces, block.firsts, strict=True):
            if not self._origins or self._origins[-1] is not piece.origin:
                self._origins.append(piece.origin)
            self._starts.append((self._blocks << int(_BLOCK_BITS)) + start)
            self._of_origin.append(len(self._origins) - 1)
            self._shifts.append(first - start)
            start += piece.numbers
        self._blocks += 1

    @staticmethod
    def at(block: int, numbers: RowNumbers) -> Rows:
        """Return where rows are by their numbers in a block, and its number."""
        return (np.uint64(block) << _BLOCK_BITS) + numbers.astype(np.uint64)

    def by_origin(self, at: Rows) -> Iterator[tuple[Origin, Positions, RowNumbers]]:
        """Yield for each input the indices of its rows among these, in order, and their row numbers in it."""
        if not len(at):
            return
        order = np.argsort(at, kind="stable")
        pieces = np.searchsorted(np.array(self._starts, np.uint64), at[order], side="right") - 1
        origins = np.array(self._of_origin)[pieces]
        numbers = (at[order] & _IN_BLOCK).astype(np.int64) + np.array(self._shifts, np.int64)[pieces]
        edges = np.flatnonzero(np.diff(origins, prepend=-1, append=-1))
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            yield self._origins[int(origins[start])], order[start:end], numbers[start:end]


class TakenLines:
    """Takes the lines of a job's users, partitioned: workers call `take` with the lines of blocks, at the same time.

    `add` says, in order, which rows each block has. There are `sets` of partitions.
    """

    def __init__(self, sets: Sequence[LinePartitions], loops: Loops | None) -> None:
        self._sets = sets
        self._loops = loops
        self._places = Places()

    def close(self) -> None:
        """Release memory and disk."""
        for each in self._sets:
            each.close()

    def take(self, block: int, texts: Sequence[Sequence[Text]], rows: Sequence[RowsOfLines]) -> None:
        """Take in the lines of a block, for each set of files, with their rows."""
        for number, (of_set, each) in enumerate(zip(texts, rows, strict=True)):
            done = 0
            for text in of_set:
                memory = text.buffers[0] if len(text.buffers) == 1 else np.concatenate(text.buffers)
                part = slice(done, done + len(text.ends))
                at, ranks = Places.at(block, each.numbers[part]), None if each.ranks is None else each.ranks[part]
                self.take_lines(number, UserLines(memory, text.ends, at, ranks))
                done += len(text.ends)

    def take_lines(self, number: int, lines: UserLines) -> None:
        """Take in lines of the set with a number."""
        self._sets[number].add(lines)

    def add(self, block: Numbered) -> None:
        """Say which rows the next block has."""
        self._places.add(block)

    def lacks_lines(self) -> bool:
        """Return whether all blocks have to come once more, since lines were omitted that are needed."""
        return False

    def finish(self, pool: Executor) -> Iterator[Future[list[Converted]]]:
        """Yield the calls that make of the lines what is written, in order: none where they go elsewhere."""
        del pool
        yield from ()
