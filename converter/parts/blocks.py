"""Text is cut into blocks of whole lines, and each block is compressed by itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from converter.columns.buffers import Text
from converter.parts.part import Buffer

Pieces: TypeAlias = "Sequence[Buffer]"
"""The text of a block as it lies in memory: nearly always one piece."""
Level = Literal["fast", "balanced", "small"]
ISAL_LEVELS: dict[Level, int] = {"fast": 1, "balanced": 2}
"""Level 0 gives a quarter more bytes than 1, and is hardly faster; 3 takes three times as long as 2 for another 1 %."""
_ISAL_MEMORY = 9  # the maximum: as fast, and a little smaller
WINDOW_BYTES = 1 << 15
"""How far back deflate refers."""
STORED_BYTES = 65_535
"""The most that a stored deflate block holds."""
STORED_HEAD = 5
"""The bytes before its content."""


class Cutter:
    """Cuts text into blocks of whole lines, of `block_bytes` bytes at most.

    Lines of a user that belong together stay in one block, which may then have up to `most_bytes` bytes.
    """

    def __init__(self, block_bytes: int, most_bytes: int) -> None:
        self._size = block_bytes
        self._most = most_bytes
        self._pending: list[memoryview] = []
        self._bytes = 0
        self._lines = 0

    def feed(self, texts: Iterable[Text]) -> Iterator[tuple[Pieces, int]]:
        """Take the next texts, and yield the blocks that they complete, each with its number of lines."""
        for text in texts:
            start = line = at = 0
            lines = self._lines_before_cuts(text)
            cuts = text.ends if lines is None else text.ends[lines - 1]
            while at < len(cuts):
                fits = int(np.searchsorted(cuts, start + self._size - self._bytes, side="right"))
                if fits == at and not self._bytes:
                    fits += 1
                if fits > at:
                    end, done = int(cuts[fits - 1]), fits if lines is None else int(lines[fits - 1])
                    self._pending += text.between(start, end)
                    self._bytes += end - start
                    self._lines += done - line
                    start, line, at = end, done, fits
                if at < len(cuts):
                    yield self._take()

    def finish(self) -> Iterator[tuple[Pieces, int]]:
        """Yield the last block, if there is one."""
        if self._lines:
            yield self._take()

    def _lines_before_cuts(self, text: Text) -> npt.NDArray[np.int64] | None:
        """Return how many lines are before each place where a text may be cut; `None` where that is after each line.

        Lines of a user that would not fit into one part are cut like others.
        """
        if text.users is None:
            return None
        ends = text.ends[text.users[1:] - 1]
        large = np.flatnonzero(np.diff(ends, prepend=0) > self._most)
        inside = [np.arange(text.users[each] + 1, text.users[each + 1]) for each in large.tolist()]
        return np.sort(np.concatenate([text.users[1:], *inside]))

    def _take(self) -> tuple[Pieces, int]:
        block = self._pending, self._lines
        self._pending, self._bytes, self._lines = [], 0, 0
        return block


def joined(pieces: Pieces) -> Buffer:
    """Return the text of pieces, without a copy where it is contiguous."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def window_of(pieces: Pieces) -> bytes:
    """Return a copy of the end of a text, to which the next block may refer."""
    # A view would keep a much larger block of memory.
    ends: list[Buffer] = []
    missing = WINDOW_BYTES
    for piece in reversed(pieces):
        ends.insert(0, piece[-missing:])
        missing -= len(ends[0])
        if not missing:
            break
    return b"".join(ends)


class CompressedBlock(NamedTuple):
    """A block as it is added to a part: `data`, and the CRC-32, the size and the lines of its text."""

    data: Buffer
    crc32: int
    raw_bytes: int
    lines: int


def compress(text: Buffer, lines: int, before: bytes = b"", level: Level = "balanced") -> CompressedBlock:
    """Compress a block as raw deflate that ends at a byte boundary and does not end its stream.

    `before` is the end of the text before it in the part, of which at most `WINDOW_BYTES` are used.
    """
    compressor = _compressor(level, before)
    data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(data) > len(text) + STORED_HEAD * -(-len(text) // STORED_BYTES):
        data = _stored(text)
    return CompressedBlock(data, isal_zlib.crc32(text), len(text), lines)


class _Compressor(Protocol):
    def compress(self, data: Buffer, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


def _compressor(level: Level, before: bytes) -> _Compressor:
    """Return the compressor of a level: by measurement, the fastest for its size and the smallest for its speed."""
    if level == "small":
        from zlib_ng import zlib_ng  # here, since few jobs need it

        return zlib_ng.compressobj(6, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS, zdict=before)
    return isal_zlib.compressobj(
        ISAL_LEVELS[level], isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS, _ISAL_MEMORY, zdict=before
    )


def _stored(text: Buffer) -> bytes:
    """Return the text as stored deflate blocks: the size that `Limits.part_text` is computed from."""
    stored = (text[start : start + STORED_BYTES] for start in range(0, len(text), STORED_BYTES))
    return b"".join(struct.pack("<BHH", 0, len(each), len(each) ^ 0xFFFF) + each for each in stored)


def checksum_only(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that is not made again: only its checksum and sizes."""
    del before
    return CompressedBlock(b"", isal_zlib.crc32(text), len(text), lines)


def uncompressed(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that is not compressed."""
    del before
    return CompressedBlock(text, isal_zlib.crc32(text), len(text), lines)
