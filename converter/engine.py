"""Makes lines of sources: in a few workers, in order, with bounded memory.

A piece of a file is collected at once in a worker. The rows of large files become lines by compiled loops, those of
delimited text without a frame between, as far as it is regular; odd rows, and those of small files, by the query of
`records`. Either way the rows that come out are counted against the rows that the source has found in the file, so
that one lost on the way is noticed.

Frames are in one chunk before expressions see them: Polars 2.1 panics where it formats a column with an empty one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import polars as pl

from converter import kernel
from converter.compiled import Compiled, counts_of
from converter.errors import InputError
from converter.kernel.calls import Lines, Loops
from converter.ledger import Ledger
from converter.memory import Text, texts_of
from converter.records import Records
from converter.sources import BadRow, Block, InputFile, Piece, Rows, Source, damaged, lost
from converter.sources.delimited import DelimitedSource

_MOST_WORKERS = 8
ENGINE_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What the libraries below raise where a file is damaged; a panic is not even an `Exception`."""


class Converted(NamedTuple):
    """A stretch of the input, converted.

    `texts` is the text of the lines written. `rejected` are the rows with a reason, as `Records.lines` gives them,
    and `rows` their numbers in the file; `bad` are the rows that could not be taken apart. `position` is how far
    the file is read, in bytes.
    """

    file: InputFile
    texts: Sequence[Text]
    rejected: pl.DataFrame
    rows: Rows
    bad: Sequence[BadRow]
    ledger: Ledger
    position: int


def convert_all(records: Records, sources: Sequence[Source], threads: int) -> Generator[Converted]:
    """Convert the sources and yield what becomes of them, in order.

    Raises `InputError` where a file is damaged and `LedgerError` where rows are lost. Closing the iterator
    stops the workers.
    """
    # One more than there are threads, so that the engine has work while a result is taken.
    workers = min(threads, _MOST_WORKERS) + 1
    converter = _Converter(records, kernel.load(sum(source.file.size for source in sources)))
    with ThreadPoolExecutor(workers, thread_name_prefix="convert") as pool:
        under_way: deque[Future[Converted]] = deque()
        try:
            for source in sources:
                for task in converter.tasks(source, pool):
                    under_way.append(task)
                    if len(under_way) > workers:
                        yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Judged(NamedTuple):
    """What became of `rows` rows: the text of the lines, the rejected rows and their places, and counts."""

    texts: Sequence[Text]
    rejected: pl.DataFrame
    places: Rows
    rows: int
    ledger: Ledger


