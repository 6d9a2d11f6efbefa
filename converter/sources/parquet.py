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
from converter.sources.tables import Batch, TableSource, mapped_errors, open_native
from converter.sources.typed import is_text

_BUFFER = 1 << 20  # bytes of a column that are read at once
_FIRST_ROWS = 1 << 10
_MOST_ENTRIES = 1 << 14  # of a dictionary: where there are more, most likely it does not hold all texts


def open_parquet(origin: Origin, options: Input) -> TableSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    del options
    with mapped_errors(origin), _open(origin) as parquet:
        schema, footer = parquet.schema_arrow, parquet.metadata
        if sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups)) != footer.num_rows:
            raise _wrong_row_count(origin)
        return TableSource(origin, schema, partial(_batches, origin, schema, footer))


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


def _batches(
    origin: Origin, schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str], most: int
) -> Generator[Batch]:
    rows, dictionaries = _batch_plan(origin, schema, footer, columns, most) if most > _FIRST_ROWS else (most, [])
    read = 0
    with _open(origin, footer, dictionaries) as parquet:
        # Group by group, in equal shares: a batch ends with its group, since its dictionaries do.
        for number in range(footer.num_row_groups):
            group = footer.row_group(number).num_rows
            share = -(-group // max(-(-group // rows), 1)) or 1
            for batch in parquet.iter_batches(share, row_groups=[number], columns=list(columns), use_threads=False):
                read += batch.num_rows
                if read > footer.num_rows:
                    raise _wrong_row_count(origin)
                yield Batch(batch, round((origin.size or 0) * read / footer.num_rows))
    if read != footer.num_rows:
        raise _wrong_row_count(origin)


def _batch_plan(
    origin: Origin, schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str], most: int
) -> tuple[int, list[str]]:
    """Return how many rows a batch may have, at most `most`, and which columns are read as dictionaries.

    Both are estimated from the first rows, since reading sizes from a damaged footer may crash the process. Texts that
    are stored as dictionaries are read as such in half the time, others in twice the time.
    """
    texts = [name for name in columns if is_text(schema.field(name).type)]
    with _open(origin, footer, texts) as parquet:
        batch = next(parquet.iter_batches(_FIRST_ROWS, columns=list(columns), use_threads=False), None)
    if not batch:
        return most, []
    fitting = int(tables.BLOCK_BYTES / max(sum(map(_bytes_a_row, batch.columns)), 1))
    dictionaries = [
        name
        for name in texts
        # A stored dictionary is there as a whole: with many entries, it is longer than the first rows.
        if len(batch.column(name).dictionary) <= batch.num_rows // 2
        or batch.num_rows < len(batch.column(name).dictionary) <= _MOST_ENTRIES
    ]
    return max(min(most, fitting), 1), dictionaries


def _bytes_a_row(column: pa.Array) -> float:
    """Return how many bytes of memory a row takes; of a dictionary, the average of its entries."""
    is_dictionary = pa.types.is_dictionary(column.type)
    values = column.dictionary if is_dictionary else column
    return float(values.nbytes / max(len(values), 1))


def _wrong_row_count(origin: Origin) -> InputError:
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{origin.label}' is damaged: its number of rows is not the one in its footer.",
        "Get the file again.",
    )
