"""Tables of typed columns: Parquet and Arrow IPC, whose readers are in modules of their own.

1. A reader gives batches of the columns that the job uses, in order, each with a bounded number of rows. All readers
   are those of Arrow: a damaged file makes them raise an error, where other readers crash the process.
2. Each batch is validated, and becomes a frame of Polars (`typed`).
3. The number of rows comes from the file's own metadata; the rows that are read are counted against it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from converter.errors import InputError
from converter.kernel.calls import Form, Loops
from converter.sources.base import PANICS, Block, Budget, Piece, Rest, Task, damaged, engine_failed, rows_lost
from converter.sources.origins.base import Origin
from converter.sources.typed import Types, series_of

BLOCK_BYTES = 1 << 26
"""How much memory the rows of a block take, about, at most."""
_BLOCK_ROWS = 1 << 17
_FIRST_ROWS = 1 << 10  # of a block, where only the first rows are needed
_IMPOSSIBLE = 1 << 44  # bytes: no system has so much memory
_UNSUPPORTED = re.compile("support|encrypt", re.IGNORECASE)  # in messages about files that Arrow cannot read
# What Arrow raises where a file is damaged: a name that is not UTF-8 is a `ValueError`.
_DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError)


class Batch(NamedTuple):
    """Some rows of an input; `position` is how many bytes of it are read."""

    rows: pa.RecordBatch
    position: int


Reader = Callable[[Sequence[str], int], Generator[Batch]]
"""Reads some columns of an input, in batches of at most as many rows. It raises what Arrow raises."""


class TableSource:
    """One input of typed columns, of which `read` gives batches."""

    has_header = False
    json_lists = False
    nullable = True

    def __init__(self, origin: Origin, schema: pa.Schema, read: Reader, most_rows: int | None = None) -> None:
        self.origin = origin
        self._arrow = schema
        self._read = read
        self._most_rows = most_rows
        self.names = tuple(schema.names)
        self._types = Types(origin.label, schema)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types; asking for one that cannot be read raises `ColumnError`."""
        return self._types

    def beginning(self) -> TableSource:
        """Return the same source, in small blocks."""
        return TableSource(self.origin, self._arrow, self._read, _FIRST_ROWS)

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the input in blocks, each in memory."""
        del loops, budget
        position = 0
        most = self._most_rows or _BLOCK_ROWS
        # The next block is read while this one is used.
        with (
            contextlib.closing(self._read(columns, most)) as batches,
            ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
        ):
            groups = _combined(batches, most)
            coming = reader.submit(self._next, groups, columns)
            while (block := coming.result()) is not None:
                coming = reader.submit(self._next, groups, columns)
                frame, end = block
                piece = Piece(self.origin, frame.height, end - position)
                yield Task(self, partial(_block_of, piece, frame))
                position = end

    def _next(self, groups: Iterator[list[Batch]], columns: Sequence[str]) -> tuple[pl.DataFrame, int] | None:
        with mapped_errors(self.origin):
            batches = next(groups, None)
            if batches is None:
                return None
            frames = [pl.DataFrame([series_of(name, each.rows.column(name)) for name in columns]) for each in batches]
            frame = pl.concat(frames, rechunk=True) if len(frames) > 1 else frames[0]
        rows = sum(each.rows.num_rows for each in batches)
        if frame.height != rows:
            raise rows_lost(self.origin, rows, frame.height)
        return frame, batches[-1].position


def _combined(batches: Iterator[Batch], most: int) -> Iterator[list[Batch]]:
    """Combine small batches that follow each other: every block takes some time, however small it is."""
    together: list[Batch] = []
    rows = size = 0
    for batch in batches:
        rows, size = rows + batch.rows.num_rows, size + batch.rows.nbytes
        if together and (rows > most or size > BLOCK_BYTES):
            yield together
            together, rows, size = [], batch.rows.num_rows, batch.rows.nbytes
        together.append(batch)
    if together:
        yield together


def open_native(origin: Origin, *, mapped: bool = False) -> pa.NativeFile:
    """Open an origin for Arrow: a local file by its path, memory-mapped if `mapped`."""
    if origin.path is None:
        return pa.PythonFile(origin.open(), "r")
    return pa.memory_map(str(origin.path)) if mapped else pa.OSFile(str(origin.path))


@contextlib.contextmanager
def mapped_errors(origin: Origin) -> Iterator[None]:
    """Turn errors of Arrow into those of the input: it is damaged, or uses what is not supported."""
    try:
        yield
    except pa.ArrowMemoryError as error:
        asked = re.search(r"size (\d+)", str(error))
        if asked is None or int(asked[1]) < _IMPOSSIBLE:
            raise
        raise damaged(origin, error) from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError("E-INPUT-READ", f"The input '{origin.label}' cannot be read: {error.strerror}.") from error
        if isinstance(error, pa.ArrowNotImplementedError) or _UNSUPPORTED.search(str(error)):
            raise InputError(
                "E-INPUT-UNSUPPORTED",
                f"The input '{origin.label}' uses something of its format that cannot be read, or is damaged.",
                "Write it with other settings (compression, encoding, encryption), or get it again.",
            ) from error
        raise damaged(origin, error) from error
    except PANICS as error:
        raise engine_failed(origin, error) from error


def _block_of(piece: Piece, frame: pl.DataFrame, form: Form | None) -> Block:
    """Return a block that was read before it was asked for."""
    del form  # it is for texts
    return Block((piece,), frame.height, Rest.of_frame(frame), np.arange(frame.height))
