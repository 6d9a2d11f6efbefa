"""Converts sources to lines: in a few workers, in order, with bounded memory.

1. A source gives tasks. A worker runs each: it parses a block of the input and converts its rows.
2. Rows are formatted by compiled loops (`fast_path`); regular delimited text is not even parsed.
3. Irregular rows, and all rows where there are no loops, go through the query of `records`.
4. The rows that come out are counted against the rows that the source counted in the input, so that no row is lost
   unnoticed.

Frames are in one chunk before expressions see them: Polars 2.1 panics where it formats a column with an empty chunk.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
import polars as pl

from converter import kernel
from converter.columns.buffers import Text, texts_of
from converter.errors import EngineError, InputError, ResourcesError
from converter.kernel.calls import Lines, Loops
from converter.ledger import Ledger
from converter.rows.counters import tally_changed_ids
from converter.rows.fast_path import FastPath, counts_of
from converter.rows.records import Records
from converter.sources import Block, MalformedRow, Origin, RowNumbers, Source, damaged, rows_lost
from converter.sources.base import PANICS, Task, WholeRows, engine_failed

_MOST_WORKERS = 8
_TOGETHER = 3  # blocks whose irregular rows are judged together: more would hold more memory
_FEW = 2048  # irregular rows, up to which a block waits for others
_NOTHING = pl.DataFrame()
_START_TIMEOUT = 30.0  # seconds: the threads of Polars start in some milliseconds
_process = 0  # the process in which Polars was started, 0 before that


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
    # Frames of tables take more memory than blocks of text: fewer of them are held.
    ahead = workers + 1 if all(source.tasks_are_small for source in sources) else workers
    loops = kernel.load()
    with ThreadPoolExecutor(workers, thread_name_prefix="convert") as pool:
        try:
            converters = (_Converter(records, source, loops) for source in sources)
            tasks = ((converter, task) for converter in converters for task in converter.tasks(pool))
            for converter, group in _group(_in_order(tasks, ahead)):
                yield from [group] if isinstance(group, Converted) else converter.judge(group)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_Result: TypeAlias = "tuple[_Converter, Converted | _Formatted]"


def _in_order(tasks: Iterator[tuple[_Converter, Future[Converted | _Formatted]]], ahead: int) -> Iterator[_Result]:
    """Yield the results of tasks in order; `ahead` of them are started before the first one is awaited."""
    running: deque[tuple[_Converter, Future[Converted | _Formatted]]] = deque()
    for started in tasks:
        running.append(started)
        if len(running) == ahead:
            converter, task = running.popleft()
            yield converter, task.result()
    while running:
        converter, task = running.popleft()
        yield converter, task.result()


def _group(results: Iterator[_Result]) -> Iterator[tuple[_Converter, Converted | list[_Formatted]]]:
    """Group blocks of one input that follow each other, whose irregular rows can be judged together."""
    group: list[_Formatted] = []
    owner: _Converter | None = None
    for converter, result in results:
        waiting = converter if isinstance(result, _Formatted) else None
        if group and owner and (waiting is not owner or len(group) == _TOGETHER):
            yield owner, group
            group = []
        owner = waiting
        if isinstance(result, Converted):
            yield converter, result
        else:
            group.append(result)
    if group and owner:
        yield owner, group


class _Formatted(NamedTuple):
    """A block of text that the loops have formatted; its irregular rows, in `made`, are still to be judged."""

    fast_path: FastPath
    made: Lines
    text: WholeRows


class _Judged(NamedTuple):
    """Irregular rows of a block, after the query of `records`.

    `indices` are the indices of the rows of `frame` among all irregular rows, and `rows` the row numbers of these in
    the input.
    """

    frame: pl.DataFrame
    indices: RowNumbers
    rows: RowNumbers
    malformed: Sequence[MalformedRow]


class _Converter:
    """Converts an input."""

    def __init__(self, records: Records, source: Source, loops: Loops | None) -> None:
        self._records = records
        self._source = source
        self._loops = loops = loops if records.compiled else None
        self._frame_path = FastPath(records, loops) if loops else None

    @functools.cached_property
    def _text_path(self) -> FastPath:
        assert self._loops is not None  # noqa: S101 - for the type checker: without loops no task has text
        return FastPath(self._records, self._loops, self._source.names)

    def tasks(self, pool: ThreadPoolExecutor) -> Iterator[Future[Converted | _Formatted]]:
        """Yield the conversions of the blocks of the input, in order."""
        # Only frames know texts that mean a missing value, and changes of an ID other than its case.
        by_bytes = self._records.by_bytes and not self._records.job.input.null_values
        for task in self._source.blocks(self._records.columns, self._loops if by_bytes else None):
            yield pool.submit(self._convert, task)

    def _convert(self, task: Task) -> Converted | _Formatted:
        """Convert a block: its text by the loops, except for irregular rows; as a frame where that is not possible."""
        made = self._text_path.of_text(self._source.origin, task.text) if task.text else None
        if made is None or task.text is None:
            return self._block(task.parse())
        # The memory of the block is released: only its position and the parser are needed.
        formatted = _Formatted(self._text_path, made, task.text._replace(memory=made.text))
        if 0 < len(made.irregular) < _FEW:
            return formatted  # to be judged together with others
        (converted,) = self.judge([formatted])
        return converted

    def _block(self, block: Block) -> Converted:
        """Convert a block, without its rows that Polars cannot parse."""
        frame, block = all_rows(block, self._texts if self._frame_path else self._lines)
        if self._frame_path:
            return self._format(self._frame_path, frame, block)
        rejected = np.flatnonzero(frame.select(self._records.rejects).to_series().to_numpy())
        accepted = pl.DataFrame()
        if self._records.for_stages:
            rows = block.locate(np.flatnonzero(frame["reason"].is_null().to_numpy()))
            accepted = self._records.accepted(frame).with_columns(row=pl.Series(rows, dtype=pl.Int64))
        lines = [texts_of(each) for each in self._records.by_set(frame)]
        ledger = Ledger(read=block.rows + len(block.malformed))
        judged = _Judged(frame, rejected, block.locate(rejected), block.malformed)
        return self._converted(lines, judged, ledger, block.position, accepted)

    def _texts(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        source = self._source
        return self._records.texts(frame, source.schema, json_lists=source.json_lists, nullable=source.nullable)

    def _lines(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return self._records.lines(self._texts(frame))

    def _format(self, fast_path: FastPath, frame: pl.DataFrame, block: Block) -> Converted:
        """Format the frame of a block by the loops, except for irregular rows."""
        made = fast_path.of_frame(frame)
        irregular = frame[made.irregular]
        ledger = counts_of(made) + tally_changed_ids(frame)
        del frame  # it is large
        judged = self._judge(irregular.rechunk().lazy(), irregular.height) if irregular.height else pl.DataFrame()
        ledger.ids_changed -= tally_changed_ids(irregular).ids_changed  # they are counted where they are judged
        ledger.read = block.rows + len(block.malformed)
        rows = block.locate(made.irregular)
        return self._merge(
            fast_path, made, _Judged(judged, np.arange(irregular.height), rows, block.malformed), ledger, block.position
        )

    def judge(self, group: list[_Formatted]) -> Iterator[Converted]:
        """Judge the irregular rows of some blocks together: to plan a query takes longer than to judge a few rows.

        The blocks are removed from `group`, since each holds much memory.
        """
        edges = np.cumsum([0, *(len(each.made.irregular) for each in group)])
        all_judged = self._irregular(group, int(edges[-1]))
        for start, end in itertools.pairwise(edges.tolist()):
            each = group.pop(0)
            first, last = np.searchsorted(all_judged.indices, [start, end]).tolist()
            rows = each.made.irregular + each.text.first
            malformed = [
                row._replace(row=int(rows[row.row - start])) for row in all_judged.malformed if start <= row.row < end
            ]
            judged = _Judged(
                all_judged.frame.slice(first, last - first), all_judged.indices[first:last] - start, rows, malformed
            )
            ledger = counts_of(each.made)
            blank = end - start - (last - first) - len(malformed)
            ledger.read = each.made.rows - blank
            yield self._merge(each.fast_path, each.made, judged, ledger, each.text.position)

    def _irregular(self, group: Sequence[_Formatted], count: int) -> _Judged:
        """Judge the `count` irregular rows of all blocks; the numbers of malformed ones are their indices among all."""
        if not count:
            return _Judged(pl.DataFrame(), np.zeros(0, np.int64), np.zeros(0, np.int64), [])
        texts = [each.made.text for each in group]
        newlines = np.cumsum([0, *(np.count_nonzero(text == ord("\n")) for text in texts[:-1])])
        lines = np.concatenate([each.made.text_lines + start for each, start in zip(group, newlines, strict=True)])
        block = group[0].text.parse(np.concatenate(texts).data)
        if block.rows + len(block.malformed) + block.blank != count:
            raise rows_lost(block.origin, count, block.rows + len(block.malformed) + block.blank)
        judged = self._judge(self._texts(block.frame), block.rows)
        malformed = [row._replace(row=int(np.searchsorted(lines, row.row))) for row in block.malformed]
        return _Judged(judged, np.searchsorted(lines, block.locate(np.arange(block.rows))), lines, malformed)

    def _judge(self, texts: pl.LazyFrame, rows: int) -> pl.DataFrame:
        """Judge `rows` rows by the query."""
        judged = collect(self._source.origin, self._records.lines(texts), rows)
        if judged.height != rows:
            raise rows_lost(self._source.origin, rows, judged.height)
        return judged

    def _merge(self, fast_path: FastPath, made: Lines, judged: _Judged, ledger: Ledger, position: int) -> Converted:
        """Insert the lines of irregular rows among the others."""
        if not judged.frame.height:
            texts = fast_path.text_of(made, [], judged.indices)
            return self._converted([texts], judged._replace(rows=judged.rows[:0]), ledger, position)
        is_rejected = judged.frame.select(self._records.rejects).to_series().to_numpy()
        is_written = judged.frame["reason"].is_null().to_numpy()
        others = texts_of(judged.frame["line"].drop_nulls())
        texts = fast_path.text_of(made, others, made.positions[judged.indices[is_written]])
        rejected = judged._replace(rows=judged.rows[judged.indices[is_rejected]])
        return self._converted([texts], rejected, ledger, position)

    def _converted(
        self,
        texts: Sequence[Sequence[Text]],
        judged: _Judged,
        ledger: Ledger,
        position: int,
        accepted: pl.DataFrame = _NOTHING,
    ) -> Converted:
        """Return the result of a block: its lines, and what was judged, of which `rows` are the rejected rows."""
        frame, rows, malformed = judged.frame, judged.rows, judged.malformed
        if frame.height:
            ledger += self._records.tally(frame)
            frame = frame.filter(self._records.rejects).rechunk()
        ledger.written = ledger.lines = sum(len(text.ends) for each in texts for text in each)
        for row in malformed:
            ledger.rejected[row.rule.name] += 1
        return Converted(self._source.origin, texts, frame, rows, malformed, ledger, position, accepted)


def all_rows(block: Block, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> tuple[pl.DataFrame, Block]:
    """Run a query that gives each row of a block; where Polars cannot parse the block, without the rows in question.

    Returns the result, and the block whose rows these are. Raises `InputError`, and `LedgerError` where rows are lost.
    """
    while True:
        try:
            frame = collect(block.origin, query(block.frame))
        except (InputError, EngineError):
            if block.without_unparsable is None:
                raise
        else:
            if frame.height == block.rows:
                return frame, block
            if block.without_unparsable is None:
                raise rows_lost(block.origin, block.rows, frame.height)
        block = block.without_unparsable()


def collect(origin: Origin, query: pl.LazyFrame, rows: int = sys.maxsize) -> pl.DataFrame:
    """Run a query on at most `rows` rows; for a few, starting the streaming engine would take longer than the query.

    Raises `InputError` where Polars cannot parse the input, `EngineError` where it fails otherwise, and what `start`
    raises. Messages of Polars are left out, since they may quote the data.
    """
    start()
    try:
        return query.collect(engine="in-memory" if rows < _FEW else "streaming")
    except pl.exceptions.ComputeError as error:  # what Polars raises for text that it cannot parse
        raise damaged(origin, error) from error
    except (*PANICS, OSError) as error:
        raise engine_failed(origin, error) from error


def start() -> None:
    """Start the threads of Polars, if they are not running.

    Raises `ResourcesError` where the system refuses them, and `EngineError` in a process that was forked from one in
    which they ran: a fork has no threads, and each query would wait for them forever.
    """
    global _process
    if _process not in (0, os.getpid()):
        raise EngineError(
            "E-FORKED",
            "This process was forked from one in which Polars runs, so Polars cannot run here.",
            "Start processes by 'spawn' or 'forkserver': multiprocessing.get_context(\"spawn\").",
        )
    _process = _process or os.getpid()
    # Polars handles SIGINT even where it is ignored (`nohup`, background jobs), and stops queries by it.
    with contextlib.suppress(ValueError):  # threads other than the main one cannot set that
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    _start()


@functools.cache
def _start() -> None:
    """Start the threads of Polars. Where the system refuses one, Polars panics or waits for it forever."""
    done = threading.Event()

    def ask() -> None:
        # A scan of text uses more threads than a frame.
        with contextlib.suppress(*PANICS, OSError):
            pl.scan_csv(b"column\nvalue\n").collect(engine="streaming")
            done.set()

    thread = threading.Thread(target=ask, name="engine", daemon=True)
    with contextlib.suppress(RuntimeError):
        thread.start()
        thread.join(_START_TIMEOUT)
    if not done.is_set():
        raise ResourcesError(
            "E-THREADS",
            "The system refused to start the threads of Polars.",
            "Allow the process more threads or more memory (ulimit -u, ulimit -v, the limits of the container), "
            "or let Polars use fewer: POLARS_MAX_THREADS=1.",
        )
