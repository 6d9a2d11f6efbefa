"""Converts sources to lines: in a few workers, in order, with bounded memory.

1. A source gives tasks. A worker runs each: it parses a block of the input and converts its rows.
2. Rows are formatted by compiled loops (`fast_path`).
3. Irregular rows, and all rows where there are no loops, go through the query of `records`.
4. The rows that come out are counted against the rows that the source counted in the input, so that no row is lost
   unnoticed.

Frames are in one chunk before expressions see them: Polars 2.1 panics where it formats a column with an empty chunk.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import polars as pl

from converter import kernel
from converter.columns.buffers import Text, texts_of
from converter.kernel.calls import Lines, Loops
from converter.ledger import Ledger
from converter.rows.counters import tally_changed_ids
from converter.rows.fast_path import FastPath, counts_of
from converter.rows.records import Records
from converter.sources import Block, MalformedRow, Origin, RowNumbers, Source, rows_lost, tasks_of
from converter.sources.base import Budget, Task
from converter.sources.engine import collect

_MOST_WORKERS = 8


class Converted(NamedTuple):
    """A block of the input, converted.

    `texts` is the text of the lines written, for each set of files. `rejected` are the rows that break a rule, as
    `Records.lines` returns them, and `rows` their row numbers in the input; `malformed` are the rows that cannot be
    parsed. `position` is how many bytes of the input are read. `accepted` is what `Records.accepted` returns for the
    rows written, if there are stages.
    """

    origin: Origin
    texts: Sequence[Sequence[Text]]
    rejected: pl.DataFrame
    rows: RowNumbers
    malformed: Sequence[MalformedRow]
    ledger: Ledger
    position: int
    accepted: pl.DataFrame


def convert_all(records: Records, sources: Sequence[Source], threads: int) -> Generator[Converted]:
    """Convert the sources with as many `threads`, and yield their blocks in order.

    Raises `InputError` where an input is damaged and `LedgerError` where rows are lost. Closing the iterator stops the
    workers.
    """
    # One more than there are threads, so that Polars has work while a result is used.
    workers = min(threads, _MOST_WORKERS) + 1
    budget = Budget(workers - 1, records.job.run.memory)
    loops = kernel.load()
    with ThreadPoolExecutor(workers, thread_name_prefix="convert") as pool:
        try:
            converter = _Converter(records, loops)
            with contextlib.closing(tasks_of(sources, records.columns, loops, budget)) as tasks:
                yield from _numbered(_in_order((pool.submit(converter.convert, task) for task in tasks), budget.ahead))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_order(tasks: Iterator[Future[tuple[Block, Converted]]], ahead: int) -> Iterator[tuple[Block, Converted]]:
    """Yield the results of tasks in order; `ahead` of them are started before the first one is awaited."""
    running: deque[Future[tuple[Block, Converted]]] = deque()
    for started in tasks:
        running.append(started)
        if len(running) == ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _numbered(results: Iterator[tuple[Block, Converted]]) -> Iterator[Converted]:
    """Turn row numbers of blocks, from 0, into those of inputs, from 1."""
    first = position = 0
    origin = None
    for block, converted in results:
        start = 0
        for piece in block.pieces:
            if piece.origin is not origin:
                origin, first, position = piece.origin, 1, 0
            position += piece.size
            end = start + piece.numbers
            yield _part_of(converted, start, end, first - start)._replace(origin=piece.origin, position=position)
            first += piece.numbers
            converted, start = converted._replace(texts=[[]] * len(converted.texts), ledger=Ledger()), end


def _part_of(converted: Converted, start: int, end: int, shift: int) -> Converted:
    """Return the rows from a number up to another, with all lines."""
    rows, accepted = converted.rows, converted.accepted
    inside = (rows >= start) & (rows < end)
    if accepted.width:
        accepted = accepted.filter(pl.col("row").is_between(start, end, "left")).with_columns(pl.col("row") + shift)
    return converted._replace(
        rows=rows[inside] + shift,
        rejected=converted.rejected.filter(inside) if len(inside) else converted.rejected,
        malformed=[row._replace(row=row.row + shift) for row in converted.malformed if start <= row.row < end],
        accepted=accepted,
    )


class _Judged(NamedTuple):
    """Irregular rows of a block, after the query of `records`, and the row numbers of those that are rejected."""

    frame: pl.DataFrame
    rows: RowNumbers


_NONE_JUDGED = _Judged(pl.DataFrame(), np.zeros(0, np.int64))


class _Converter:
    """Converts blocks."""

    def __init__(self, records: Records, loops: Loops | None) -> None:
        self._records = records
        self._frame_path = FastPath(records, loops) if loops and records.compiled else None

    def convert(self, task: Task) -> tuple[Block, Converted]:
        """Parse and convert a block."""
        source, block = task.source, task.parse(None)
        origin = block.pieces[0].origin
        parsed = block.rest.frame()
        texts = self._records.texts(
            parsed.lazy(), parsed.schema, json_lists=source.json_lists, nullable=source.nullable
        )
        query = texts if self._frame_path else self._records.lines(texts)
        frame = collect(origin, query)
        if frame.height != block.rows:
            raise rows_lost(origin, block.rows, frame.height)
        if self._frame_path:
            return block, self._format(self._frame_path, frame, block)
        rejected = np.flatnonzero(frame.select(self._records.rejects).to_series().to_numpy())
        accepted = pl.DataFrame()
        if self._records.for_stages:
            rows = block.numbers[np.flatnonzero(frame["reason"].is_null().to_numpy())]
            accepted = self._records.accepted(frame).with_columns(row=pl.Series(rows, dtype=pl.Int64))
        lines = [texts_of(each) for each in self._records.by_set(frame)]
        judged = _Judged(frame, block.numbers[rejected])
        return block, self._converted(block, lines, judged, Ledger(), accepted)

    def _format(self, fast_path: FastPath, frame: pl.DataFrame, block: Block) -> Converted:
        """Format the frame of a block by the loops, except for irregular rows."""
        made = fast_path.of_frame(frame)
        irregular = frame[made.irregular]
        ledger = counts_of(made) + tally_changed_ids(frame)
        del frame  # it is large
        if not irregular.height:
            return self._converted(block, [fast_path.text_of(made, [], made.positions)], _NONE_JUDGED, ledger)
        judged = self._judge(block.pieces[0].origin, irregular.rechunk())
        ledger.ids_changed -= tally_changed_ids(irregular).ids_changed  # they are counted where they are judged
        return self._merge(fast_path, made, judged, ledger, block)

    def _judge(self, origin: Origin, texts: pl.DataFrame) -> pl.DataFrame:
        """Judge rows by the query."""
        judged = collect(origin, self._records.lines(texts.lazy()), texts.height)
        if judged.height != texts.height:
            raise rows_lost(origin, texts.height, judged.height)
        return judged

    def _merge(self, fast_path: FastPath, made: Lines, judged: pl.DataFrame, ledger: Ledger, block: Block) -> Converted:
        """Insert the lines of irregular rows among the others."""
        is_rejected = judged.select(self._records.rejects).to_series().to_numpy()
        is_written = judged["reason"].is_null().to_numpy()
        others = texts_of(judged["line"].drop_nulls())
        texts = fast_path.text_of(made, others, made.positions[is_written])
        return self._converted(block, [texts], _Judged(judged, block.numbers[made.irregular[is_rejected]]), ledger)

    def _converted(
        self,
        block: Block,
        texts: Sequence[Sequence[Text]],
        judged: _Judged,
        ledger: Ledger,
        accepted: pl.DataFrame | None = None,
    ) -> Converted:
        """Return the result of a block: its lines, and what was judged."""
        frame = judged.frame
        if frame.height:
            ledger += self._records.tally(frame)
            frame = frame.filter(self._records.rejects).rechunk()
        ledger.read = block.rows + len(block.malformed)
        ledger.written = ledger.lines = sum(len(text.ends) for each in texts for text in each)
        for row in block.malformed:
            ledger.rejected[row.rule.name] += 1
        accepted = pl.DataFrame() if accepted is None else accepted
        return Converted(block.pieces[0].origin, texts, frame, judged.rows, block.malformed, ledger, 0, accepted)
