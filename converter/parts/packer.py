"""Lines become text, text becomes blocks, blocks become compressed parts of bounded size.

1. The text of a batch of lines is the memory of its column as it is: nothing is joined or copied.
2. The text is cut into blocks: each has as many whole lines as fit into `block_bytes`. So the cuts depend on the text
   and the job alone, never on batches, threads or the machine.
3. Blocks are compressed in threads, as raw deflate that ends at a byte boundary. Each may refer to the end of the block
   before it, as if both were compressed at once. The same two blocks always give the same bytes.
4. A part is a gzip header without time or name, blocks, and a trailer with the combined CRC. A block's
   compressed size is known before it is added to a part, so a part never exceeds its limits. The first block of a
   part has nothing to refer to: it is compressed again, by itself.
5. A part that is encrypted is an OpenPGP packet of compressed data (RFC 4880, 5.6), made of the same blocks, which a
   filter encrypts. What that adds is bounded, so the limits hold for what is sent.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, NamedTuple, Protocol

import numpy as np
from isal import isal_zlib

from converter.columns.buffers import Text
from converter.errors import EncryptionError, ResumeError
from converter.spec.limits import LINE_BYTES

_BLOCK_BYTES = 1 << 20
_END = b"\x03\x00"  # an empty last deflate block
_STORED_BYTES = 65_535  # the most that a stored deflate block holds
_STORED_HEAD = 5
_CHUNK_BYTES = 512
"""Encrypted data is in chunks of this size at least, with a byte before each that is its length."""
_ENVELOPE_BYTES = 5_000
"""The most that encryption adds beside that: mostly the key of the message, encrypted, which takes 2 KB for
the longest RSA keys that GnuPG reads (16,384 bits), and twice as much for those of ElGamal."""


Buffer = bytes | memoryview
Level = Literal["fast", "balanced", "small"]
ISAL_LEVELS: dict[Level, int] = {"fast": 1, "balanced": 2}
"""Level 0 gives a quarter more bytes than 1, and is hardly faster; 3 takes three times as long as 2 for another 1 %."""
_ISAL_MEMORY = 9  # the maximum: as fast, and a little smaller
WINDOW_BYTES = 1 << 15
"""How far back deflate refers."""


class Container(NamedTuple):
    """What surrounds the blocks of a part: `head`, then `end` and, with `sums`, the checksum and size of the text."""

    head: bytes
    end: bytes
    sums: bool

    def tail(self, text_crc32: int = 0, raw_bytes: int = 0) -> bytes:
        """Return the end of a part whose text has this CRC-32 and size in bytes; it always has the same length."""
        return self.end + (struct.pack("<II", text_crc32, raw_bytes & 0xFFFFFFFF) if self.sums else b"")


NONE = Container(b"", b"", sums=False)
GZIP = Container(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", _END, sums=True)
"""Deflate, no flags, no time, no file system."""
PGP = Container(
    b"\xa3\x01"  # a packet of compressed data, up to the end: raw deflate
    b"\x00\x07\x00\xf8\xff"  # a stored block of 7 bytes
    b"\xafb\x00\x00\x00\x00\x00",  # in it, a packet of data, up to the end: as it is, no name, no time
    _END,
    sums=False,
)
"""What GnuPG itself writes for data whose size it does not know, except that GnuPG gives the inner packet's length in
chunks, which would cut through blocks here."""


class Limits(NamedTuple):
    """The limits of a part in bytes: as sent, and of its text. An `encrypted` part is `compressed` as well."""

    part_bytes: int
    part_raw_bytes: int
    compressed: bool
    encrypted: bool = False

    @property
    def container(self) -> Container:
        """What surrounds the blocks."""
        return (PGP if self.encrypted else GZIP) if self.compressed else NONE

    @property
    def packed_bytes(self) -> int:
        """The most bytes of a part before it is encrypted: they always fit into the limit afterwards."""
        if not self.encrypted:
            return self.part_bytes
        return (self.part_bytes - _ENVELOPE_BYTES) * _CHUNK_BYTES // (_CHUNK_BYTES + 1)

    @property
    def part_text(self) -> int:
        """The most bytes of text that always fit into a part, even if they cannot be compressed."""
        if not self.compressed:
            return min(self.part_bytes, self.part_raw_bytes)
        room = self.packed_bytes - len(self.container.head) - len(self.container.tail())
        whole, rest = divmod(room, _STORED_BYTES + _STORED_HEAD)
        return min(self.part_raw_bytes, whole * _STORED_BYTES + max(0, rest - _STORED_HEAD))

    @property
    def line_bytes(self) -> int:
        """The most bytes of a line."""
        return min(self.part_text, LINE_BYTES.value)

    @property
    def block_bytes(self) -> int:
        """How many bytes of text are compressed at once: fewer for small parts, so that they are filled well."""
        return max(min(_BLOCK_BYTES, self.part_text // 16), self.line_bytes)


class Cutter:
    """Cuts text into blocks of whole lines."""

    def __init__(self, block_bytes: int) -> None:
        self._size = block_bytes
        self._pending: list[memoryview] = []
        self._bytes = 0
        self._lines = 0

    def feed(self, texts: Iterable[Text]) -> Iterator[tuple[Buffer, int]]:
        """Take the next texts, and yield the blocks that they complete, each with its number of lines."""
        for text in texts:
            start = line = 0
            while line < len(text.ends):
                fits = int(np.searchsorted(text.ends, start + self._size - self._bytes, side="right"))
                if fits > line:
                    end = int(text.ends[fits - 1])
                    self._pending += text.between(start, end)
                    self._bytes += end - start
                    self._lines += fits - line
                    start, line = end, fits
                if line < len(text.ends):
                    yield self._take()

    def finish(self) -> Iterator[tuple[Buffer, int]]:
        """Yield the last block, if there is one."""
        if self._lines:
            yield self._take()

    def _take(self) -> tuple[Buffer, int]:
        # Nearly all blocks are contiguous in memory already.
        block = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending), self._lines
        self._pending, self._bytes, self._lines = [], 0, 0
        return block


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
    if len(data) > len(text) + _STORED_HEAD * -(-len(text) // _STORED_BYTES):
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
    stored = (text[start : start + _STORED_BYTES] for start in range(0, len(text), _STORED_BYTES))
    return b"".join(struct.pack("<BHH", 0, len(each), len(each) ^ 0xFFFF) + each for each in stored)


def checksum_only(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that is not made again: only its checksum and sizes."""
    del before
    return CompressedBlock(b"", isal_zlib.crc32(text), len(text), lines)


