"""Makes lines of sources: in a few workers, in order, with bounded memory.

A piece of a file is collected at once in a worker. The rows of large files become lines by compiled loops, those of
delimited text without a frame between, as far as it is regular; odd rows, and those of small files, by the query of
`records`. Either way the rows that come out are counted against the rows that the source has found in the file, so
that one lost on the way is noticed.

Frames are in one chunk before expressions see them: Polars 2.1 panics where it formats a column with an empty one.
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
from converter.sources import BadRow, Origin, Piece, RowNumbers, Source, damaged, lost
from converter.sources.base import PANICS, engine_failed
from converter.sources.delimited import Block, DelimitedSource
from converter.sources.origins.base import total_size

_MOST_WORKERS = 8
_TOGETHER = 3  # stretches whose odd rows are judged together: more would hold more memory
_FEW = 2048  # rows: up to so many odd ones a stretch waits for others
_NOTHING = pl.DataFrame()
_PATIENCE = 30.0  # seconds: the threads of Polars start in some milliseconds
_process = 0  # that in which Polars was started, once it was


class Converted(NamedTuple):
    """A stretch of the input, converted.

    `texts` is the text of the lines written, for each set of files. `rejected` are the rows that break a rule, as
    `Records.lines` gives them, and `rows` their numbers in the file; `bad` are the rows that could not be taken apart.
    `position` is how far the file is read, in bytes. `accepted` is what `Records.accepted` gives of the rows written,
    where stages see them.
    """

    origin: Origin
    texts: Sequence[Sequence[Text]]
    rejected: pl.DataFrame
    rows: RowNumbers
    bad: Sequence[BadRow]
    ledger: Ledger
    position: int
    accepted: pl.DataFrame


def convert_all(records: Records, sources: Sequence[Source], threads: int) -> Generator[Converted]:
    """Convert the sources and yield what becomes of them, in order.

    Raises `InputError` where a file is damaged and `LedgerError` where rows are lost. Closing the iterator
    stops the workers.
    """
    # One more than there are threads, so that the engine has work while a result is taken.
    workers = min(threads, _MOST_WORKERS) + 1
    # Frames of tables take more memory than blocks of text: fewer of them wait.
    ahead = workers + 1 if all(isinstance(source, DelimitedSource) for source in sources) else workers
    size = total_size(source.origin for source in sources)
    loops = kernel.load(kernel.WORTH_BYTES if size is None else size)
    with ThreadPoolExecutor(workers, thread_name_prefix="convert") as pool:
        try:
            converters = (_Converter(records, source, loops) for source in sources)
            tasks = ((converter, task) for converter in converters for task in converter.tasks(pool))
            for converter, group in _grouped(_in_order(tasks, ahead)):
                yield from [group] if isinstance(group, Converted) else converter.judged(group)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_Result: TypeAlias = "tuple[_Converter, Converted | _Formatted]"


def _in_order(tasks: Iterator[tuple[_Converter, Future[Converted | _Formatted]]], ahead: int) -> Iterator[_Result]:
    """Yield the results of tasks; so many tasks are begun at a time."""
    under_way: deque[tuple[_Converter, Future[Converted | _Formatted]]] = deque()
    for begun in tasks:
        under_way.append(begun)
        if len(under_way) == ahead:
            converter, task = under_way.popleft()
            yield converter, task.result()
    while under_way:
        converter, task = under_way.popleft()
        yield converter, task.result()


def _grouped(results: Iterator[_Result]) -> Iterator[tuple[_Converter, Converted | list[_Formatted]]]:
    """Put neighbors of one file together whose odd rows can be judged together."""
    group: list[_Formatted] = []
    of: _Converter | None = None
    for converter, result in results:
        waiting = converter if isinstance(result, _Formatted) else None
        if group and of and (waiting is not of or len(group) == _TOGETHER):
            yield of, group
            group = []
        of = waiting
        if isinstance(result, Converted):
            yield converter, result
        else:
            group.append(result)
    if group and of:
        yield of, group


class _Formatted(NamedTuple):
    """A block of which the loops have made lines; the odd rows among them, text in `made`, are still to be judged.

    `first` is its first physical line, `position` how far the file is read.
    """

    compiled: FastPath
    made: Lines
    first: int
    position: int


class _Converter:
    """Converts a file."""

    def __init__(self, records: Records, source: Source, loops: Loops | None) -> None:
        self._records = records
        self._source = source
        self._loops = loops = loops if records.compiled else None
        self._of_frames = FastPath(records, loops) if loops else None

    def tasks(self, pool: ThreadPoolExecutor) -> Iterator[Future[Converted | _Formatted]]:
        """Yield the conversions of stretches of the file, in order."""
        source, loops = self._source, self._loops
        # Texts that stand for a missing value are frames' to know, and so is how an ID is changed but in its case.
        by_bytes = self._records.by_bytes and not self._records.job.input.null_values
        if loops and by_bytes and isinstance(source, DelimitedSource):
            compiled = FastPath(self._records, loops, source.names)
            for each in source.blocks(loops):
                if isinstance(each, Block):
                    yield pool.submit(self._block, compiled, source, each)
                else:
                    yield pool.submit(self._piece, each)
        else:
            for piece in source.pieces(self._records.columns):
                yield pool.submit(self._piece, piece)

    def _block(self, compiled: FastPath, source: DelimitedSource, block: Block) -> Converted | _Formatted:
        """Convert a block by the loops, but for its odd rows; all of it as a frame where it is not UTF-8."""
        made = compiled.of_block(source, block)
        if made is None:
            text = block.memory[: block.size].data
            return self._piece(source.take_apart(text, first=block.first, position=block.position))
        formatted = _Formatted(compiled, made, block.first, block.position)
        if 0 < len(made.lines) < _FEW:
            return formatted  # they had better be judged with others
        (converted,) = self.judged([formatted])
        return converted

    def _piece(self, piece: Piece) -> Converted:
        """Convert a piece, without the rows of it that the engine cannot parse."""
        frame, piece = all_rows(piece, self._texts if self._of_frames else self._lines)
        if self._of_frames:
            return self._formatted(self._of_frames, frame, piece)
        rejected = np.flatnonzero(frame.select(self._records.rejects).to_series().to_numpy())
        accepted = pl.DataFrame()
        if self._records.for_stages:
            rows = piece.locate(np.flatnonzero(frame["reason"].is_null().to_numpy()))
            accepted = self._records.accepted(frame).with_columns(row=pl.Series(rows, dtype=pl.Int64))
        lines = [texts_of(each) for each in self._records.by_set(frame)]
        ledger = Ledger(read=piece.rows + len(piece.bad))
        return self._converted(lines, frame, piece.locate(rejected), piece.bad, ledger, piece.position, accepted)

    def _texts(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        source = self._source
        return self._records.texts(frame, source.schema, json_lists=source.json_lists, nullable=source.nullable)

    def _lines(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return self._records.lines(self._texts(frame))

    def _formatted(self, compiled: FastPath, frame: pl.DataFrame, piece: Piece) -> Converted:
        """Convert what was collected of a piece by the loops, but for its odd rows."""
        made = compiled.of_frame(frame)
        odd = frame[made.lines]
        ledger = counts_of(made) + tally_changed_ids(frame)
        del frame  # it is large
        judged = self._judged(odd.rechunk().lazy(), odd.height) if odd.height else pl.DataFrame()
        ledger.ids_changed -= tally_changed_ids(odd).ids_changed  # they are counted where they are judged
        ledger.read = piece.rows + len(piece.bad)
        places, lines = np.arange(odd.height), piece.locate(made.lines)
        return self._merged(compiled, made, judged, places, lines, piece.bad, ledger, piece.position)

    def judged(self, group: list[_Formatted]) -> Iterator[Converted]:
        """Judge the odd rows of some blocks at once: to plan a query takes longer than to judge a few rows.

        The blocks are taken out of `group`, since each holds much memory.
        """
        edges = np.cumsum([0, *(len(each.made.lines) for each in group)])
        judged, places, bad = self._irregular(group, int(edges[-1])) if edges[-1] else (pl.DataFrame(), edges[:0], [])
        for start, end in itertools.pairwise(edges.tolist()):
            each = group.pop(0)
            first, last = np.searchsorted(places, [start, end]).tolist()
            rows = places[first:last] - start
            lines = each.made.lines + each.first
            own = [row._replace(row=int(lines[place - start])) for place, row in bad if start <= place < end]
            ledger = counts_of(each.made)
            blank = end - start - len(rows) - len(own)
            ledger.read = each.made.rows - blank
            frame = judged.slice(first, last - first)
            yield self._merged(each.compiled, each.made, frame, rows, lines, own, ledger, each.position)

    def _irregular(
        self, group: Sequence[_Formatted], count: int
    ) -> tuple[pl.DataFrame, RowNumbers, list[tuple[int, BadRow]]]:
        """Judge the odd rows of all blocks, so many.

        Return what was judged and which of the odd rows these are, and those that could not be taken apart, with
        their places among all.
        """
        source = self._source
        assert isinstance(source, DelimitedSource)  # noqa: S101 - for the type checker: others have no blocks
        texts = [each.made.text for each in group]
        newlines = np.cumsum([0, *(np.count_nonzero(text == ord("\n")) for text in texts[:-1])])
        lines = np.concatenate([each.made.text_lines + start for each, start in zip(group, newlines, strict=True)])
        odd = source.take_apart(np.concatenate(texts).data, first=0, position=0)
        if odd.rows + len(odd.bad) + odd.blank != count:
            raise lost(source.origin, count, odd.rows + len(odd.bad) + odd.blank)
        judged = self._judged(self._texts(odd.frame), odd.rows)
        bad = [(int(np.searchsorted(lines, row.row)), row) for row in odd.bad]
        return judged, np.searchsorted(lines, odd.locate(np.arange(odd.rows))), bad

    def _judged(self, texts: pl.LazyFrame, rows: int) -> pl.DataFrame:
        """Judge rows, so many, by the query."""
        judged = collected(self._source.origin, self._records.lines(texts), rows)
        if judged.height != rows:
            raise lost(self._source.origin, rows, judged.height)
        return judged

    def _merged(
        self,
        compiled: FastPath,
        made: Lines,
        judged: pl.DataFrame,
        odd: RowNumbers,
        lines: RowNumbers,
        bad: Sequence[BadRow],
        ledger: Ledger,
        position: int,
    ) -> Converted:
        """Put the lines of odd rows, as they were judged, among the others.

        `odd` are the places of the judged rows among the odd ones, and `lines` where all of these are in the file.
        """
        if not judged.height:
            return self._converted([compiled.text_of(made, [], odd)], judged, lines[:0], bad, ledger, position)
        is_rejected = judged.select(self._records.rejects).to_series().to_numpy()
        is_written = judged["reason"].is_null().to_numpy()
        others = texts_of(judged["line"].drop_nulls())
        texts = compiled.text_of(made, others, made.places[odd[is_written]])
        return self._converted([texts], judged, lines[odd[is_rejected]], bad, ledger, position)

    def _converted(
        self,
        texts: Sequence[Sequence[Text]],
        judged: pl.DataFrame,
        rows: RowNumbers,
        bad: Sequence[BadRow],
        ledger: Ledger,
        position: int,
        accepted: pl.DataFrame = _NOTHING,
    ) -> Converted:
        """Put together what became of rows: their lines, those judged, whose rejected ones are `rows`, and `bad`."""
        if judged.height:
            ledger += self._records.tally(judged)
            judged = judged.filter(self._records.rejects).rechunk()
        ledger.written = ledger.lines = sum(len(text.ends) for each in texts for text in each)
        for row in bad:
            ledger.rejected[row.rule.name] += 1
        return Converted(self._source.origin, texts, judged, rows, bad, ledger, position, accepted)


def all_rows(piece: Piece, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> tuple[pl.DataFrame, Piece]:
    """Run a query that gives each row of a piece; where the engine cannot parse it, without the rows it cannot parse.

    Returns what came out, and the piece whose rows these are. Raises `InputError`, and `LedgerError` where rows are
    lost.
    """
    while True:
        try:
            frame = collected(piece.origin, query(piece.frame))
        except (InputError, EngineError):
            if piece.mend is None:
                raise
        else:
            if frame.height == piece.rows:
                return frame, piece
            if piece.mend is None:
                raise lost(piece.origin, piece.rows, frame.height)
        piece = piece.mend()


def collected(origin: Origin, query: pl.LazyFrame, rows: int = sys.maxsize) -> pl.DataFrame:
    """Run a query, on so many rows at most. What the engine finds wrong with the file is told without its words.

    They may quote the data. To set the streaming engine up costs more than it does for a few rows.

    Raises `InputError` where the engine cannot parse the file, `EngineError` where it fails at anything else, and what
    `start` raises.
    """
    start()
    try:
        return query.collect(engine="in-memory" if rows < _FEW else "streaming")
    except pl.exceptions.ComputeError as error:  # all that it raises of text that it cannot parse
        raise damaged(origin, error) from error
    except (*PANICS, OSError) as error:
        raise engine_failed(origin, error) from error


def start() -> None:
    """Let Polars start its threads, if they are not running.

    Raises `ResourcesError` where the system does not let it, and `EngineError` in a process forked from one in which
    they ran: none of them is there any more, and each query would wait for them forever.
    """
    global _process
    if _process not in (0, os.getpid()):
        raise EngineError(
            "E-FORKED",
            "This process was forked from one in which Polars runs, so Polars cannot run here.",
            "Start processes by 'spawn' or 'forkserver': multiprocessing.get_context(\"spawn\").",
        )
    _process = _process or os.getpid()
    # Polars, once imported, catches SIGINT also where it is ignored (`nohup`, background jobs), and ends queries by it.
    with contextlib.suppress(ValueError):  # threads other than the main one cannot set that
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    _start()


@functools.cache
def _start() -> None:
    """Let Polars start its threads. Where the system refuses one, it panics or, in places, waits for it forever."""
    done = threading.Event()

    def ask() -> None:
        # Text takes more threads than frames do.
        with contextlib.suppress(*PANICS, OSError):
            pl.scan_csv(b"column\nvalue\n").collect(engine="streaming")
            done.set()

    thread = threading.Thread(target=ask, name="engine", daemon=True)
    with contextlib.suppress(RuntimeError):
        thread.start()
        thread.join(_PATIENCE)
    if not done.is_set():
        raise ResourcesError(
            "E-THREADS",
            "The system does not let Polars start its threads.",
            "Allow the process more threads or more memory (ulimit -u, ulimit -v, the limits of the container), "
            "or let Polars take fewer: POLARS_MAX_THREADS=1.",
        )
