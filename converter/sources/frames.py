"""Frames of Python as inputs: of Polars, of pyarrow, and all that give a stream of Arrow.

They are taken batch by batch, and only the columns that the job uses, as far as their library can leave others out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import polars as pl
import pyarrow as pa

from converter.errors import InputError
from converter.jobs.arguments import wrong_argument
from converter.jobs.sections.table import Input
from converter.sources.arrow import Batch
from converter.sources.base import PANICS
from converter.sources.batches import Batches, BatchSource
from converter.sources.header import check_columns
from converter.sources.row_origins import RowOrigin
from converter.sources.typed import heads_of

_ROWS = 1 << 17  # of a batch
_NEWEST = pl.CompatLevel.newest()  # texts are views, which are not copied
_CHUNK_VARIABLE = "POLARS_CSV_CHUNK_SIZE"
_CHUNK_BYTES = 1 << 22


class ArrowStream(Protocol):
    """What gives a stream of Arrow: a frame of pandas or Polars, a table or reader of pyarrow, a relation of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the stream as a capsule."""
        ...


Frame: TypeAlias = pl.LazyFrame | ArrowStream
"""A frame, which is an input."""


class _Opened(NamedTuple):
    """A frame: its columns, `select` for those that are used, and how many rows it has, if that is known.

    `select` returns their schema, and a function that gives their batches.
    """

    names: Sequence[str]
    select: Callable[[list[str]], tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]]
    rows: int | None = None
    again: bool = False


def open_frame(frame: Frame, options: Input, columns: Sequence[str], own: Sequence[str]) -> BatchSource:
    """Open a frame with those of `columns` that it has, and check that it has its `own` ones.

    Raises `JobError` where it is not a frame, `ColumnError` where a column is missing, and `InputError` where it fails.
    """
    kind = type(frame)
    label = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    with _failing(label):
        opened = _opened(frame)
    if opened is None:
        raise wrong_argument("input", frame, "a frame of Polars, pandas or pyarrow")
    used = [name for name in heads_of(columns, opened.names) if opened.names.count(name) == 1]
    with _failing(label):
        selected, open_ = opened.select(used)
    types = {field.name: field.type for field in selected}
    schema = pa.schema([(name, types.get(name, pa.null())) for name in opened.names])
    origin = RowOrigin(label, id(frame), rereadable=opened.again)
    batches = Batches(origin, partial(_batches, label, open_), again=opened.again)
    source = BatchSource(origin, schema, batches, options, opened.rows)
    check_columns(source, own)
    return source


def _opened(frame: Any) -> _Opened | None:
    if isinstance(frame, pl.DataFrame):
        return _Opened(frame.columns, partial(_of_frame, frame), frame.height, again=True)
    if isinstance(frame, pl.LazyFrame):
        schema = frame.collect_schema()
        return _Opened(schema.names(), partial(_of_query, frame, schema))
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    if isinstance(frame, pa.Table):
        return _Opened(frame.column_names, partial(_of_table, frame), frame.num_rows, again=True)
    if not hasattr(frame, "__arrow_c_stream__") or isinstance(frame, pl.Series | pa.ChunkedArray):
        return None
    reader = frame if isinstance(frame, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(frame)
    return _Opened(reader.schema.names, lambda used: (_fields(reader.schema, used), lambda: iter(reader)))


def _of_frame(frame: pl.DataFrame, used: list[str]) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    selected = frame.select(used)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in selected.iter_slices(_ROWS):
            yield from part.to_arrow(compat_level=_NEWEST).to_batches()

    return selected.head(0).to_arrow(compat_level=_NEWEST).schema, batches


def _of_query(
    query: pl.LazyFrame, types: pl.Schema, used: list[str]
) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    selected = query.select(used)

    def batches() -> Iterator[pa.RecordBatch]:
        with _in_small_chunks():
            for part in selected.collect_batches(maintain_order=True, engine="streaming"):
                yield from part.to_arrow(compat_level=_NEWEST).to_batches()

    empty = pl.DataFrame(schema={name: types[name] for name in used})
    return empty.to_arrow(compat_level=_NEWEST).schema, batches


@contextlib.contextmanager
def _in_small_chunks() -> Iterator[None]:
    """Let queries read CSV files in smaller chunks than Polars does by itself, which takes 300 MB for those under way.

    As fast (measured); there is no other way to say so than the environment, whose own value is kept.
    """
    if _CHUNK_VARIABLE in os.environ:
        yield
        return
    os.environ[_CHUNK_VARIABLE] = str(_CHUNK_BYTES)
    try:
        yield
    finally:
        os.environ.pop(_CHUNK_VARIABLE, None)


def _of_table(table: pa.Table, used: list[str]) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    selected = table.select(used)
    return selected.schema, lambda: iter(selected.to_batches(max_chunksize=_ROWS))


def _fields(schema: pa.Schema, used: list[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in used])


def _batches(label: str, open_: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[Batch]:
    with _failing(label):
        for batch in open_():
            yield Batch(batch, batch.nbytes)


@contextlib.contextmanager
def _failing(label: str) -> Iterator[None]:
    """Turn what a library raises into an error of the input. Its message may quote the data: it is only the cause."""
    try:
        yield
    except (*PANICS, pa.ArrowException, OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            "E-INPUT-FRAME",
            f"The input, a {label}, cannot be read ({type(error).__name__}).",
            "See the cause of this error, which is what the library of the frame says.",
        ) from error