def uncompressed(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that is not compressed."""
    del before
    return CompressedBlock(text, isal_zlib.crc32(text), len(text), lines)


class Filter(Protocol):
    """What the bytes of one part go through before they are sent. It passes them on in a thread of its own."""

    def write(self, data: Buffer) -> None:
        """Take the next bytes. Raises the error of earlier ones."""
        ...

    def finish(self) -> None:
        """Return when all bytes have been passed on."""
        ...

    def abort(self) -> None:
        """Stop: nothing more is passed on. Never raises, and does nothing after `finish`."""
        ...


class PartWriter(Protocol):
    """What the bytes of one part are written to."""

    def write(self, data: Buffer) -> None:
        """Write the next bytes."""
        ...

    def finish(self, part: Part, text_crc32: int) -> None:
        """Complete the part: `part` is what was written, and `text_crc32` the CRC-32 of its text."""
        ...


@dataclass(frozen=True)
class Part:
    """A finished part. `bytes`, `crc32` and `sha256` are of the part as sent, `raw_bytes` is the size of its text."""

    name: str
    url: str
    lines: int
    raw_bytes: int
    bytes: int
    crc32: str
    sha256: str


class PlannedPart(NamedTuple):
    """A part that an earlier run has made, and the CRC-32 of its text; if it has `arrived`, it is not made again."""

    part: Part
    text_crc32: int
    arrived: bool


@dataclass
class _OpenPart:
    """A part while it grows. Without a writer, its text is only compared with that of an earlier run.

    `packed_bytes` were written to it, `bytes` have come out of its filter, if it has one, and were sent.
    """

    number: int
    writer: PartWriter | None
    filter: Filter | None = None
    lines: int = 0
    raw_bytes: int = 0
    text_crc32: int = 0
    packed_bytes: int = 0
    bytes: int = 0
    crc32: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: Buffer) -> None:
        if self.writer is None:
            return
        self.packed_bytes += len(data)
        if self.filter:
            self.filter.write(data)
        else:
            self.send(data)

    def send(self, data: Buffer) -> None:
        assert self.writer is not None  # noqa: S101 - for the type checker: only what is written is sent
        self.writer.write(data)
        self.sha256.update(data)
        self.crc32 = isal_zlib.crc32(data, self.crc32)
        self.bytes += len(data)

    def add(self, block: CompressedBlock) -> None:
        self.write(block.data)
        self.text_crc32 = isal_zlib.crc32_combine(self.text_crc32, block.crc32, block.raw_bytes)
        self.lines += block.lines
        self.raw_bytes += block.raw_bytes


class _PendingBlock(NamedTuple):
    """A block that is being compressed, and the text it may refer to."""

    block: Future[CompressedBlock]
    before: bytes


class Packer:
    """Compresses blocks in `threads` threads and fills parts with them, in order.

    `create(number)` opens the writer of a part, counted from 1; `describe(number)` returns its name and URL; `level` is
    that of the compression. `encrypt(send)` returns the filter of a part, which passes its output to `send`; the limits
    are those of encrypted parts then. At most a few blocks for each thread are pending at once, so memory stays bounded
    and a slow destination slows everything down. Used as a context manager; after an exception nothing more is written.

    The first parts are cut as in an earlier run, which `planned` them, and those that have arrived are not made again.
    Raises `ResumeError` where the text is not that of the earlier run, or does not fit.
    """

    def __init__(
        self,
        limits: Limits,
        threads: int,
        create: Callable[[int], PartWriter],
        describe: Callable[[int], tuple[str, str]],
        level: Level = "balanced",
        planned: Sequence[PlannedPart] = (),
        encrypt: Callable[[Callable[[Buffer], None]], Filter] | None = None,
    ) -> None:
        self._limits = limits
        self._container = limits.container
        self._encrypt = encrypt
        self._planned = planned
        self._edges = list(itertools.accumulate(each.part.raw_bytes for each in planned))
        self._taken = 0
        self._create = create
        self._describe = describe
        self._make = partial(compress, level=level) if limits.compressed else uncompressed
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")
        self._blocks: deque[_PendingBlock] = deque()
        self._before = b""
        self._max_pending = 2 * threads + 2
        self._part: _OpenPart | None = None
        self.parts: list[Part] = []
        self._closed_bytes = 0  # of these parts

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._part and self._part.filter:
            self._part.filter.abort()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def bytes(self) -> int:
        """How many bytes have been sent so far."""
        return self._closed_bytes + (self._part.bytes if self._part else 0)

    def add(self, text: Buffer, lines: int) -> None:
        """Take the next block of text."""
        index = bisect.bisect(self._edges, self._taken)
        make = checksum_only if index < len(self._planned) and self._planned[index].arrived else self._make
        self._taken += len(text)
        block = self._pool.submit(make, text, lines, self._before)
        self._blocks.append(_PendingBlock(block, self._before))
        self._before = bytes(text[-WINDOW_BYTES:])
        while len(self._blocks) > self._max_pending or (self._blocks and self._blocks[0].block.done()):
            self._add_block(self._blocks.popleft())

    def finish(self) -> list[Part]:
        """Write the pending blocks, finish the last part, and return all parts."""
        while self._blocks:
            self._add_block(self._blocks.popleft())
        self._close_part()
        if len(self.parts) < len(self._planned):
            raise _text_differs()
        return self.parts

    def _add_block(self, pending: _PendingBlock) -> None:
        block, before = pending.block.result(), pending.before
        part = self._part
        if part and self._is_full(part, block):
            self._close_part()
        if self._part is None:
            number = len(self.parts) + 1
            arrived = number <= len(self._planned) and self._planned[number - 1].arrived
            self._part = part = _OpenPart(number, None if arrived else self._create(number))
            if self._encrypt and not arrived:
                part.filter = self._encrypt(part.send)
            part.write(self._container.head)
            if before and self._limits.compressed and not arrived:
                # Its text is not kept for this, since it would keep a much larger block of memory.
                text = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS, before).decompress(block.data)
                block = self._make(text, block.lines)
        self._part.add(block)

    def _is_full(self, part: _OpenPart, block: CompressedBlock) -> bool:
        """Return whether a block belongs into the next part."""
        full = (
            part.packed_bytes + len(block.data) + len(self._container.tail()) > self._limits.packed_bytes
            or part.raw_bytes + block.raw_bytes > self._limits.part_raw_bytes
        )
        if part.number > len(self._planned):
            return full
        planned = self._planned[part.number - 1].part.raw_bytes
        if full and part.raw_bytes < planned:
            raise ResumeError(
                "E-RESUME-SIZE",
                "The run to be resumed was begun on a machine that compresses better: its parts would be too large "
                "when made here.",
                "Resume it there, or start a new run without --resume.",
            )
        return part.raw_bytes >= planned

    def _close_part(self) -> None:
        part = self._part
        if part is None:
            return
        if part.number <= len(self._planned):
            planned, text_crc32, _ = self._planned[part.number - 1]
            if (part.raw_bytes, part.lines, part.text_crc32) != (planned.raw_bytes, planned.lines, text_crc32):
                raise _text_differs()
        if part.writer is None:
            made = self._planned[part.number - 1].part
        else:
            part.write(self._container.tail(part.text_crc32, part.raw_bytes))
            if part.filter:
                part.filter.finish()
                self._check_encrypted(part)
            name, url = self._describe(part.number)
            digest = part.sha256.hexdigest()
            made = Part(name, url, part.lines, part.raw_bytes, part.bytes, f"{part.crc32:08x}", digest)
            part.writer.finish(made, part.text_crc32)
        self.parts.append(made)
        self._closed_bytes += made.bytes
        self._part = None

    def _check_encrypted(self, part: _OpenPart) -> None:
        """Raise `EncryptionError` where the size of a part is not one that it can have after encryption."""
        if not part.packed_bytes < part.bytes <= self._limits.part_bytes:
            raise EncryptionError(
                "E-PGP-SIZE",
                f"Encryption made {part.bytes:,} bytes of the {part.packed_bytes:,} of a part, which may have "
                f"{self._limits.part_bytes:,}.",
                "Nothing of this part is visible. Is 'gpg' on your PATH GnuPG itself?",
            )


def _text_differs() -> ResumeError:
    return ResumeError(
        "E-RESUME-TEXT",
        "The input, or this version of the converter, gives other lines than in the run to be resumed.",
        "Start a new run, without --resume.",
    )
