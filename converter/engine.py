"""Runs the queries of `records` on the pieces of sources: in a few workers, in order, with bounded memory.

A small piece (text formats) is collected at once in a worker; a file that the engine reads by itself (Parquet,
Arrow) comes in batches, and the workers do what is left. Either way the rows that come out are counted against
the rows that the source has found in the file, so that one lost on the way is noticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from converter.errors import InputError, LedgerError
from converter.ledger import Ledger
from converter.parts import Text, texts_of
from converter.records import Records
from converter.sources import BadRow, InputFile, Piece, Rows, Source, damaged

_BATCH_ROWS = 65_536
_MOST_WORKERS = 8
ENGINE_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError)
"""What the libraries below raise where a file is damaged; a panic is not even an `Exception`."""


@dataclass(frozen=True)
class Converted:
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
    converter = _Converter(records)
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


class _Converter:
    """Converts pieces, and learns from the first one which signals are always there.

    That a value is never missing makes lines cheaper to format. It is expected of a signal that is complete in
    the first piece; a piece in which it is not is converted again, and it is expected no more.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._complete: frozenset[int] | None = None

    def tasks(self, source: Source, pool: ThreadPoolExecutor) -> Iterator[Future[Converted]]:
        """Yield the conversions of a file, in order."""
        for piece in source.pieces(self._records.columns):
            if piece.whole:
                yield pool.submit(self._whole, source, piece)
            else:
                yield from self._in_batches(source, piece, pool)

    def _whole(self, source: Source, piece: Piece) -> Converted:
        """Convert a piece at once; where the engine cannot parse it, without the rows that it cannot parse."""
        careful = piece.plain is False
        while True:
            complete = frozenset() if careful else self._complete or frozenset()
            try:
                frame = collected(source.file, self._query(source, piece, careful=careful, complete=complete))
                lost = frame.height != piece.rows
            except InputError:
                if piece.mend is None:
                    raise
                lost = True
            if lost:
                if piece.mend is None:
                    raise _lost(piece, frame.height)
                piece = piece.mend()
                continue
            missing = self._records.incomplete(frame)
            if self._complete is None and frame.height:
                self._complete = frozenset(self._records.signal_places) - missing
            elif self._complete and missing:
                self._complete -= missing
            if not complete & missing:
                return self._finished(piece, frame, 0, piece.position, read=piece.rows + len(piece.bad))

    def _in_batches(self, source: Source, piece: Piece, pool: ThreadPoolExecutor) -> Iterator[Future[Converted]]:
        """Convert a piece while the engine reads it; the last task brings the count of its rows."""
        query = self._query(source, piece, careful=False, complete=())
        first = 0
        batches = query.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
        while True:
            try:
                frame = next(batches, None)
            except ENGINE_ERRORS as error:
                raise damaged(source.file, error) from None
            if frame is None:
                break
            position = round(piece.position * (first + frame.height) / max(piece.rows, 1))
            yield pool.submit(self._finished, piece, frame, first, position, read=0)
            first += frame.height
        if first != piece.rows:
            raise _lost(piece, first)
        empty = pl.DataFrame(schema=query.collect_schema())
        yield pool.submit(self._finished, piece, empty, first, piece.position, read=piece.rows)

    def _query(self, source: Source, piece: Piece, *, careful: bool, complete: Collection[int]) -> pl.LazyFrame:
        texts = self._records.texts(piece.frame, source.schema, json_lists=source.json_lists, nullable=source.nullable)
        return self._records.lines(texts, careful=careful, complete=complete)

    def _finished(self, piece: Piece, frame: pl.DataFrame, first: int, position: int, *, read: int) -> Converted:
        """Take the text of the lines, prove that the quick query was enough, and count."""
        records = self._records
        texts, rejected, ledger = self._judged(frame)
        if piece.plain is None and not _is_clean(records, texts, ledger):
            frame = collected(piece.file, records.lines(records.again(frame), careful=True))
            texts, rejected, ledger = self._judged(frame)
        ledger.read = read
        for bad in piece.bad:
            ledger.rejected[bad.rule.name] += 1
        places = frame["reason"].is_not_null().arg_true().to_numpy() + first
        return Converted(piece.file, texts, rejected, piece.locate(places), piece.bad, ledger, position)

    def _judged(self, frame: pl.DataFrame) -> tuple[list[Text], pl.DataFrame, Ledger]:
        rejected = frame.filter(pl.col("reason").is_not_null())
        return texts_of(frame["line"]), rejected, self._records.tally(frame, rejected)


def _is_clean(records: Records, texts: Sequence[Text], ledger: Ledger) -> bool:
    """Say whether the text holds what formatting put there and no more.

    A control character or a double quote in a value is one more than the tab and the newline of each line and
    the four quotes of each pair; that there is none is what makes the quick query right.
    """
    counts = [text.controls_and_quotes() for text in texts]
    controls, quotes = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return controls == 2 * ledger.written and quotes == 4 * records.pairs(ledger)


def collected(file: InputFile, query: pl.LazyFrame) -> pl.DataFrame:
    """Run a query. What the engine finds wrong with the file is told without its words, which may quote the data."""
    try:
        return query.collect(engine="streaming")
    except ENGINE_ERRORS as error:
        raise damaged(file, error) from None


def _lost(piece: Piece, rows: int) -> LedgerError:
    return LedgerError(
        f"The input '{piece.file.path}' has {piece.rows:,} rows in a stretch of which {rows:,} came through.",
        "Nothing was published; please report this as a bug.",
    )
