"""Arrow IPC: files, which have an index of their batches, and streams, which have none."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.sources.ahead import ReadAhead
from converter.sources.origins.base import Origin
from converter.sources.tables import Bounds, Share, TableSource, mapped_errors, open_native
from converter.sources.typed import column_at, path_of

MAGIC = b"ARROW1"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def open_arrow(origin: Origin, options: Input) -> TableSource:
    """Open an Arrow IPC file or stream. Raises `InputError` where it is damaged."""
    with mapped_errors(origin):
        is_file = origin.read_at(0, len(MAGIC)) == MAGIC
        opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
        with open_native(origin) as raw, opened(raw) as reader:
            schema = reader.schema
        return TableSource(
            origin,
            schema,
            partial(_shares, origin, schema, is_file=is_file),
            count=partial(_count, origin) if is_file else None,
            sampler=partial(_sample, origin, schema) if is_file else None,
            only_texts=bool(options.null_values),
        )


class Batch(NamedTuple):
    """Some rows of an input, and how many bytes of it are read with them."""

    rows: pa.RecordBatch
    size: float


def _shares(
    origin: Origin, schema: pa.Schema, columns: Sequence[str], bounds: Bounds, *, is_file: bool
) -> Iterator[Share]:
    """Share out the batches of an input, which are read, and unpacked if they are compressed, one share ahead."""
    used = _used(schema, columns)
    return shares_of((_of_file if is_file else _of_stream)(origin, used), columns, bounds)


def shares_of(batches: Iterator[Batch], columns: Sequence[str], bounds: Bounds) -> Iterator[Share]:
    """Share out batches, which a thread takes one share ahead; they may have other columns as well."""
    with contextlib.closing(ReadAhead(_combined(batches, bounds))) as groups:
        for group in groups:
            rows = [batch.rows for batch in group]
            size = round(sum(batch.size for batch in group))
            yield Share(sum(map(len, rows)), size, partial(_columns_of, rows, columns))


def _used(schema: pa.Schema, columns: Sequence[str]) -> pa.ipc.IpcReadOptions:
    """Return the option to read what holds some columns."""
    paths = (path_of(schema, name) for name in columns)
    heads = dict.fromkeys(schema.names.index(path[0]) for path in paths if path)
    return pa.ipc.IpcReadOptions(included_fields=list(heads))


def _count(origin: Origin) -> int:
    with open_native(origin, mapped=True) as raw, pa.ipc.open_file(raw) as reader:
        return int(reader.count_rows())


def _sample(origin: Origin, schema: pa.Schema, columns: Sequence[str], rows: int) -> tuple[list[Share], bool]:
    used = _used(schema, columns)
    # Memory-mapped: what is not used is not read.
    with open_native(origin, mapped=True) as raw, pa.ipc.open_file(raw, options=used) as reader:
        count = reader.num_record_batches
        is_whole = not count or count * len(reader.get_batch(0)) <= 3 * rows
        size = (origin.size or 0) / max(count, 1)
        if is_whole:
            batches = [Batch(reader.get_batch(number), size) for number in range(count)]
        else:
            middle = count // 2
            offset = max(len(reader.get_batch(middle)) - rows, 0) // 2
            batches = [
                *_some(reader, size, 0, 0, rows),
                *_some(reader, size, middle, offset, rows),
                *_last(reader, size, rows),
            ]
    shares = [Share(len(each.rows), round(each.size), partial(_columns_of, [each.rows], columns)) for each in batches]
    return shares, is_whole


def _some(reader: pa.ipc.RecordBatchFileReader, size: float, number: int, offset: int, rows: int) -> Iterator[Batch]:
    """Yield so many rows, from one of a batch on; a batch takes so many bytes, about."""
    while rows > 0 and number < reader.num_record_batches:
        batch = reader.get_batch(number)
        part = batch.slice(offset, rows)
        yield Batch(part, size * len(part) / max(len(batch), 1))
        rows, number, offset = rows - len(part), number + 1, 0


def _last(reader: pa.ipc.RecordBatchFileReader, size: float, rows: int) -> Iterator[Batch]:
    """Yield the last rows, the last batch first."""
    number = reader.num_record_batches - 1
    while rows > 0 and number >= 0:
        batch = reader.get_batch(number)
        part = batch.slice(max(len(batch) - rows, 0))
        yield Batch(part, size * len(part) / max(len(batch), 1))
        rows, number = rows - len(part), number - 1


def _columns_of(batches: Sequence[pa.RecordBatch], columns: Sequence[str]) -> list[list[pa.Array]]:
    paths = [path_of(batches[0].schema, name) or (name,) for name in columns] if batches else []
    return [[column_at(batch, path) for batch in batches] for path in paths]


def _combined(batches: Iterator[Batch], bounds: Bounds) -> Generator[list[Batch]]:
    """Cut large batches, and combine small ones that follow each other: every share takes some time."""
    together: list[Batch] = []
    room = 0
    for whole in batches:
        most = bounds.rows_of(whole.rows.columns)
        for start in range(0, len(whole.rows), most):
            rows = whole.rows.slice(start, most)
            batch = Batch(rows, whole.size * len(rows) / len(whole.rows))
            if len(batch.rows) > min(room, most):
                if together:
                    yield together
                together, room = [], most
            together.append(batch)
            room -= len(batch.rows)
    if together:
        yield together


def _of_file(origin: Origin, used: pa.ipc.IpcReadOptions) -> Generator[Batch]:
    # Memory-mapped, since a file is often one batch, which may be larger than the memory.
    with open_native(origin, mapped=True) as raw, pa.ipc.open_file(raw, options=used) as reader:
        count = reader.num_record_batches
        for number in range(count):
            yield Batch(reader.get_batch(number), (origin.size or 0) / count)


def _of_stream(origin: Origin, used: pa.ipc.IpcReadOptions) -> Generator[Batch]:
    with open_native(origin) as raw:
        with pa.ipc.open_stream(raw, options=used) as reader:
            position = 0
            for batch in reader:
                yield Batch(batch, raw.tell() - position)
                position = raw.tell()
        _check_end(origin, raw.tell())


def _check_end(origin: Origin, end: int) -> None:
    """Raise `InputError` unless the stream has its end mark at `end`, and the input ends there.

    Without this, a stream that is cut between two batches would be read as a whole one, and so would the first of
    several streams in one file.
    """
    if origin.read_at(max(end - len(END_OF_STREAM), 0), end + 1) != END_OF_STREAM:
        raise torn_stream(origin)


def torn_stream(origin: Origin) -> InputError:
    """Return the error that a stream has no end mark, or does not end with it."""
    return InputError(
        "E-INPUT-DAMAGED",
        f"The Arrow stream '{origin.label}' is damaged: it is cut off, or something follows its end.",
        "Get the file again; nothing was published.",
    )
