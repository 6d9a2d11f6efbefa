"""Rows by the hash of a key, on disk once they are many: for what must see a whole user in bounded memory.

1. Rows are added in order, to one or more tables. They stay in memory while they take at most a quarter of the budget.
2. Beyond that they are spread over partitions by the leading bits of their keys' hashes, in stretches, each of which
   is an Arrow IPC stream somewhere in one file. (LZ4 halves it, at a seventh of what spreading costs.)
3. Partitions are loaded one after the other. Rows with the same key, of whichever table, are in the same one; rows of a
   table keep their order within it. A partition that is too large is spread again, by the bits that follow.

The hash depends on the bytes of the key alone: not on the machine, nor on the version of a library. Partitions come in
the order of the hash, so whoever wants an order that does not depend on the budget has each one sorted by it.

The file has no name, so nobody else can open it, and whatever ends the process, the system takes it back.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.errors import DestinationError

Hashes = npt.NDArray[np.uint64]

_BITS = 6  # a level: 64 partitions hold 8 GB in pieces that fit the default budget, and their stretches are long
_LEVELS = 3  # beyond, what is too large has few keys: it is given as it is
_SHARE = 4  # of the budget, for what is given at once
_AT_ONCE = 1 << 16, 32 << 20  # bytes that are spread at once: at least, and at most
_RESERVE = 16 << 20  # bytes of the disk that are left to others

_VIEW = 16  # bytes
_WORD = 8  # bytes
_ROWS_AT_ONCE = 1 << 19
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits all over it: the golden ratio's
_LAST_FACTORS = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # MurmurHash3's finalizer, public domain
_HALF = np.uint64(32)


def hashes_of(texts: pl.Series) -> Hashes:
    """Return a hash of each text (String); a null counts as an empty text.

    It depends on the bytes of the text alone, and spreads texts evenly, but not those of somebody who works against it.
    """
    parts = [_hashed(texts[start : start + _ROWS_AT_ONCE]) for start in range(0, len(texts), _ROWS_AT_ONCE)]
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def _hashed(texts: pl.Series) -> Hashes:
    lengths = texts.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
    text, starts = _bytes_of(texts)
    # The word at every byte: what is read beyond the end of a text is masked.
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
    """Tables of rows, by the hash of a key.

    `key` is what decides in which partition a row is: an expression (String) over the columns of all tables. `memory`
    is the budget in bytes: a partition takes at most a quarter of it, unless a single key has more rows, so that the
    caller can work with it. `folder` is where the disk is used, the system's folder for temporary files when left out.

    Use it as a context: when that ends, in whatever way, nothing is left. Raises `DestinationError` where the disk is
    full or would be.
    """

    def __init__(self, key: pl.Expr, memory: int, folder: str | None = None) -> None:
        self._top = _Level(key, memory, folder or tempfile.gettempdir(), depth=0)
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
        """How many bytes of the disk are used; none while all is in memory."""
        return self._top.bytes_on_disk

    def add(self, rows: pl.DataFrame | pl.LazyFrame, table: str = "rows") -> None:
        """Add rows to a table, after those that it has; all frames of a table have the same columns.

        A lazy frame is collected in batches.
        """
        if isinstance(rows, pl.DataFrame):
            self._top.add(table, rows)
            return
        self._top.add(table, pl.DataFrame(schema=rows.collect_schema()))
        for batch in rows.collect_batches(maintain_order=True, engine="streaming"):
            self._top.add(table, batch)

    def partitions(self, *tables: str, by_hash: bool = False) -> Generator[tuple[pl.DataFrame, ...]]:
        """Yield the partitions, one after the other: of each, the rows of the tables, in the order asked for.

        At least an empty frame must have been added to each table. A partition in which no table has rows may be left
        out. With `by_hash` the rows of a table are sorted by the hashes of their keys, and come in the same order for
        any budget. Tables can be read more than once. Meanwhile rows may be added, but to other tables.
        """
        for frames in self._top.whole(tables) or self._on_disk(self._top, tables):
            yield tuple(self._top.sorted(frame) for frame in frames) if by_hash else frames

    def _on_disk(self, level: _Level, tables: tuple[str, ...]) -> Iterator[tuple[pl.DataFrame, ...]]:
        level.flush()
        for number in range(1 << _BITS):
            size = level.size(number, tables)
            if size > level.fits and level.depth < _LEVELS - 1:
                with self._below(level, number, tables) as below:
                    yield from self._on_disk(below, tables)
            elif size:
                yield tuple(level.load(number, table) for table in tables)

    @contextlib.contextmanager
    def _below(self, level: _Level, number: int, tables: tuple[str, ...]) -> Iterator[_Level]:
        """Spread a partition again."""
        below = level.below()
        self._open.callback(below.close)  # should nobody read to the end
        try:
            for table in tables:
                for stretch in level.stretches(number, table):
                    below.add(table, stretch)
            yield below
        finally:
            below.close()


class _Stretch(NamedTuple):
    """Rows of a partition in the file: where, in bytes, and how many bytes of memory they take."""

    place: int
    length: int
    size: int


class _Level:
    """Rows that are spread by some bits of their hashes: those at `depth`, counted from the leading ones."""

    def __init__(self, key: pl.Expr, memory: int, folder: str, depth: int) -> None:
        self.depth = depth
        self.fits = memory // _SHARE
        self.bytes_on_disk = 0
        self._key = key
        self._memory = memory
        self._folder = folder
        self._at_once = sorted((*_AT_ONCE, self.fits // _SHARE))[1]
        self._waiting: dict[str, list[pl.DataFrame]] = {}
        self._bytes_waiting = 0
        self._empty: dict[str, pl.DataFrame] = {}
        self._spread: dict[tuple[str, int], list[_Stretch]] = {}
        self._file: IO[bytes] | None = None

    def below(self) -> _Level:
        """Return a level for what one partition holds."""
        below = _Level(self._key, self._memory, self._folder, self.depth + 1)
        below._empty |= self._empty
        return below

    def close(self) -> None:
        """Give memory and disk back."""
        self._waiting, self._bytes_waiting, self._spread = {}, 0, {}
        if self._file is not None:
            self._file.close()

    def add(self, table: str, frame: pl.DataFrame) -> None:
        self._empty.setdefault(table, frame.clear())
        if not frame.height:
            return
        self._waiting.setdefault(table, []).append(frame)
        self._bytes_waiting += _size_of(frame)
        if self._bytes_waiting > (self._at_once if self._file else self.fits):
            self.flush()

    def whole(self, tables: tuple[str, ...]) -> list[tuple[pl.DataFrame, ...]] | None:
        """Return all rows as one partition, none where some are on disk."""
        if self._file is not None:
            return None
        return [tuple(pl.concat([self._empty[table], *self._waiting.get(table, [])]) for table in tables)]

    def flush(self) -> None:
        """Bring to the disk what waits."""
        waiting, self._waiting, self._bytes_waiting = self._waiting, {}, 0
        if self._file is None:
            try:
                # Without a name, and readable by its owner alone.
                self._file = tempfile.TemporaryFile("w+b", buffering=0, dir=self._folder)  # noqa: SIM115 - see `close`
            except OSError as error:
                raise self._cannot(error) from error
        for table, frames in waiting.items():
            size, frame = sum(map(_size_of, frames)), pl.concat(frames)
            frames.clear()
            rows = -(-frame.height // -(-size // self._at_once))
            for part in frame.iter_slices(max(rows, 1)):
                self._write(table, part)

    def size(self, number: int, tables: tuple[str, ...]) -> int:
        """Return how much memory a partition of some tables takes, in bytes."""
        return sum(stretch.size for table in tables for stretch in self._spread.get((table, number), ()))

    def stretches(self, number: int, table: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a partition, some at a time."""
        for stretch in self._spread.get((table, number), ()):
            yield pl.read_ipc_stream(self._read(stretch))

    def load(self, number: int, table: str) -> pl.DataFrame:
        """Return the rows of a partition."""
        return pl.concat([self._empty[table], *self.stretches(number, table)])

    def sorted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows by the hashes of their keys; where these are equal, in their order."""
        return frame[np.argsort(self._hashes_of(frame), kind="stable")]

    def _hashes_of(self, frame: pl.DataFrame) -> Hashes:
        return hashes_of(frame.select(self._key.alias("key"))["key"])

    def _write(self, table: str, frame: pl.DataFrame) -> None:
        """Spread rows over the partitions."""
        shift, mask = np.uint64(64 - _BITS * (self.depth + 1)), np.uint64((1 << _BITS) - 1)
        numbers = ((self._hashes_of(frame) >> shift) & mask).astype(np.uint8)
        edges = np.cumsum([0, *np.bincount(numbers, minlength=1 << _BITS)]).tolist()
        frame = frame[np.argsort(numbers, kind="stable")]
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            if start < end:
                rows = frame[start:end]
                # Texts one after the other: as views they would bring along all memory that they stand in.
                stream = rows.write_ipc_stream(None, compression="lz4", compat_level=pl.CompatLevel.oldest())
                place = self._append(stream.getbuffer())
                stretch = _Stretch(place, self.bytes_on_disk - place, _size_of(rows))
                self._spread.setdefault((table, number), []).append(stretch)

    def _append(self, data: memoryview) -> int:
        """Write to the end of the file; return where that was."""
        assert self._file is not None  # noqa: S101 - for the type checker: `flush` made it
        place = self.bytes_on_disk
        try:
            if shutil.disk_usage(self._folder).free < len(data) + _RESERVE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            while data:
                written = os.pwrite(self._file.fileno(), data, self.bytes_on_disk)
                data, self.bytes_on_disk = data[written:], self.bytes_on_disk + written
        except OSError as error:
            raise self._cannot(error) from error
        return place

    def _read(self, stretch: _Stretch) -> bytes:
        assert self._file is not None  # noqa: S101 - for the type checker: there is a stretch in it
        try:
            data = os.pread(self._file.fileno(), stretch.length, stretch.place)
        except OSError as error:
            raise self._cannot(error) from error
        if len(data) < stretch.length:
            raise self._cannot(OSError(errno.EIO, os.strerror(errno.EIO)))
        return data

    def _cannot(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-SPILL-WRITE",
            f"Cannot keep rows in '{self._folder}' for a while: {error.strerror or error} "
            f"({self.bytes_on_disk:,} bytes were there).",
            "Free some space there, or choose another folder with run.spill_dir.",
        )


def _size_of(frame: pl.DataFrame) -> int:
    """Return how many bytes of memory rows take, with the views of texts, which the engine does not count."""
    return int(frame.estimated_size()) + _VIEW * frame.height * frame.dtypes.count(pl.String())


def _bytes_of(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the bytes of all texts, with as many after them as a word has, and where each text begins."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array)] if len(array) else _NO_PLACES
    size = int(np.frombuffer(offsets, np.int64)[array.offset + len(array)]) if len(array) else 0
    text = np.zeros(size + _WORD, np.uint8)
    text[:size] = np.frombuffer(data, np.uint8, size) if size else 0
    return text, starts


_NO_PLACES = np.zeros(0, np.int64)
