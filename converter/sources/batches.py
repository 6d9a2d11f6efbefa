"""Batches of rows that are taken in order: streams of Arrow that can be read once, frames of Python, queries.

Of what can be read once the first batches are kept until a run has read further: their types and the first rows are
looked at before it begins.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from converter.jobs.sections.table import Input
from converter.sources.arrow import END_OF_STREAM, MAGIC, Batch, shares_of, torn_stream
from converter.sources.origins.base import Origin, check_rereadable, once_error
from converter.sources.tables import Bounds, Share, TableSource, mapped_errors

_KEPT_BYTES = 1 << 26  # more than what the first rows take, unless they are one batch


class Batches:
    """The batches that `open_` gives: anew each time if `again`, otherwise once. Threads may share them.

    If they are `repeatable`, `open_` is called again only where batches are asked for that are not kept any more.
    """

    def __init__(
        self, origin: Origin, open_: Callable[[], Iterator[Batch]], *, again: bool = False, repeatable: bool = False
    ) -> None:
        self._origin = origin
        self._open = open_
        self._again = again
        self._repeatable = repeatable
        self._batches: Iterator[Batch] | None = None
        self._kept: list[Batch] | None = []
        self._count = self._size = 0
        self._error: Exception | None = None
        self._lock = threading.Lock()  # a thread that reads ahead may still wait for a batch when the next pass begins

    def read(self, *, first: bool = False) -> Generator[Batch]:
        """Yield them from the start. They stay to be read again if only the `first` of them are taken.

        Raises `InputError` where they are not there any more.
        """
        if self._again:
            yield from self._open()
            return
        number = 0
        while (batch := self._at(number, first=first)) is not None:
            yield batch
            number += 1

    def forget(self) -> None:
        """Read from the start the next time, where they are repeatable."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if isinstance(self._batches, Generator):
            self._batches.close()
        self._batches, self._error = None, None
        self._kept, self._count, self._size = [], 0, 0

    def _at(self, number: int, *, first: bool) -> Batch | None:
        with self._lock:
            if self._kept is not None and number < len(self._kept):
                return self._kept[number]
            if number == 0 and self._count and self._repeatable:
                self._forget()
            if number != self._count:
                raise once_error(self._origin, "it was read already")
            if self._error:  # of a pass that read ahead: a generator that has failed looks like one at its end
                raise self._error
            self._batches = self._batches or self._open()
            try:
                batch = next(self._batches, None)
            except Exception as error:  # whatever the program raises that makes the batches
                self._error = error
                raise
            if batch is not None:
                self._count += 1
                self._size += batch.rows.nbytes
                if self._kept is not None:
                    self._kept.append(batch)
            if self._size > _KEPT_BYTES and not first:
                self._kept = None
            return batch


class BatchSource(TableSource):
    """A source of batches, which have the columns of a `schema` that are used. It has so many `rows`, if known."""

    def __init__(
        self, origin: Origin, schema: pa.Schema, batches: Batches, options: Input, rows: int | None = None
    ) -> None:
        super().__init__(
            origin,
            schema,
            partial(_shares, batches, first=False),
            count=None if rows is None else lambda: rows,
            only_texts=bool(options.null_values),
        )
        self._batches = batches

    def beginning(self) -> TableSource:
        """Return the same source, whose batches are kept."""
        other = copy.copy(super().beginning())
        other._read = partial(_shares, self._batches, first=True)
        return other


def _shares(batches: Batches, columns: Sequence[str], bounds: Bounds, *, first: bool) -> Iterator[Share]:
    return shares_of(batches.read(first=first), columns, bounds)


def open_once(origin: Origin, options: Input) -> TableSource:
    """Open an Arrow IPC stream that can be read once. Raises `InputError` where it is a file, or is damaged."""
    with mapped_errors(origin):
        with origin.open() as start:
            is_file = start.read(len(MAGIC)) == MAGIC
        if is_file:
            check_rereadable([origin], "an Arrow file has its index at its end", "Write an Arrow stream instead.")
        raw = _Counted(origin.open())
        reader = pa.ipc.open_stream(pa.PythonFile(raw, "r"))
        return BatchSource(origin, reader.schema, Batches(origin, partial(_batches_of, origin, raw, reader)), options)


def _batches_of(origin: Origin, raw: _Counted, reader: pa.ipc.RecordBatchStreamReader) -> Iterator[Batch]:
    position = 0
    for batch in reader:
        yield Batch(batch, raw.count - position)
        position = raw.count
    if raw.last != END_OF_STREAM or raw.read(1):
        raise torn_stream(origin)


class _Counted(io.RawIOBase):
    """A stream that counts what is read of it, and knows the `last` bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.count += len(data)
        self.last = (self.last + data[-len(END_OF_STREAM) :])[-len(END_OF_STREAM) :]
        return len(data)
