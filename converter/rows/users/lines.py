"""Lines of users with the rows that they are of, in arrays; and how they are partitioned and kept on disk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.buffers import Text
from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.sink import Positions
from converter.rows.spill import hashes_of
from converter.sources.malformed import RowNumbers


class RowsOfLines(NamedTuple):
    """The row numbers in a block of the rows of lines and, where rows have an order, their ranks."""

    numbers: RowNumbers
    ranks: Positions | None = None

    @classmethod
    def of(cls, numbers: RowNumbers, frame: pl.DataFrame, rows: Positions | npt.NDArray[np.bool_]) -> RowsOfLines:
        """Return those of some rows of a frame, whose row numbers are given."""
        return cls(numbers[rows], frame["rank"].to_numpy()[rows] if "rank" in frame.columns else None)

    def with_others(self, others: RowsOfLines, places: Positions) -> RowsOfLines:
        """Return these rows with others inserted, each before the one at its place."""
        ranks = None
        if self.ranks is not None:
            ranks = np.insert(self.ranks, places, others.ranks if others.ranks is not None else [])
        return RowsOfLines(np.insert(self.numbers, places, others.numbers), ranks)


SIGNAL = r'(?:"[^"]*"|[^",])+'
"""A signal, among others with commas between them."""
Rows = npt.NDArray[np.uint64]
"""Where rows are: the number of the block, and in the lower 32 bits that of the row in it (`taken.Places`)."""


class UserLines(NamedTuple):
    r"""Lines `ID<TAB>SIGNAL,SIGNAL…\n`, one after the other, and where each ends, in bytes.

    `at` says which row each line is of, and `ranks`, where the job has an order, which row of a user is later (the
    greater one).
    """

    text: Bytes
    ends: Positions
    at: Rows
    ranks: Positions | None = None

    @property
    def size(self) -> int:
        """How many bytes of memory they take."""
        return sum(each.nbytes for each in self if each is not None)

    def between(self, start: int, end: int) -> UserLines:
        """Return the lines with these indices; they refer to the same memory."""
        first = int(self.ends[start - 1]) if start else 0
        last = int(self.ends[end - 1]) if end else 0
        ranks = None if self.ranks is None else self.ranks[start:end]
        return UserLines(self.text[first:last], self.ends[start:end] - first, self.at[start:end], ranks)

    @classmethod
    def joined(cls, parts: Sequence[UserLines]) -> UserLines:
        """Return the lines of several parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        starts = itertools.accumulate((len(part.text) for part in parts), initial=0)
        ranks = [part.ranks for part in parts if part.ranks is not None]
        return cls(
            np.concatenate([np.zeros(0, np.uint8), *(part.text for part in parts)]),
            np.concatenate(
                [np.zeros(0, np.int64), *(part.ends + start for part, start in zip(parts, starts, strict=False))]
            ),
            np.concatenate([np.zeros(0, np.uint64), *(part.at for part in parts)]),
            np.concatenate(ranks) if ranks else None,
        )

    def partitioned(self, skipped: int, bits: int, shift: int, loops: Loops | None) -> list[UserLines]:
        """Return the lines partitioned by `bits` of the hashes of their IDs, from bit `shift` on, in the same order.

        The ID of a line is after `skipped` other fields.
        """
        if not bits or not len(self.ends):
            return [self, *[self.between(0, 0)] * ((1 << bits) - 1)]
        if loops:
            grouped = loops.partition(self.text, self.ends, skipped, bits, shift)
            ranks = None if self.ranks is None else self.ranks[grouped.order]
            ordered = UserLines(grouped.lines, grouped.ends, self.at[grouped.order], ranks)
            return [ordered.between(start, end) for start, end in itertools.pairwise(grouped.edges.tolist())]
        numbers = (hashes_of(ids_of(self.texts(), skipped)) >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
        edges = np.cumsum([0, *np.bincount(numbers.astype(np.int64), minlength=1 << bits)]).tolist()
        ordered = self.taken(np.argsort(numbers.astype(np.uint16), kind="stable"))
        return [ordered.between(start, end) for start, end in itertools.pairwise(edges)]

    def texts(self) -> pl.Series:
        """Return the lines as texts (String)."""
        return lines_of(self.text, self.ends)

    def as_texts(self) -> list[Text]:
        """Return the lines as one text, or none where there are no lines."""
        return [Text((self.text,), self.ends)] if len(self.ends) else []

    def packed(self) -> memoryview:
        """Return the lines as an Arrow IPC stream, compressed by LZ4."""
        import pyarrow as pa  # here, since it takes a while

        offsets = np.concatenate([np.zeros(1, np.int32), self.ends.astype(np.int32)])
        lines = pa.BinaryArray.from_buffers(
            pa.binary(), len(self.ends), [None, pa.py_buffer(offsets), pa.py_buffer(self.text)]
        )
        columns = {"line": lines, "at": pa.array(self.at)}
        if self.ranks is not None:
            columns["rank"] = pa.array(self.ranks)
        batch = pa.record_batch(columns)
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_batch(batch)
        return memoryview(stream.getvalue())

    @classmethod
    def unpacked(cls, data: bytes) -> UserLines:
        """Return the lines that `packed` gave."""
        import pyarrow as pa  # here, since it takes a while

        batch = pa.ipc.open_stream(data).read_next_batch()
        _, offsets, text = batch.column(0).buffers()
        ends = np.frombuffer(offsets, np.int32)[1 : batch.num_rows + 1].astype(np.int64)
        numbers = [column.to_numpy() for column in batch.columns[1:]]
        return cls(np.frombuffer(text, np.uint8, int(ends[-1])), ends, *numbers)

    def distinct(self) -> UserLines:
        """Return the lines without those that are of the same row as another."""
        _, rows = np.unique(self.at, return_index=True)
        return self if len(rows) == len(self.at) else self.taken(np.sort(rows))

    def hashes(self, skipped: int, loops: Loops | None) -> npt.NDArray[np.uint64]:
        """Return the hashes of the IDs of the lines, each of which is after `skipped` other fields."""
        if loops:
            return loops.hashes(self.text, self.ends, skipped)
        return hashes_of(ids_of(self.texts(), skipped))

    def taken(self, rows: Positions, loops: Loops | None = None) -> UserLines:
        """Return some of the lines, by their indices, in new memory."""
        if loops:
            text, ends = loops.taken(self.text, self.ends, rows)
        else:
            text, ends = bytes_of(self.texts().gather(pl.Series(rows)))
        return UserLines(text, ends, self.at[rows], None if self.ranks is None else self.ranks[rows])


def lines_of(text: Bytes, ends: Positions) -> pl.Series:
    """Return lines as texts (String) by where each ends, in bytes."""
    import pyarrow as pa  # here, since it takes a while

    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    return pl.Series(pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text)))


def signals_in(lines: pl.Expr) -> pl.Expr:
    """Return the signals of lines (String), with commas between them."""
    return lines.str.strip_suffix("\n").str.split("\t").list.last()


def ids_of(lines: pl.Series, skipped: int) -> pl.Series:
    """Return the IDs of lines (String), each after `skipped` other fields."""
    fields: pl.Series = lines.str.split_exact("\t", skipped + 1).struct.field(f"field_{skipped}")
    return fields


def bytes_of(lines: pl.Series) -> tuple[Bytes, Positions]:
    """Return lines (String without nulls) one after the other, and where each ends, in bytes."""
    if not len(lines):
        return np.zeros(0, np.uint8), np.zeros(0, np.int64)
    array = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    edges = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8)[edges[0] : edges[-1]], edges[1:] - edges[0]
