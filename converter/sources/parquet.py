"""Parquet. Checksums of pages are verified where they are there."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from converter.errors import InputError
from converter.sections.table import Input
from converter.sources.base import InputFile
from converter.sources.tables import Batch, TableSource, telling
from converter.sources.typed import is_text

_BUFFER = 1 << 20  # bytes: so much of a column is read at once
_BATCH = 1 << 26  # bytes: a batch takes about so much memory at most, as the footer has it
_LENGTH = 4  # bytes before each text that is not in a dictionary
_DICTIONARY = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def open_parquet(file: InputFile, options: Input) -> TableSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    del options
    with telling(file), _opened(file) as parquet:
        schema, footer = parquet.schema_arrow, parquet.metadata
        if sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups)) != footer.num_rows:
            raise _wrong_rows(file)
        return TableSource(file, schema, partial(_batches, file, schema, footer))


@contextlib.contextmanager
def _opened(
    file: InputFile, footer: pq.FileMetaData | None = None, dictionaries: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    with (
        pa.OSFile(str(file.path)) as raw,
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
    file: InputFile, schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str], most: int
) -> Generator[Batch]:
    rows = min(most, _fitting(footer, columns))
    read = 0
    with _opened(file, footer, _in_dictionaries(schema, footer, columns)) as parquet:
        for batch in parquet.iter_batches(rows, columns=list(columns), use_threads=False):
            read += batch.num_rows
            if read > footer.num_rows:
                break
            yield Batch(batch, round(file.size * read / footer.num_rows))
    if read != footer.num_rows:
        raise _wrong_rows(file)


def _fitting(footer: pq.FileMetaData, columns: Sequence[str]) -> int:
    """Return how many rows a batch may have so that it takes about as much memory as it may."""
    places = [place for place, path in _paths(footer) if path.partition(".")[0] in columns]
    most = 1
    for group in _groups(footer):
        size = sum(group.column(place).total_uncompressed_size for place in places)
        most = max(most, size // max(group.num_rows, 1))
    return max(_BATCH // most, 1)


def _in_dictionaries(schema: pa.Schema, footer: pq.FileMetaData, columns: Sequence[str]) -> list[str]:
    """Return columns of texts that are read as dictionaries: it takes half the time where they are stored so.

    Where they are not, it takes twice the time. The footer does not say it, but what is smaller than the lengths of its
    texts alone is stored so.
    """
    texts = {name for name in columns if is_text(schema.field(name).type)}
    return [path for place, path in _paths(footer) if path in texts and _is_dictionary(footer, place)]


def _is_dictionary(footer: pq.FileMetaData, place: int) -> bool:
    chunks = (group.column(place) for group in _groups(footer))
    return all(
        chunk.total_uncompressed_size < _LENGTH * chunk.num_values and _DICTIONARY.issuperset(chunk.encodings)
        for chunk in chunks
    )


def _paths(footer: pq.FileMetaData) -> Iterator[tuple[int, str]]:
    return ((place, footer.schema.column(place).path) for place in range(footer.num_columns))


def _groups(footer: pq.FileMetaData) -> Iterator[pq.RowGroupMetaData]:
    return (footer.row_group(number) for number in range(footer.num_row_groups))


def _wrong_rows(file: InputFile) -> InputError:
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{file.path}' is damaged: it has another number of rows than its footer says.",
        "Get the file again.",
    )
