"""Arrow IPC: files, which have an index of their batches, and streams, which have none."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

import pyarrow as pa

from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.sources.origins.base import Origin
from converter.sources.tables import Batch, TableSource, mapped_errors, open_native

_MAGIC = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def open_arrow(origin: Origin, options: Input) -> TableSource:
    """Open an Arrow IPC file or stream. Raises `InputError` where it is damaged."""
    del options
    with mapped_errors(origin):
        is_file = origin.read_at(0, len(_MAGIC)) == _MAGIC
        opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
        with open_native(origin) as raw, opened(raw) as reader:
            schema = reader.schema
        return TableSource(origin, schema, partial(_of_file if is_file else _of_stream, origin, schema))


def _used(schema: pa.Schema, columns: Sequence[str]) -> pa.ipc.IpcReadOptions:
    return pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns])


def _of_file(origin: Origin, schema: pa.Schema, columns: Sequence[str], most: int) -> Generator[Batch]:
    # Memory-mapped, since a file is often one batch, which may be larger than the memory.
    with (
        open_native(origin, mapped=True) as raw,
        pa.ipc.open_file(raw, options=_used(schema, columns)) as reader,
    ):
        count = reader.num_record_batches
        for number in range(count):
            batch = reader.get_batch(number)
            for start in range(0, batch.num_rows, most):
                part = batch.slice(start, most)
                share = (number + (start + part.num_rows) / batch.num_rows) / count
                yield Batch(part, round((origin.size or 0) * share))


def _of_stream(origin: Origin, schema: pa.Schema, columns: Sequence[str], most: int) -> Generator[Batch]:
    with open_native(origin) as raw:
        with pa.ipc.open_stream(raw, options=_used(schema, columns)) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, most):
                    yield Batch(batch.slice(start, most), raw.tell())
        _check_end(origin, raw.tell())


def _check_end(origin: Origin, end: int) -> None:
    """Raise `InputError` unless the stream has its end mark at `end`, and the input ends there.

    Without this, a stream that is cut between two batches would be read as a whole one, and so would the first of
    several streams in one file.
    """
    if origin.read_at(max(end - len(_END_OF_STREAM), 0), end + 1) != _END_OF_STREAM:
        raise InputError(
            "E-INPUT-DAMAGED",
            f"The Arrow stream '{origin.label}' is damaged: it is cut off, or something follows its end.",
            "Get the file again; nothing was published.",
        )