class _Converter:
    """Converts pieces and blocks."""

    def __init__(self, records: Records, loops: Loops | None) -> None:
        self._records = records
        self._loops = loops
        self._of_frames = Compiled(records, records.columns, loops) if loops else None

    def tasks(self, source: Source, pool: ThreadPoolExecutor) -> Iterator[Future[Converted]]:
        """Yield the conversions of a file, in order."""
        of_blocks = None
        # Texts that stand for a missing value are frames' to know.
        if self._loops and isinstance(source, DelimitedSource) and not self._records.job.input.null_values:
            of_blocks = Compiled(self._records, source.names, self._loops)
        for piece in source.pieces(self._records.columns, self._loops if of_blocks else None):
            if isinstance(piece, Block):
                yield pool.submit(self._block, of_blocks, source, piece)
            else:
                yield pool.submit(self._whole, source, piece)

    def _block(self, compiled: Compiled | None, source: Source, block: Block) -> Converted:
        """Convert a block by the loops, but for its odd rows; all of it as frames where it is not UTF-8."""
        made = compiled.of_block(block) if compiled else None
        if compiled is None or made is None:
            return self._whole(source, block.take_apart(None))
        bad: Sequence[BadRow] = ()
        blank = 0
        if len(made.lines):
            odd = block.take_apart(made.text.data)
            rows = collected(block.file, self._records.lines(self._texts(source, odd.frame)))
            if rows.height != odd.rows or odd.rows + len(odd.bad) + odd.blank != len(made.lines):
                raise lost(block.file, len(made.lines), rows.height)
            # From newlines in the text of the odd rows to rows, and to lines of the file.
            places = np.searchsorted(made.text_lines, odd.locate(np.arange(odd.rows)))
            lines = made.lines + block.first
            bad = [row._replace(row=int(lines[np.searchsorted(made.text_lines, row.row)])) for row in odd.bad]
            blank = odd.blank
            judged = self._mixed(compiled, made, rows, places)
        else:
            judged = _plain(compiled, made)
        return _converted(
            block.file, judged, judged.places + block.first, bad, read=block.rows - blank, position=block.position
        )

    def _whole(self, source: Source, piece: Piece) -> Converted:
        """Convert a piece at once; where the engine cannot parse it, without the rows that it cannot parse."""
        while True:
            try:
                judged = self._judged(piece.file, self._texts(source, piece.frame))
            except InputError:
                if piece.mend is None:
                    raise
            else:
                if judged.rows == piece.rows:
                    read = piece.rows + len(piece.bad)
                    rows = piece.locate(judged.places)
                    return _converted(piece.file, judged, rows, piece.bad, read=read, position=piece.position)
                if piece.mend is None:
                    raise lost(piece.file, piece.rows, judged.rows)
            piece = piece.mend()

    def _texts(self, source: Source, frame: pl.LazyFrame) -> pl.LazyFrame:
        return self._records.texts(frame, source.schema, json_lists=source.json_lists, nullable=source.nullable)

    def _judged(self, file: InputFile, texts: pl.LazyFrame) -> _Judged:
        """Convert rows: by the loops, but for the odd ones among them."""
        if self._of_frames is None:
            judged = collected(file, self._records.lines(texts))
            lines, is_rejected = texts_of(judged["line"].drop_nulls()), judged["reason"].is_not_null()
            ledger = self._records.tally(judged)
            ledger.written = sum(len(text.ends) for text in lines)
            places = np.flatnonzero(is_rejected.to_numpy())
            return _Judged(lines, judged.filter(is_rejected).rechunk(), places, judged.height, ledger)
        frame = collected(file, texts).rechunk()
        made = self._of_frames.of_frame(frame)
        if not len(made.lines):
            return _plain(self._of_frames, made)
        judged = collected(file, self._records.lines(frame[made.lines].rechunk().lazy()))
        return self._mixed(self._of_frames, made, judged, np.arange(len(made.lines)))

    def _mixed(self, compiled: Compiled, made: Lines, judged: pl.DataFrame, rows: Rows) -> _Judged:
        """Put lines that the loops made together with `judged` rows, which are the `rows` of those they left out."""
        is_rejected = judged["reason"].is_not_null()
        accepted, rejected = rows[~is_rejected.to_numpy()], rows[is_rejected.to_numpy()]
        texts = compiled.text_of(made, texts_of(judged["line"].drop_nulls()), made.places[accepted])
        ledger = counts_of(made)
        ledger += self._records.tally(judged)
        ledger.written = sum(len(text.ends) for text in texts)
        return _Judged(texts, judged.filter(is_rejected).rechunk(), made.lines[rejected], made.rows, ledger)


def _converted(
    file: InputFile, judged: _Judged, rows: Rows, bad: Sequence[BadRow], *, read: int, position: int
) -> Converted:
    """Put together what became of `read` rows: those judged, whose rejected ones are `rows` of the file, and `bad`."""
    judged.ledger.read = read
    for row in bad:
        judged.ledger.rejected[row.rule.name] += 1
    return Converted(file, judged.texts, judged.rejected, rows, bad, judged.ledger, position)


def _plain(compiled: Compiled, made: Lines) -> _Judged:
    """Return what became of rows of which none was odd."""
    texts, ledger = compiled.text_of(made, (), made.places), counts_of(made)
    ledger.written = sum(len(text.ends) for text in texts)
    return _Judged(texts, pl.DataFrame(), made.lines, made.rows, ledger)


def collected(file: InputFile, query: pl.LazyFrame) -> pl.DataFrame:
    """Run a query. What the engine finds wrong with the file is told without its words, which may quote the data."""
    try:
        return query.collect(engine="streaming")
    except ENGINE_ERRORS as error:
        raise damaged(file, error) from None
