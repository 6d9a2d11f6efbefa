"""Parquet. Checksums of pages are verified where they are there.

A share is a run of small row groups, or a part of a large one. Parts of one group are read by several workers in turn,
column by column: each column of a group has a reader of its own, and while one worker decodes a column, the next one
decodes those before it. So no page is decoded twice, and memory holds no more than the shares under way.

Some row groups of a file are a source of their own (`ParquetSource.within`). Rows that are deleted in a table are left
out; the others keep their numbers.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.sources.base import Span
from converter.sources.delta import of_table
from converter.sources.origins.base import Origin
from converter.sources.tables import BLOCK_BYTES, Bounds, Share, TableSource, mapped_errors, open_native
from converter.sources.typed import column_at, is_text, path_of

_BUFFER = 1 << 20  # bytes of a column that are read at once
_FIRST_ROWS = 1 << 10
_MOST_ENTRIES = 1 << 14  # of a dictionary: where there are more, most likely it does not hold all texts


class _File(NamedTuple):
    """A file whose footer is read, and those of its row groups that are."""

    origin: Origin
    schema: pa.Schema
    footer: pq.FileMetaData
    groups: range
    deleted: npt.NDArray[np.uint8] | None  # a bit for each row of the file, as far as there are some

    @property
    def sizes(self) -> dict[int, int]:
        """The number of rows of each row group."""
        return {number: int(self.footer.row_group(number).num_rows) for number in self.groups}

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return sum(self.sizes.values())

    @property
    def before(self) -> int:
        """The number of rows before those row groups."""
        return sum(int(self.footer.row_group(number).num_rows) for number in range(self.groups.start))

    def deleted_in(self, start: int, rows: int) -> npt.NDArray[np.bool_] | None:
        """Return which of so many rows from one on are deleted; `None` where none is. `start` counts in its groups."""
        if self.deleted is None:
            return None
        first, skipped = divmod(self.before + start, 8)
        bits = self.deleted[first : first + (skipped + rows + 7) // 8]
        are_deleted = np.zeros(rows, np.bool_)
        known = np.unpackbits(bits)[skipped : skipped + rows]
        are_deleted[: len(known)] = known
        return are_deleted if known.any() else None

    def bytes_of(self, rows: int) -> int:
        """Return how many bytes of the file so many rows take, about: sizes in a footer may be wrong."""
        share = rows / max(int(self.footer.num_rows), 1)
        return round((self.origin.size or 0) * share)


class ParquetSource(TableSource):
    """A Parquet file, or some of its row groups."""

    def __init__(self, file: _File, *, only_texts: bool) -> None:
        super().__init__(
            file.origin,
            file.schema,
            partial(_shares, file),
            count=partial(_count, file),
            sampler=partial(_sample, file),
            only_texts=only_texts,
        )
        self._file = file

    def spans(self, most: int) -> list[Span]:
        """Return spans of it, in order: whole row groups, of `most` bytes together, about. There may be one."""
        spans: list[Span] = []
        start = before = rows = 0
        for number, size in self._file.sizes.items():
            if rows and self._file.bytes_of(rows + size) > most:
                spans.append(Span(start, number, before))
                start, before, rows = number, before + rows, 0
            rows += size
        return [*spans, Span(start, self._file.groups.stop, before)]

    def within(self, span: Span) -> ParquetSource:
        """Return a span of it as a source."""
        file = self._file._replace(groups=range(span.start, span.stop))
        other = ParquetSource(file, only_texts=self._only_texts)
        other.roles, other.typed, other.partition = self.roles, self.typed, self.partition
        other.before = span.before
        return other


def open_parquet(origin: Origin, options: Input) -> ParquetSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    with mapped_errors(origin), _open(origin) as parquet:
        footer = parquet.metadata
        table = of_table(origin)
        deleted = table.deleted if table else None
        file = _File(origin, parquet.schema_arrow, footer, range(footer.num_row_groups), deleted)
        if file.rows != footer.num_rows:
            raise _wrong_row_count(origin)
        return ParquetSource(file, only_texts=bool(options.null_values))


@contextlib.contextmanager
def _open(
    origin: Origin, footer: pq.FileMetaData | None = None, dictionaries: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    with (
        open_native(origin) as raw,
        pq.ParquetFile(
            raw,
            metadata=footer,
            read_dictionary=dictionaries,
            buffer_size=_BUFFER,
            pre_buffer=False,
            # In nanoseconds, most dates of such columns would overflow.
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        ) as parquet,
    ):
        yield parquet


def _count(file: _File) -> int:
    """Return how many rows there are that are not deleted."""
    are_deleted = file.deleted_in(0, file.rows)
    return file.rows if are_deleted is None else file.rows - int(are_deleted.sum())


def _shares(file: _File, columns: Sequence[str], bounds: Bounds) -> Iterator[Share]:
    rows, dictionaries = _plan(file, columns, bounds)
    start = 0
    for groups in _runs(file.sizes, rows):
        count = sum(groups.values())
        share = -(-count // -(-count // rows))
        counts = [min(share, count - start) for start in range(0, count, share)]
        readers = [_Column(file, name, list(groups), counts, dictionary=name in dictionaries) for name in columns]
        for part, part_rows in enumerate(counts):
            deleted = file.deleted_in(start, part_rows)
            yield Share(part_rows, file.bytes_of(part_rows), partial(_read, readers, part), deleted)
            start += part_rows


def _sample(file: _File, columns: Sequence[str], rows: int) -> tuple[list[Share], bool]:
    all_rows = file.rows
    if all_rows <= 3 * rows:
        return list(_shares(file, columns, Bounds(rows, BLOCK_BYTES))), True
    starts = (0, (all_rows - rows) // 2, all_rows - rows)
    size = file.bytes_of(rows)
    return [
        Share(rows, size, partial(_slice, file, columns, start, rows), file.deleted_in(start, rows)) for start in starts
    ], False


def _slice(file: _File, columns: Sequence[str], start: int, rows: int) -> list[list[pa.Array]]:
    """Read some rows; of a row group, those before them are decoded as well."""
    found: list[list[pa.Array]] = [[] for _ in columns]
    first = 0
    for group, count in file.sizes.items():
        begin, end = max(start - first, 0), min(start + rows - first, count)
        if begin < end:
            for arrays, name in zip(found, columns, strict=True):
                at = 0
                for array in _arrays(file, name, [group], rows, dictionary=False):
                    arrays.append(array[max(begin - at, 0) : max(end - at, 0)])
                    at += len(array)
                    if at >= end:
                        break
        first += count
    return found


def _runs(sizes: Mapping[int, int], most: int) -> Iterator[dict[int, int]]:
    """Yield row groups, by number, with their rows: small ones together, up to `most` rows, and large ones alone."""
    run: dict[int, int] = {}
    for number, rows in sizes.items():
        if run and sum(run.values()) + rows > most:
            yield run
            run = {}
        if rows:
            run[number] = rows
    if run:
        yield run


def _plan(file: _File, columns: Sequence[str], bounds: Bounds) -> tuple[int, Sequence[str]]:
    """Return how many rows a share may have, and which columns are read as dictionaries.

    Both are estimated from the first rows, since reading sizes from a damaged footer may crash the process. Texts that
    are stored as dictionaries are read as such in half the time, others in twice the time.
    """
    if bounds.rows <= _FIRST_ROWS or not file.rows:
        return bounds.rows, ()
    texts = [name for name in columns if name in file.schema.names and is_text(file.schema.field(name).type)]
    with _open(file.origin, file.footer, texts) as parquet:
        batches = parquet.iter_batches(_FIRST_ROWS, list(file.groups), list(columns), use_threads=False)
        batch = next(batches, None)
    if not batch:
        return bounds.rows, ()
    dictionaries = [
        name
        for name in texts
        # A stored dictionary is there as a whole: with many entries, it is longer than the first rows.
        if len(batch.column(name).dictionary) <= batch.num_rows // 2
        or batch.num_rows < len(batch.column(name).dictionary) <= _MOST_ENTRIES
    ]
    return bounds.rows_of(batch.columns), dictionaries


def _read(columns: Sequence[_Column], part: int) -> list[list[pa.Array]]:
    """Read a part of all columns."""
    try:
        return [column.read(part) for column in columns]
    except BaseException:
        for column in columns:
            column.fail()  # else the next part would be waited for in vain
        raise


class _Column:
    """Reads a column of some row groups in parts of `counts` rows.

    Several workers may read at the same time, each another part; every part waits for the one before it.
    """

    def __init__(self, file: _File, name: str, groups: list[int], counts: Sequence[int], *, dictionary: bool) -> None:
        self._file = file
        self._counts = counts
        self._arrays = _arrays(file, name, groups, counts[0], dictionary=dictionary)
        self._changed = threading.Condition()
        self._next = 0
        self._failed = False

    def read(self, part: int) -> list[pa.Array]:
        """Return the arrays of a part. Raises `InputError` where the rows are not as many as in the footer."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == part or self._failed)
            if self._next != part:
                raise pa.ArrowInvalid("A part before this one could not be read.")
        arrays, rows = [], 0
        for array in self._arrays:
            arrays.append(array)
            rows += len(array)
            if rows >= self._counts[part]:
                break
        is_last = part == len(self._counts) - 1
        if rows != self._counts[part] or (is_last and next(self._arrays, None) is not None):
            raise _wrong_row_count(self._file.origin)
        with self._changed:
            self._next += 1
            self._changed.notify_all()
        return arrays

    def fail(self) -> None:
        """Let no worker wait for a part before its own."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()


def _arrays(file: _File, name: str, groups: list[int], most: int, *, dictionary: bool) -> Generator[pa.Array]:
    """Yield a column of some row groups in arrays of at most so many rows."""
    with _open(file.origin, file.footer, [name] if dictionary else []) as parquet:
        for batch in parquet.iter_batches(most, row_groups=groups, columns=[name], use_threads=False):
            yield column_at(batch, path_of(file.schema, name) or (name,))


def _wrong_row_count(origin: Origin) -> InputError:
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{origin.label}' is damaged: its number of rows is not the one in its footer.",
        "Get the file again.",
    )
