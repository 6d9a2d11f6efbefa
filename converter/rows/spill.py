"""Rows partitioned by the hash of a key, on disk once they are many: for stages that must see a whole user.

1. Rows are added in order, to one or more tables. They stay in memory while they take at most a quarter of the budget.
2. Beyond that they are partitioned by the leading bits of their keys' hashes, in blocks, each of which is an Arrow IPC
   stream in one file. (LZ4 halves the size, for a seventh of the time that partitioning takes.)
3. Partitions are loaded one after the other. Rows with the same key, of any table, are in the same one; rows of a table
   keep their order within it. A partition that is too large is partitioned again, by the bits that follow.

The hash depends on the bytes of the key alone: not on the machine, nor on the version of a library. Partitions come in
the order of the hash; callers who need the same order for any budget have each one sorted by it.

The file (`spill_file`) has no name: it is gone however the process ends.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.buffers import VIEW_BYTES
from converter.rows.spill_file import SpillFile

Hashes = npt.NDArray[np.uint64]

_BITS = 6  # of the hash, a level: 64 partitions of 8 GB fit the default budget, and their blocks are long
_LEVELS = 3  # a partition that is too large after these has few keys: it is given whole
_SHARE = 4  # a partition takes at most this part of the budget
_BATCH_BYTES = 1 << 16, 32 << 20  # partitioned at once: at least, and at most

_WORD = 8  # bytes
_HASHED_ROWS = 1 << 19
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, with well-mixed bits: from the golden ratio
_LAST_FACTORS = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # MurmurHash3's finalizer, public domain
_HALF = np.uint64(32)


def hashes_of(texts: pl.Series) -> Hashes:
    """Return a hash of each text (String); a null counts as an empty text.

    It depends on the bytes of the text alone. Texts are distributed evenly, unless they are chosen to collide.
    """
    parts = [_hash(texts[start : start + _HASHED_ROWS]) for start in range(0, len(texts), _HASHED_ROWS)]
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def _hash(texts: pl.Series) -> Hashes:
    lengths = texts.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
    text, starts = _bytes_of(texts)
    # The word that begins at each byte; bytes beyond the end of a text are masked.
    words: npt.NDArray[np.uint64] = np.ndarray((len(text) - _WORD + 1,), "<u8", text.data, strides=(1,))
    hashes = (lengths.astype(np.uint64) + np.uint64(1)) * _FACTOR
    rows, done = np.flatnonzero(lengths), 0
    while len(rows):
        left = lengths[rows] - done
        word = words[starts[rows] + done] & _MASKS[np.minimum(left, _WORD)]
        mixed = (hashes[rows] ^ word) * _FACTOR
        hashes[rows] = mixed ^ (mixed >> _HALF)
        rows, done = rows[left > _WORD], done + _WORD
    for factor in _LAST_FACTORS:
        hashes = (hashes ^ (hashes >> _HALF)) * factor
    return hashes ^ (hashes >> _HALF)


class Spill:
    """Tables of rows, partitioned by the hash of a key.

    `key` is an expression over the columns of all tables: String, or UInt64 where it is a hash already. `memory` is the
    budget in bytes: a partition takes at most a quarter of it, unless a single key has more rows, which leaves the rest
    to the caller. `folder` is where the file is, by default the system's folder for temporary files.

    Use it as a context, or close it: it leaves nothing on disk. Raises `DestinationError` where the disk is full or
    would be.
    """

    def __init__(self, key: pl.Expr, memory: int, folder: str | None = None) -> None:
        self._top = _Level(key, memory, folder, depth=0)
        self._open = contextlib.ExitStack()
        self._open.callback(self._top.close)

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release memory and disk."""
        self._open.close()

    @property
    def bytes_on_disk(self) -> int:
        """How many bytes of the disk are used; 0 while all rows are in memory."""
        return self._top.bytes_on_disk

    def add(self, rows: pl.DataFrame | pl.LazyFrame, table: str = "rows") -> None:
        """Append rows to a table; all frames of a table have the same columns.

        A lazy frame is collected in batches.
        """
        if isinstance(rows, pl.DataFrame):
            self._top.add(table, rows)
            return
        self._top.add(table, pl.DataFrame(schema=rows.collect_schema()))
        for batch in rows.collect_batches(maintain_order=True, engine="streaming"):
            self._top.add(table, batch)

    def partitions(self, *tables: str, by_hash: bool = False) -> Generator[tuple[pl.DataFrame, ...]]:
        """Yield the partitions one after the other, each as the rows of the tables in the order given.

        At least an empty frame must have been added to each table. A partition in which no table has rows may be
        missing. With `by_hash` the rows of a table are sorted by the hashes of their keys, and come in the same order
        for any budget. Tables can be read more than once. Meanwhile rows may be added, but to other tables.
        """
        for frames in self._top.in_memory(tables) or self._on_disk(self._top, tables):
            yield tuple(self._top.sorted(frame) for frame in frames) if by_hash else frames

    def _on_disk(self, level: _Level, tables: tuple[str, ...]) -> Iterator[tuple[pl.DataFrame, ...]]:
        level.flush()
        for number in range(1 << _BITS):
            size = level.size(number, tables)
            if size > level.most_bytes and level.depth < _LEVELS - 1:
                with self._repartitioned(level, number, tables) as below:
                    yield from self._on_disk(below, tables)
            elif size:
                yield tuple(level.load(number, table) for table in tables)

    @contextlib.contextmanager
    def _repartitioned(self, level: _Level, number: int, tables: tuple[str, ...]) -> Iterator[_Level]:
        """Partition the rows of a partition again."""
        below = level.below()
        self._open.callback(below.close)  # in case the caller does not read to the end
        try:
            for table in tables:
                for rows in level.blocks(number, table):
                    below.add(table, rows)
            yield below
        finally:
            below.close()


