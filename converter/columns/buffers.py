"""Text as it lies in memory: Arrow's string views, and lines in one or more buffers, copied only if needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.pool import Bytes

if TYPE_CHECKING:
    import pyarrow as pa

VIEW_BYTES = 16
"""The bytes of a string view of Arrow."""
_INLINE = 12  # bytes: texts up to this length are in the view itself
FEW_ROWS = 1 << 11
"""Fewer rows are copied, so that they do not keep the memory of a block, by ways that load no further library."""
_SHORT = 1 << 20  # bytes: less text is copied, which takes less time than to import pyarrow
_LEAST_LINES = 16  # on average in a buffer: where these are fewer, the text is copied


class Text(NamedTuple):
    """Text in one or more buffers, and the offsets of the ends of its lines, in bytes.

    Where lines of a user belong together, `users` are the indices of the first line of each user, and after the last
    one the number of lines. The memory lives as long as this object.
    """

    buffers: tuple[Bytes, ...]
    ends: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64] | None = None

    def between(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the memory of the text from the offset `start` to `end`."""
        for buffer in self.buffers:
            if start < len(buffer) and end > 0:
                yield buffer[max(start, 0) : end].data
            start -= len(buffer)
            end -= len(buffer)


class Views(NamedTuple):
    """A column of texts in Arrow's layout: a string view of 16 bytes each, and the buffers of the long ones.

    `valid`, where it is set, has a bit for each text, from bit `first_valid` on: it is 0 where the text is null.
    """

    views: Bytes
    buffers: tuple[Bytes, ...]
    valid: Bytes | None = None
    first_valid: int = 0

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """The lengths of the texts, in bytes."""
        return self.views.view(np.uint32)[::4]


class Chunk(NamedTuple):
    """Rows of a frame whose columns are each in one chunk."""

    columns: tuple[Views, ...]
    rows: int

    def take(self, rows: npt.NDArray[np.int64]) -> Chunk:
        """Return some of the rows, by their indices. Their views refer to the same buffers."""
        views = [column.views.reshape(-1, VIEW_BYTES)[rows].reshape(-1) for column in self.columns]
        return Chunk(tuple(map(Views, views, (column.buffers for column in self.columns))), len(rows))


def views_of(chunk: pa.Array) -> Views:
    """Return the views of an array of texts."""
    valid, views, *buffers = chunk.buffers()
    memory = np.frombuffer(views, np.uint8)[chunk.offset * VIEW_BYTES : (chunk.offset + len(chunk)) * VIEW_BYTES]
    bits = np.frombuffer(valid, np.uint8) if valid and chunk.null_count else None
    return Views(memory, tuple(np.frombuffer(buffer, np.uint8) for buffer in buffers), bits, chunk.offset)


def chunks_of(frame: pl.DataFrame) -> list[Chunk]:
    """Return the chunks of a frame whose columns are all String."""
    batches = frame.to_arrow(compat_level=pl.CompatLevel.newest()).to_batches()
    return [Chunk(tuple(map(views_of, batch.columns)), batch.num_rows) for batch in batches]


def frame_of(chunks: Sequence[Chunk], names: Sequence[str]) -> pl.DataFrame:
    """Return chunks as a frame whose columns have these names. Unless they are few, it refers to the same memory."""
    schema = dict.fromkeys(names, pl.String)
    if not chunks:
        return pl.DataFrame(schema=schema)
    if sum(chunk.rows for chunk in chunks) < FEW_ROWS:
        columns = zip(*([_strings(column) for column in chunk.columns] for chunk in chunks), strict=True)
        data = {name: list(chain(*column)) for name, column in zip(names, columns, strict=True)}
        return pl.DataFrame(data, schema=schema)
    import pyarrow as pa  # here, since it takes a while

    def array(column: Views, rows: int) -> pa.Array:
        buffers = [pa.py_buffer(each) for each in (column.views, *column.buffers)]
        return pa.Array.from_buffers(pa.string_view(), rows, [None, *buffers])

    arrays = [[array(column, chunk.rows) for column in chunk.columns] for chunk in chunks]
    return pl.DataFrame(_Stream(pa.Table.from_batches([pa.RecordBatch.from_arrays(each, names) for each in arrays])))


def series_of(values: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> pl.Series:
    """Return an array as a series; of null, where it is empty."""
    # For an array Polars loads `numpy.ma`, which takes longer than everything else that a small file needs here.
    return pl.Series(values.tolist() if len(values) < FEW_ROWS else values)


class _Stream:
    """A table as an Arrow stream: Polars would import more of pyarrow for a table, which takes a while."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def _strings(column: Views) -> Iterator[str]:
    """Yield the texts of a few views."""
    memory = column.views.data
    for row, (length, _, number, offset) in enumerate(column.views.view(np.uint32).reshape(-1, 4).tolist()):
        start = row * VIEW_BYTES + 4
        text = memory[start : start + length] if length <= _INLINE else column.buffers[number][offset:][:length].data
        yield str(text, "utf-8")


def texts_of(lines: pl.Series) -> list[Text]:
    """Return the text of lines (String without nulls), each of which ends in a newline.

    Polars writes the strings of a batch one after the other, so the text consists of a few long slices of its buffers.
    Where it does not (short lines are in the views), or the text is short, the lines are copied.
    """
    if lines.estimated_size() < _SHORT:
        return [_copy_short(lines)] if len(lines) else []
    table = lines.to_frame().to_arrow(compat_level=pl.CompatLevel.newest())
    return [_text_of(chunk) for chunk in table.column(0).chunks if len(chunk)]


def _copy_short(lines: pl.Series) -> Text:
    text, lengths = lines.str.join().item().encode(), lines.str.len_bytes().fill_null(0).cast(pl.Int64)
    return Text((np.frombuffer(text, np.uint8),), lengths.cum_sum().to_numpy())


def _text_of(chunk: pa.Array) -> Text:
    import pyarrow as pa  # here, since it takes a while: a short input of text needs none of it

    column = views_of(chunk)
    fields = column.views.view(np.uint32).reshape(-1, 4)
    lengths, numbers, offsets = (fields[:, field].astype(np.int64) for field in (0, 2, 3))
    ends = np.cumsum(lengths)
    if int(lengths.min()) > _INLINE:
        breaks = np.flatnonzero((numbers[1:] != numbers[:-1]) | (offsets[1:] != offsets[:-1] + lengths[:-1])) + 1
        if len(breaks) * _LEAST_LINES < len(chunk):
            first, last = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(chunk)]]) - 1
            slices = zip(numbers[first], offsets[first], offsets[last] + lengths[last], strict=True)
            return Text(tuple(column.buffers[number][start:end] for number, start, end in slices), ends)
    copy = chunk.cast(pa.large_string())
    edges = np.frombuffer(copy.buffers()[1], np.int64)[copy.offset : copy.offset + len(copy) + 1]
    return Text((np.frombuffer(copy.buffers()[2], np.uint8)[edges[0] : edges[-1]],), ends)


def joined(texts: Sequence[Text]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Return texts in one buffer, copied only if needed, and the offsets of the ends of their lines, in bytes."""
    buffers = [buffer for text in texts for buffer in text.buffers]
    memory = buffers[0] if len(buffers) == 1 else np.concatenate([np.zeros(0, np.uint8), *buffers])
    if len(texts) == 1:
        return memory, texts[0].ends
    starts = np.cumsum([0, *(int(text.ends[-1]) for text in texts)])
    ends = [text.ends + start for text, start in zip(texts, starts, strict=False)]
    return memory, np.concatenate([np.zeros(0, np.int64), *ends])
