"""What workers make of blocks of the input: lines, by the kernel where it can, else by the query of `records`."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import FEW_ROWS, Text, series_of, texts_of
from converter.errors import InputError
from converter.kernel.calls import Loops
from converter.kernel.sink import Positions
from converter.ledger import Ledger
from converter.rows.batches import Converted, Judged, Numbered
from converter.rows.chosen import Place
from converter.rows.earlier.stage import LineLimits
from converter.rows.fast_path import FastPath, Made
from converter.rows.records import Records
from converter.rows.selection import ValueInRowError
from converter.rows.skipped import MOST_SKIPPED, SkippedRows
from converter.rows.stages.base import Stage
from converter.rows.users.lines import RowsOfLines
from converter.rows.users.taken import TakenLines
from converter.sources.base import Source, Task, rows_lost
from converter.sources.engine import collect
from converter.sources.malformed import MalformedRows, RowNumbers
from converter.spec import rules


class Parsed(NamedTuple):
    """A block after the kernel: what it `made`, if it can, and the rows that are `left` to judge.

    `left` has the columns of the job, and `numbers` are the row numbers of its rows in the block. `read` counts all
    rows of the block, malformed ones as well, and `skipped` those that are not selected; `broken` values hold newlines.
    `number` is that of the block; where lines are traced, `made_of` has for each set of files the rows of the lines
    that are made. `first_skipped` are the first rows that are not selected, where more examples are wanted.
    """

    block: Numbered
    made: Made | None
    left: pl.DataFrame
    numbers: RowNumbers
    read: int
    malformed: MalformedRows
    source: Source
    skipped: Counter[str]
    broken: int
    number: int
    made_of: Sequence[RowsOfLines] = ()
    first_skipped: Sequence[SkippedRows] = ()

    def is_like(self, other: Parsed) -> bool:
        """Whether rows of both can be judged together."""
        if self.source is other.source:
            return True
        types = [[*map(each.source.schema.get, each.left.columns)] for each in (self, other)]
        return self.left.schema == other.left.schema and types[0] == types[1]


class FailedBlockError(Exception):
    """A row of a block fails. The cause is an error without the place, which is known where rows are counted."""

    def __init__(self, block: Numbered, row: int, unit: str) -> None:
        super().__init__(unit)
        self.block, self.row, self.unit = block, row, unit

    def located(self, firsts: Sequence[int]) -> InputError:
        """Return the error with the place of the row, where the pieces of the block begin with these row numbers."""
        ((index, _, shift),) = Numbered(self.block.pieces, firsts).by_piece(np.array([self.row]))
        assert isinstance(self.__cause__, ValueInRowError)  # noqa: S101 - for the type checker: see `Converter.parse`
        return self.__cause__.at(self.block.pieces[index].origin.label, f"{self.unit} {self.row + shift:,}")


class Converter:
    """Converts blocks. Its methods run in workers, several at once.

    `seeing` are the stages that see IDs. With `judges_only`, all rows are left to judge. `gathering`, where there is
    one, takes the lines; for `limits`, lines get keys. The first rows that are skipped are given, by `wanted` rules.
    """

    def __init__(
        self,
        records: Records,
        loops: Loops | None,
        seeing: Sequence[Stage],
        gathering: TakenLines | None = None,
        limits: LineLimits | None = None,
        *,
        wanted: Container[str] = (),
        judges_only: bool,
    ) -> None:
        self._records = records
        self._seeing = seeing
        self._gathering = gathering
        self._limits = limits
        self._wanted = wanted
        self._fast_path = FastPath(records, loops) if loops and records.compiled and not judges_only else None

    def parse(self, task: Task, number: int = 0, place: Place | None = None) -> Parsed:
        """Parse the block with a number, and make the lines of its regular rows.

        `place` is where it begins, where that is needed. Raises `InputError`, and `LedgerError`.
        """
        with place.failing() if place else contextlib.nullcontext():
            return self._parse(task, number, place)

    def _parse(self, task: Task, number: int, place: Place | None) -> Parsed:
        fast_path = self._fast_path
        block = task.parse(fast_path.form_of(task.source) if fast_path else None)
        where, left, numbers = Numbered(block.pieces), block.rest.frame(), block.numbers
        counted = left.height + (len(block.lines.ends) if block.lines else 0)
        if counted != block.rows:
            raise rows_lost(where.origin, block.rows, counted)
        malformed, skipped, firsts = block.malformed, Counter[str](), list[SkippedRows]()
        if place and (chosen := self._records.chosen):
            where = Numbered(block.pieces, place.firsts_of(block.pieces))
            rows, bad = chosen.among(where, numbers), chosen.among(where, malformed.numbers)
            skipped[rules.NOT_REJECTED.name] = len(numbers) - len(rows) + len(malformed) - len(bad)
            if rules.NOT_REJECTED.name in self._wanted:
                firsts += self._not_chosen(left, numbers, rows, task.source)
                firsts += self._not_chosen(None, malformed.numbers, bad, task.source)
            left, numbers, malformed = _taken(left, rows), numbers[rows], malformed.take(bad)
        if self._records.selects and left.height:
            try:
                left, rows, not_selected, first = self._records.selected(left, task.source, self._wanted)
            except ValueInRowError as error:
                raise FailedBlockError(where, int(numbers[error.row]), task.source.unit) from error
            for rule, (some, frame) in first.items():
                firsts.append(SkippedRows.of(rule, numbers[some], self._records.shown_ids(frame, task.source)))
            numbers, skipped = numbers[rows], skipped + not_selected
        made = fast_path.made(block.lines) if fast_path and block.lines else None
        numbered = block.lines.numbers if block.lines else None
        made_of = [RowsOfLines(numbered)] if numbered is not None else []
        if fast_path and not made and left.height:
            texts = self._records.texts(left, task.source)
            frame = _collect(where, self._records.fast_texts(texts), left.height)
            made, rows = fast_path.of_texts(frame)
            if self._records.traces_lines:
                made_of = [RowsOfLines.of(numbers, frame, each) for each in made.rows]
            left, numbers = _taken(left, rows), numbers[rows]
        malformed = malformed.detached(with_texts=self._records.job.report.show_rows)
        read = block.rows + len(block.malformed)
        return Parsed(
            where, made, left, numbers, read, malformed, task.source, +skipped, block.broken, number, made_of, firsts
        )

    def _not_chosen(
        self, frame: pl.DataFrame | None, numbers: RowNumbers, chosen: Positions, source: Source
    ) -> Iterator[SkippedRows]:
        """Yield the first rows that are not chosen; rows that could not be parsed are in no frame."""
        some = np.setdiff1d(np.arange(len(numbers)), chosen, assume_unique=True)[:MOST_SKIPPED]
        if len(some):
            ids = None if frame is None else self._records.shown_ids(frame[some], source)
            yield SkippedRows.of(rules.NOT_REJECTED.name, numbers[some], ids)

    def convert(self, blocks: Sequence[Parsed]) -> list[Converted]:
        """Judge and format the rows that are left of blocks that are alike, and put their lines among the others."""
        edges = [0, *itertools.accumulate(block.left.height for block in blocks)]
        left = pl.concat([block.left for block in blocks]) if len(blocks) > 1 else blocks[0].left
        frame = self._query(self._records.lines, blocks[0], left)
        frames = [frame[start:end] for start, end in itertools.pairwise(edges)]
        return [self._merged(*each) for each in zip(blocks, frames, strict=True)]

    def judge(self, block: Parsed) -> Judged:
        """Judge the rows of a block."""
        frame = self._query(self._records.judge, block, block.left)
        return Judged(block.block, frame, block.numbers, block.malformed, _ledger_of(block), block.first_skipped)

    def format(self, batch: Judged) -> Converted:
        """Format rows that were judged, and have gone through stages."""
        frame = batch.frame.rechunk()
        if frame.height:
            frame = _collect(batch.block, self._records.format(frame.lazy()), frame.height)
        else:
            frame = self._records.no_lines
        return self._converted(batch, frame, _texts_of(frame, self._records.written(frame)))

    def _query(self, query: Callable[[pl.LazyFrame], pl.LazyFrame], block: Parsed, left: pl.DataFrame) -> pl.DataFrame:
        if not left.height:
            return self._records.no_lines
        texts = self._records.texts(left.rechunk(), block.source)
        return _collect(block.block, query(texts), left.height)

    def _merged(self, block: Parsed, frame: pl.DataFrame) -> Converted:
        """Put the lines of rows that were left among those that the kernel has made."""
        batch = Judged(block.block, frame, block.numbers, block.malformed, _ledger_of(block), block.first_skipped)
        written = self._records.written(frame)
        texts = _texts_of(frame, written)
        made, fast_path = block.made, self._fast_path
        ids = None
        if made and fast_path:
            each = zip(made.lines, texts, made.positions, written, strict=True)
            texts = [fast_path.text_of(lines, others, at[rows.to_numpy()]) for lines, others, at, rows in each]
            batch = batch._replace(ledger=batch.ledger + made.ledger)
            ids = fast_path.ids_of(texts) if self._seeing else None
        converted = self._converted(batch, frame, texts, ids)
        rows = [*_rows_of(block, frame, written)] if self._records.traces_lines else []
        if self._limits:
            keyed = self._limits.keyed(texts, rows)
            converted = converted._replace(texts=[lines.as_texts() for lines in keyed.lines], keyed=keyed)
        if not self._gathering:
            return converted
        self._gathering.take(block.number, texts, rows)
        # Lines and their signals are counted once they are gathered; what was changed or left out before has been.
        ledger = replace(converted.ledger, written=0, lines=0, signals_written=0)
        return converted._replace(texts=[[] for _ in texts], ledger=ledger)

    def _converted(
        self,
        batch: Judged,
        frame: pl.DataFrame,
        texts: Sequence[Sequence[Text]],
        ids: pl.DataFrame | None = None,
    ) -> Converted:
        """Return what was made of a batch.

        `frame` is what `Records.lines` gave for it, beside lines that the kernel made; `ids` are those of all lines, by
        default those of the frame.
        """
        lines = written = sum(len(text.ends) for each in texts for text in each)
        if "rows" in frame.columns:
            written = int(frame["rows"].filter(frame["reason"].is_null()).sum())
        ledger = batch.ledger + Ledger(written=written, lines=lines)
        rejected, rows, skipped = self._records.none_described, batch.rows[:0], batch.skipped
        if frame.height:  # in most blocks, no row is left to judge
            are_rejected = self._records.are_rejected(frame)
            rejected, rows = self._records.described(frame), batch.rows[are_rejected]
            rejected = rejected.filter(series_of(are_rejected)).rechunk() if len(rows) else rejected.clear()
            ledger += self._records.tally(frame)
            skipped = [*skipped, *self._records.first_skipped(frame, batch.rows, self._wanted)]
        if self._seeing and ids is None:
            ids = self._records.accepted(frame)
        seen = [stage.prepare(ids) for stage in self._seeing] if ids is not None else []
        return Converted(batch.block, texts, rejected, rows, batch.malformed, ledger, seen, skipped=skipped)


def _rows_of(block: Parsed, frame: pl.DataFrame, written: Sequence[pl.Series]) -> Iterator[RowsOfLines]:
    """Yield the rows of the lines of each set of files; `written` are those of the frame, which were left."""
    for number, each in enumerate(written):
        rows = each.to_numpy()
        others = RowsOfLines.of(block.numbers, frame, rows)
        made = block.made
        yield block.made_of[number].with_others(others, made.positions[number][rows]) if made else others


def _texts_of(frame: pl.DataFrame, written: Sequence[pl.Series]) -> list[list[Text]]:
    """Return the lines of each set of files, in which these rows are `written`."""
    return [texts_of(frame["line"].filter(rows)) for rows in written]


def _collect(block: Numbered, query: pl.LazyFrame, rows: int) -> pl.DataFrame:
    """Run a query that has to give so many rows. Raises `LedgerError`."""
    frame = collect(block.origin, query, rows)
    if frame.height != rows:
        raise rows_lost(block.origin, rows, frame.height)
    return frame.rechunk()


def _ledger_of(block: Parsed) -> Ledger:
    """Count the rows of a block that were read, which of them cannot be parsed, and which are not selected."""
    ledger = Ledger(read=block.read, skipped=block.skipped, line_breaks=block.broken)
    ledger.rejected += block.malformed.counts()
    return ledger


def _taken(frame: pl.DataFrame, rows: Positions) -> pl.DataFrame:
    """Return some rows of a frame; a few are copied, so that their texts do not keep the memory of all of them."""
    taken = frame[rows]
    if taken.height >= FEW_ROWS:
        return taken
    texts = (each for each in taken if each.dtype == pl.String)
    return taken.with_columns(pl.Series(each.name, each.to_list(), pl.String) for each in texts)
