"""What workers pass on of blocks of the input: their rows, judged, and their lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import Text
from converter.ledger import Ledger
from converter.rows.earlier.keys import KeyedLines
from converter.rows.skipped import SkippedRows
from converter.sources.base import Piece
from converter.sources.malformed import MalformedRows, RowNumbers
from converter.sources.origins.base import Origin


class Numbered(NamedTuple):
    """Where the rows of a block are in the input.

    `pieces` are the parts of inputs that the block holds, and `firsts` the row number of the first row of each in its
    input. Row numbers of a block are counted from 0 at its start.
    """

    pieces: Sequence[Piece]
    firsts: Sequence[int] = ()

    @property
    def origin(self) -> Origin:
        """The first input."""
        return self.pieces[0].origin

    def by_piece(self, rows: RowNumbers) -> Iterator[tuple[int, slice, int]]:
        """Yield for each piece that has some of these rows: its index, the rows, and what to add to their numbers."""
        starts = [0, *itertools.accumulate(piece.numbers for piece in self.pieces[:-1])]
        edges = [*np.searchsorted(rows, starts).tolist(), len(rows)]
        for index, (start, end) in enumerate(itertools.pairwise(edges)):
            if start < end:
                yield index, slice(start, end), self.firsts[index] - starts[index]


def numbered(
    pieces: Sequence[Piece], origin: Origin | None, following: int
) -> tuple[list[int], tuple[Origin | None, int]]:
    """Return the row number that each piece begins with, after a row of `origin` that `following` is the next of.

    Returns also the last origin, and the number that follows.
    """
    firsts = []
    for piece in pieces:
        if piece.origin is not origin:
            origin, following = piece.origin, 1
        firsts.append(following)
        following += piece.numbers
    return firsts, (origin, following)


class Judged(NamedTuple):
    """Rows that are judged and not formatted yet: what stages see.

    `frame` is what `Records.judge` gives, and `rows` are the row numbers of its rows in the block. A row may stand for
    several of the input; then the column `rows` (UInt32) says for how many. `malformed` are the rows that cannot be
    parsed. `ledger` counts these, the rows read, and what a stage has counted of rows that are in no frame any more.
    `skipped` are the first of those that were skipped before.
    """

    block: Numbered
    frame: pl.DataFrame
    rows: RowNumbers
    malformed: MalformedRows
    ledger: Ledger
    skipped: Sequence[SkippedRows] = ()


class Converted(NamedTuple):
    """Rows of the input, converted.

    `texts` is the text of the lines written, for each set of files. `rejected` are the rows that break a rule, as
    `Records.described` returns them, and `rows` their row numbers in the block; `malformed` are the rows that cannot be
    parsed, and `skipped` the first ones that are skipped, where more examples are wanted. `seen` is what each stage
    that sees IDs has prepared of those of the rows written (`Stage.prepare`), and `keyed` are the lines with their
    keys, where they depend on earlier ones.
    """

    block: Numbered
    texts: Sequence[Sequence[Text]]
    rejected: pl.DataFrame
    rows: RowNumbers
    malformed: MalformedRows
    ledger: Ledger
    seen: Sequence[pl.DataFrame] = ()
    keyed: KeyedLines | None = None
    skipped: Sequence[SkippedRows] = ()

    def rejects(self) -> Iterator[tuple[Origin, RowNumbers, pl.DataFrame, MalformedRows]]:
        """Yield for each input its rejected rows, with their row numbers in it, and its malformed rows."""
        rejected = {index: (part, shift) for index, part, shift in self.block.by_piece(self.rows)}
        malformed = {index: (part, shift) for index, part, shift in self.block.by_piece(self.malformed.numbers)}
        nothing: tuple[slice, int] = (slice(0), 0)
        for index in sorted({*rejected, *malformed}):
            bad_part, bad_shift = malformed.get(index, nothing)
            bad = self.malformed.take(bad_part)
            bad = bad.moved(bad.numbers + bad_shift)
            part, shift = rejected.get(index, nothing)
            yield self.block.pieces[index].origin, self.rows[part] + shift, self.rejected[part], bad

    def skips(self) -> Iterator[tuple[Origin, SkippedRows]]:
        """Yield for each input the first of its rows that are skipped, by rule, with their row numbers in it."""
        for each in self.skipped:
            for index, part, shift in self.block.by_piece(each.rows):
                yield self.block.pieces[index].origin, each.at(part, shift)
