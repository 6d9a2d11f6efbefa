"""Parquet. Checksums of pages are verified where they are there."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.sources import tables
from converter.sources.origins.base import Origin
from converter.sources.tables import Batch, TableSource, open_native, telling
from converter.sources.typed import is_text

_BUFFER = 1 << 20  # bytes: so much of a column is read at once
_FIRST_ROWS = 1 << 10
_MOST_ENTRIES = 1 << 14  # of dictionaries: where there are more, most likely not all texts are in them


def open_parquet(origin: Origin, options: Input) -> TableSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    del options
    with telling(origin), _opened(origin) as parquet:
        schema, footer = parquet.schema_arrow, parquet.metadata
        if sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups)) != footer.num_rows:
            raise _wrong_rows(origin)
        return TableSource(origin, schema, partial(_batches, origin, schema, footer))


@contextlib.contextmanager
def _opened(
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
            # In nanoseconds, the dates of most such columns would be others than were written.
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        ) as parquet,
    ):
        yield parquet


def _batches(
    origin: Origin, schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str], most: int
) -> Generator[Batch]:
    rows, dictionaries = _first_look(origin, schema, footer, columns, most) if most > _FIRST_ROWS else (most, [])
    read = 0
    with _opened(origin, footer, dictionaries) as parquet:
        # Group by group, in equal shares: a batch ends with its group, since its dictionaries do.
        for number in range(footer.num_row_groups):
            group = footer.row_group(number).num_rows
            share = -(-group // max(-(-group // rows), 1)) or 1
            for batch in parquet.iter_batches(share, row_groups=[number], columns=list(columns), use_threads=False):
                read += batch.num_rows
                if read > footer.num_rows:
                    raise _wrong_rows(origin)
                yield Batch(batch, round((origin.size or 0) * read / footer.num_rows))
    if read != footer.num_rows:
        raise _wrong_rows(origin)


def _first_look(
    origin: Origin, schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str], most: int
) -> tuple[int, list[str]]:
    """Return how many rows a batch may have, at most so many, and which columns are read as dictionaries.

    By the first rows, since to ask the footer for sizes may end the process where it is damaged. Texts are read in half
    the time as dictionaries where they are stored so, and in twice the time where they are not.
    """
    texts = [name for name in columns if is_text(schema.field(name).type)]
    with _opened(origin, footer, texts) as parquet:
        batch = next(parquet.iter_batches(_FIRST_ROWS, columns=list(columns), use_threads=False), None)
    if not batch:
        return most, []
    fitting = int(tables.PIECE_BYTES / max(sum(map(_bytes_a_row, batch.columns)), 1))
    dictionaries = [
        name
        for name in texts
        # All entries are there at once where they are stored so: more than there are rows, if they are many.
        if len(batch.column(name).dictionary) <= batch.num_rows // 2
        or batch.num_rows < len(batch.column(name).dictionary) <= _MOST_ENTRIES
    ]
    return max(min(most, fitting), 1), dictionaries


def _bytes_a_row(column: pa.Array) -> float:
    """Return how much memory a row takes; of a dictionary, what its entries have on average."""
    is_dictionary = pa.types.is_dictionary(column.type)
    values = column.dictionary if is_dictionary else column
    return float(values.nbytes / max(len(values), 1))


def _wrong_rows(origin: Origin) -> InputError:
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{origin.label}' is damaged: it has another number of rows than its footer says.",
        "Get the file again.",
    )
