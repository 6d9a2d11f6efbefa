"""Runs the queries of `quick` and `records` on sources: in a few workers, in order, with bounded memory.

A small piece (text formats) is collected at once in a worker; a file that the engine reads by itself (Parquet,
Arrow) comes in batches, which the workers convert; blocks of large delimited files go through compiled loops, as
far as they are regular. Either way the rows that come out are counted against the
rows that the source has found in the file, so that one lost on the way is noticed.

Frames are in one chunk before expressions see them: Polars 2.1 panics where it formats a column with an empty one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import polars as pl
import pyarrow as pa

from converter import kernel
from converter.compiled import Compiled
from converter.errors import InputError
from converter.ledger import Ledger
from converter.parts import Text, texts_of
from converter.quick import Expected, Quick, Sifted, spliced
from converter.records import Records
from converter.sources import BadRow, Block, InputFile, Piece, Rows, Source, damaged, lost
from converter.sources.delimited import DelimitedSource

_BATCH_ROWS = 65_536
_MOST_WORKERS = 8
_MANY = 8  # one row in so many: when an expectation costs more than it spares
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
    suited = sum(source.file.size for source in sources if isinstance(source, DelimitedSource))
    loops = kernel.load(suited) if Compiled.suits(records) else None
    converter = _Converter(records, loops)
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


@dataclass(frozen=True)
class _Judged:
    """Rows that were converted: the text of the lines, the rejected ones, their places among the rows, and counts."""

    texts: Sequence[Text]
    rejected: pl.DataFrame
    places: Rows
    rows: int
    ledger: Ledger


class _Converter:
    """Converts pieces, and learns on the way what can be expected of the file."""

    def __init__(self, records: Records, loops: ModuleType | None = None) -> None:
        self._records = records
        self._loops = loops
        self._quick = Quick(records)
        self._expected: Expected | None = None  # nothing is known yet
        self._careful = False  # whether most rows are odd, so that the quick query spares nothing

    def tasks(self, source: Source, pool: ThreadPoolExecutor) -> Iterator[Future[Converted]]:
        """Yield the conversions of a file, in order."""
        compiled = None
        if self._loops and isinstance(source, DelimitedSource):
            compiled = Compiled(self._records, source.names, source.separator, self._loops)
        for piece in source.pieces(self._records.columns, self._loops if compiled else None):
            if isinstance(piece, Block):
                yield pool.submit(self._block, compiled, source, piece)
            elif piece.whole:
                yield pool.submit(self._whole, source, piece)
            else:
                yield from self._in_batches(source, piece, pool)

    def _block(self, compiled: Compiled | None, source: Source, block: Block) -> Converted:
        """Convert a block by the loops, but for its odd rows; all of it otherwise where they cannot."""
        formatted = compiled.format(block) if compiled else None
        if compiled is None or formatted is None:
            return self._whole(source, block.take_apart(None))
        ledger, others, places = formatted.ledger, [], np.empty(0, np.int64)
        rejected, numbers, bad, blank = pl.DataFrame(), places, [], 0
        if formatted.odd_text:
            odd = block.take_apart(formatted.odd_text)
            judged = collected(block.file, self._records.lines(self._texts(source, odd.frame)))
            if judged.height != odd.rows or odd.rows + len(odd.bad) + odd.blank != len(formatted.lines):
                raise lost(block.file, len(formatted.lines), judged.height)
            # From newlines in the text of the odd rows to rows, and to lines of the file.
            rows = np.searchsorted(formatted.odd_lines, odd.locate(np.arange(odd.rows)))
            numbers = formatted.lines + block.first
            bad = [replace(row, row=int(numbers[np.searchsorted(formatted.odd_lines, row.row)])) for row in odd.bad]
            blank = odd.blank
            is_rejected = judged["reason"].is_not_null()
            ledger += self._records.tally(judged)
            others = texts_of(judged["line"].drop_nulls())
            places = formatted.places[rows[~is_rejected.to_numpy()]]
            rejected, numbers = judged.filter(is_rejected).rechunk(), numbers[rows[is_rejected.to_numpy()]]
        texts = compiled.text_of(formatted, others, places)
        ledger.read = block.rows - blank
        ledger.written = sum(len(text.ends) for text in texts)
        for row in bad:
            ledger.rejected[row.rule.name] += 1
        return Converted(block.file, texts, rejected, numbers, bad, ledger, block.position)

    def _whole(self, source: Source, piece: Piece) -> Converted:
        """Convert a piece at once; where the engine cannot parse it, without the rows that it cannot parse."""
        while True:
            try:
                judged = self._judged(piece, self._texts(source, piece.frame))
            except InputError:
                if piece.mend is None:
                    raise
            else:
                if judged.rows == piece.rows:
                    return self._converted(piece, judged, 0, piece.position, read=piece.rows + len(piece.bad))
                if piece.mend is None:
                    raise lost(piece.file, piece.rows, judged.rows)
            piece = piece.mend()

    def _in_batches(self, source: Source, piece: Piece, pool: ThreadPoolExecutor) -> Iterator[Future[Converted]]:
        """Convert a piece while the engine reads it; the last task brings the count of its rows."""

        def convert(batch: pl.DataFrame, first: int, position: int, read: int) -> Converted:
            return self._converted(piece, self._judged(piece, batch.rechunk().lazy()), first, position, read=read)

        texts = self._texts(source, piece.frame)
        first = 0
        batches = texts.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
        while True:
            try:
                batch = next(batches, None)
            except ENGINE_ERRORS as error:
                raise damaged(source.file, error) from None
            if batch is None:
                break
            position = round(piece.position * (first + batch.height) / max(piece.rows, 1))
            yield pool.submit(convert, batch, first, position, 0)
            first += batch.height
        if first != piece.rows:
            raise lost(piece.file, piece.rows, first)
        yield pool.submit(convert, pl.DataFrame(schema=texts.collect_schema()), first, piece.position, piece.rows)

    def _texts(self, source: Source, frame: pl.LazyFrame) -> pl.LazyFrame:
        return self._records.texts(frame, source.schema, json_lists=source.json_lists, nullable=source.nullable)

    def _judged(self, piece: Piece, texts: pl.LazyFrame) -> _Judged:
        """Convert rows: quickly, but for the odd ones among them."""
        if self._careful:
            judged = collected(piece.file, self._records.lines(texts))
            rows = judged.height
            return self._gathered(judged["line"].drop_nulls(), judged, np.arange(rows), rows, Ledger())
        expected = self._expected or Expected()
        formatted = collected(piece.file, self._quick.lines(texts, expected))
        plain = self._is_plain(formatted, expected) if piece.plain is None else piece.plain
        sifted = self._quick.sift(formatted, expected, plain=plain)
        self._learn(expected, sifted, formatted.height)
        lines, rows = formatted["line"], formatted.height
        if not len(sifted.odd):
            return self._gathered(lines, None, sifted.odd, rows, sifted.ledger)
        odd = formatted[sifted.odd].rechunk().lazy().select(self._records.place.values())
        judged = collected(piece.file, self._records.lines(odd))
        lines = spliced(lines, sifted.odd, judged["line"])
        return self._gathered(lines, judged, sifted.odd, rows, sifted.ledger)

    def _gathered(
        self, lines: pl.Series, judged: pl.DataFrame | None, places: Rows, rows: int, ledger: Ledger
    ) -> _Judged:
        """Put together what became of `rows` rows, of which `judged` are those at `places`.

        `ledger` counts the signals of the others.
        """
        texts = texts_of(lines)
        ledger.written = sum(len(text.ends) for text in texts)
        if judged is None:
            return _Judged(texts, pl.DataFrame(), places, rows, ledger)
        is_rejected = judged["reason"].is_not_null()
        ledger += self._records.tally(judged)
        return _Judged(texts, judged.filter(is_rejected).rechunk(), places[is_rejected.to_numpy()], rows, ledger)

    def _learn(self, expected: Expected, sifted: Sifted, rows: int) -> None:
        """Expect of the next rows what these were like, which were formatted as `expected`.

        Several workers do so at once; at worst one overrules another, which costs time alone.
        """
        if not rows:
            return
        known = self._expected
        if known is None:
            known = Expected(self._quick.places - sifted.absent)
        elif sifted.incomplete * _MANY > rows:
            known = replace(known, complete=known.complete - sifted.absent)
        if sifted.odd_ids * _MANY > rows and expected.ids_as_they_are:
            known = replace(known, ids_as_they_are=False)
        elif (len(sifted.odd) - sifted.incomplete) * _MANY > rows:
            self._careful = True
        self._expected = known

    def _is_plain(self, formatted: pl.DataFrame, expected: Expected) -> bool:
        """Say whether the lines hold what formatting put there and no more.

        A control character or a double quote in a value is one more than the tab and the newline of each line and
        the four quotes of each pair.
        """
        counts = [text.controls_and_quotes() for text in texts_of(formatted["line"])]
        controls, quotes = sum(count[0] for count in counts), sum(count[1] for count in counts)
        return controls == 2 * formatted.height and quotes == 4 * self._quick.pairs(formatted, expected)

    def _converted(self, piece: Piece, judged: _Judged, first: int, position: int, *, read: int) -> Converted:
        judged.ledger.read = read
        for bad in piece.bad:
            judged.ledger.rejected[bad.rule.name] += 1
        rows = piece.locate(judged.places + first)
        return Converted(piece.file, judged.texts, judged.rejected, rows, piece.bad, judged.ledger, position)


def collected(file: InputFile, query: pl.LazyFrame) -> pl.DataFrame:
    """Run a query. What the engine finds wrong with the file is told without its words, which may quote the data."""
    try:
        return query.collect(engine="streaming")
    except ENGINE_ERRORS as error:
        raise damaged(file, error) from None
