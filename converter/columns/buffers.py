"""Texts as they stand in memory: nothing is joined or copied where it need not be."""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
_STEP = 1 << 20  # bytes: sizes that are nearly the same are the same, so that one lease can follow another
_VIEW = 16  # bytes
_INLINE = 12  # texts of a string view up to this long stand in the view itself
_SHORT = 1 << 20  # bytes of text that are copied sooner than arrow is loaded
_LEAST_LINES = 16  # in a stretch of memory, on average, for which it is worth not to copy it


class Pool:
    """Gives memory out again once nothing refers to it any more: fresh memory costs a page fault for every page.

    It comes from the system and goes back there: in pieces of such sizes the allocator would leave holes.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def lease(self, size: int) -> Bytes:
        """Return `size` bytes, whatever they hold."""
        with contextlib.suppress(IndexError):  # another thread took the last one: then there is fresh memory
            while self._free:
                memory = self._free.pop()
                if len(memory) >= size:
                    return self._leased(memory, size)
        try:
            pages = mmap.mmap(-1, -(-(size or 1) // _STEP) * _STEP)
        except OSError as error:  # which elsewhere says that a file is damaged
            raise MemoryError from error
        return self._leased(memoryview(pages), size)

    def _leased(self, memory: memoryview, size: int) -> Bytes:
        array = np.frombuffer(memory, np.uint8)
        # Whatever is cut out of the array refers to it, and to no array below, since the memory is none.
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array[:size]


class Text(NamedTuple):
    """A text in pieces of memory, and where its lines end, in bytes from its start.

    The memory lives as long as this object.
    """

    buffers: tuple[Bytes, ...]
    ends: npt.NDArray[np.int64]

    def between(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the memory of the text from `start` to `end`."""
        for buffer in self.buffers:
            if start < len(buffer) and end > 0:
                yield buffer[max(start, 0) : end].data
            start -= len(buffer)
            end -= len(buffer)


class Views(NamedTuple):
    """A column of texts: a string view of 16 bytes for each, and the buffers in which the long ones stand."""

    views: Bytes
    buffers: tuple[Bytes, ...]

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """The lengths of the texts, in bytes."""
        return self.views.view(np.uint32)[::4]


class Chunk(NamedTuple):
    """A stretch of a frame, of which each column is in one piece."""

    columns: tuple[Views, ...]
    rows: int


def views_of(chunk: pa.Array) -> Views:
    """Return the views of an array of texts, none of them null."""
    _, views, *buffers = chunk.buffers()
    memory = np.frombuffer(views, np.uint8)[chunk.offset * _VIEW : (chunk.offset + len(chunk)) * _VIEW]
    return Views(memory, tuple(np.frombuffer(buffer, np.uint8) for buffer in buffers))


def chunks_of(frame: pl.DataFrame) -> list[Chunk]:
    """Return the chunks of a frame; its columns are all texts, none of them null."""
    batches = frame.to_arrow(compat_level=pl.CompatLevel.newest()).to_batches()
    return [Chunk(tuple(map(views_of, batch.columns)), batch.num_rows) for batch in batches]


def texts_of(lines: pl.Series) -> list[Text]:
    """Return the text of a column of lines, each of which ends in a newline; none is null.

    The engine lays the strings of a batch out one after the other, so the text is made of a few long stretches of
    its memory. Where it is not so (short lines live elsewhere), or the text is short, the lines are copied.
    """
    if lines.estimated_size() < _SHORT:
        return [_copied(lines)] if len(lines) else []
    table = lines.to_frame().to_arrow(compat_level=pl.CompatLevel.newest())
    return [_text_of(chunk) for chunk in table.column(0).chunks if len(chunk)]


def _copied(lines: pl.Series) -> Text:
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
            stretches = zip(numbers[first], offsets[first], offsets[last] + lengths[last], strict=True)
            return Text(tuple(column.buffers[number][start:end] for number, start, end in stretches), ends)
    copied = chunk.cast(pa.large_string())
    edges = np.frombuffer(copied.buffers()[1], np.int64)[copied.offset : copied.offset + len(copied) + 1]
    return Text((np.frombuffer(copied.buffers()[2], np.uint8)[edges[0] : edges[-1]],), ends)