class _SpilledBlock(NamedTuple):
    """Rows of a partition in the file: offset and length in bytes, and how many bytes of memory they take."""

    offset: int
    length: int
    size: int


class _Level:
    """Rows partitioned by some bits of their hashes: those at `depth`, counted from the leading ones."""

    def __init__(self, key: pl.Expr, memory: int, folder: str | None, depth: int) -> None:
        self.depth = depth
        self.most_bytes = memory // _SHARE
        self._key = key
        self._memory = memory
        self._folder = folder
        self._batch_bytes = sorted((*_BATCH_BYTES, self.most_bytes // _SHARE))[1]
        self._waiting: dict[str, list[pl.DataFrame]] = {}
        self._bytes_waiting = 0
        self._empty: dict[str, pl.DataFrame] = {}
        self._blocks: dict[tuple[str, int], list[_SpilledBlock]] = {}
        self._file = SpillFile(folder)

    @property
    def bytes_on_disk(self) -> int:
        return self._file.size

    def below(self) -> _Level:
        """Return an empty level for the rows of one partition."""
        below = _Level(self._key, self._memory, self._folder, self.depth + 1)
        below._empty |= self._empty
        return below

    def close(self) -> None:
        """Release memory and disk."""
        self._waiting, self._bytes_waiting, self._blocks = {}, 0, {}
        self._file.close()

    def add(self, table: str, frame: pl.DataFrame) -> None:
        self._empty.setdefault(table, frame.clear())
        if not frame.height:
            return
        self._waiting.setdefault(table, []).append(frame)
        self._bytes_waiting += _size_of(frame)
        if self._bytes_waiting > (self._batch_bytes if self._file.is_open else self.most_bytes):
            self.flush()

    def in_memory(self, tables: tuple[str, ...]) -> list[tuple[pl.DataFrame, ...]] | None:
        """Return all rows as one partition, or `None` where some are on disk."""
        if self._file.is_open:
            return None
        return [tuple(pl.concat([self._empty[table], *self._waiting.get(table, [])]) for table in tables)]

    def flush(self) -> None:
        """Write the rows that are in memory to the file."""
        waiting, self._waiting, self._bytes_waiting = self._waiting, {}, 0
        self._file.open()
        for table, frames in waiting.items():
            size, frame = sum(map(_size_of, frames)), pl.concat(frames)
            frames.clear()
            rows = -(-frame.height // -(-size // self._batch_bytes))
            for batch in frame.iter_slices(max(rows, 1)):
                self._write(table, batch)

    def size(self, number: int, tables: tuple[str, ...]) -> int:
        """Return how many bytes of memory a partition of some tables takes."""
        return sum(block.size for table in tables for block in self._blocks.get((table, number), ()))

    def blocks(self, number: int, table: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a partition, block by block."""
        for block in self._blocks.get((table, number), ()):
            yield pl.read_ipc_stream(self._file.read(block.offset, block.length))

    def load(self, number: int, table: str) -> pl.DataFrame:
        """Return the rows of a partition."""
        return pl.concat([self._empty[table], *self.blocks(number, table)])

    def sorted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows sorted by the hashes of their keys; rows with equal hashes keep their order."""
        return frame[np.argsort(self._hashes_of(frame), kind="stable")]

    def _hashes_of(self, frame: pl.DataFrame) -> Hashes:
        key = frame.select(self._key.alias("key"))["key"]
        return key.to_numpy() if key.dtype == pl.UInt64 else hashes_of(key)

    def _write(self, table: str, frame: pl.DataFrame) -> None:
        """Partition rows, and append a block for each partition to the file."""
        shift, mask = np.uint64(64 - _BITS * (self.depth + 1)), np.uint64((1 << _BITS) - 1)
        numbers = ((self._hashes_of(frame) >> shift) & mask).astype(np.uint8)
        edges = np.cumsum([0, *np.bincount(numbers, minlength=1 << _BITS)]).tolist()
        frame = frame[np.argsort(numbers, kind="stable")]
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            if start < end:
                rows = frame[start:end]
                # Texts one after the other: string views would bring along the whole buffers that they refer to.
                stream = rows.write_ipc_stream(None, compression="lz4", compat_level=pl.CompatLevel.oldest())
                data = stream.getbuffer()
                block = _SpilledBlock(self._file.append(data), len(data), _size_of(rows))
                self._blocks.setdefault((table, number), []).append(block)


def _size_of(frame: pl.DataFrame) -> int:
    """Return how many bytes of memory rows take, with the views of texts, which Polars does not count."""
    return int(frame.estimated_size()) + VIEW_BYTES * frame.height * frame.dtypes.count(pl.String())


def _bytes_of(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the bytes of all texts, padded by the size of a word, and the offset of each text."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array)] if len(array) else _NO_OFFSETS
    size = int(np.frombuffer(offsets, np.int64)[array.offset + len(array)]) if len(array) else 0
    text = np.zeros(size + _WORD, np.uint8)
    text[:size] = np.frombuffer(data, np.uint8, size) if size else 0
    return text, starts


_NO_OFFSETS = np.zeros(0, np.int64)
