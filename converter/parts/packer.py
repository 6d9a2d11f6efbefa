"""Blocks of text become compressed parts of bounded size.

1. The text of a batch of lines is the memory of its column as it is: nothing is joined or copied.
2. The text is cut into blocks (`blocks`): each has as many whole lines as fit into `block_bytes`. So the cuts depend on
   the text and the job alone, never on batches, threads or the machine.
3. Blocks are compressed in threads, as raw deflate that ends at a byte boundary. Each may refer to the end of the block
   before it, as if both were compressed at once. The same two blocks always give the same bytes.
4. A part is a gzip header without time or name, blocks, and a trailer with the combined CRC. A block's
   compressed size is known before it is added to a part, so a part never exceeds its limits. The first block of a
   part has nothing to refer to: it is compressed again, by itself.
5. A thread of each part writes it (`writing`). So this one only compares sizes, and the next part need not wait.
6. A part that is encrypted is an OpenPGP packet of compressed data (RFC 4880, 5.6), made of the same blocks, which a
   filter encrypts. What that adds is bounded, so the limits hold for what is sent.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

from isal import isal_zlib

from converter.errors import EncryptionError, ResumeError
from converter.parts import blocks
from converter.parts.blocks import (
    STORED_BYTES,
    STORED_HEAD,
    CompressedBlock,
    Level,
    Pieces,
    checksum_only,
    joined,
    uncompressed,
    window_of,
)
from converter.parts.part import Buffer, Part, PartWriter, PlannedPart
from converter.parts.writing import Encrypt, News, PartThread, Summary
from converter.spec.limits import LINE_BYTES

_BLOCK_BYTES = 1 << 20
_END = b"\x03\x00"  # an empty last deflate block
_CHUNK_BYTES = 512
"""Encrypted data is in chunks of this size at least, with a byte before each that is its length."""
_ENVELOPE_BYTES = 5_000
"""The most that encryption adds beside that: mostly the key of the message, encrypted, which takes 2 KB for
the longest RSA keys that GnuPG reads (16,384 bits), and twice as much for those of ElGamal."""
_WRITERS = 3  # parts that are written at once: one is filled, the others are flushed to the disk
_QUEUED_BYTES = 16 << 20  # the most that waits to be written


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
        whole, rest = divmod(room, STORED_BYTES + STORED_HEAD)
        return min(self.part_raw_bytes, whole * STORED_BYTES + max(0, rest - STORED_HEAD))

    @property
    def line_bytes(self) -> int:
        """The most bytes of a line."""
        return min(self.part_text, LINE_BYTES.value)

    @property
    def block_bytes(self) -> int:
        """How many bytes of text are compressed at once: fewer for small parts, so that they are filled well."""
        return max(min(_BLOCK_BYTES, self.part_text // 16), self.line_bytes)


@dataclass
class _OpenPart:
    """A part while it grows. Without a thread, its text is only compared with that of an earlier run."""

    number: int
    thread: PartThread | None
    lines: int = 0
    raw_bytes: int = 0
    text_crc32: int = 0
    packed_bytes: int = 0


class _PendingBlock(NamedTuple):
    """A block that is being compressed, and the text it may refer to."""

    block: Future[CompressedBlock]
    before: bytes


class Packer:
    """Compresses blocks in `threads` threads and fills parts with them, in order, each written by a thread of its own.

    `create(number)` returns the writer of a part, counted from 1, and may wait until one is free; `describe(number)`
    returns its name and URL; `level` is that of the compression. `encrypt(send)` returns the filter of a part, which
    passes its output to `send`; the limits are those of encrypted parts then. At most a few blocks for each thread, and
    some megabytes to be written, are pending at once: so memory stays bounded, and a slow destination slows everything
    down. Used as a context manager, which joins all threads; after an exception nothing more is written. An error of a
    thread is raised by the next call.

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
        encrypt: Encrypt | None = None,
    ) -> None:
        self._limits = limits
        self._container = limits.container
        self._encrypt = encrypt
        self._planned = planned
        self._edges = list(itertools.accumulate(each.part.raw_bytes for each in planned))
        self._taken = 0
        self._create = create
        self._describe = describe
        self._make = partial(blocks.compress, level=level) if limits.compressed else uncompressed
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")
        self._blocks: deque[_PendingBlock] = deque()
        self._before = b""
        self._max_pending = 2 * threads + 2
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="write")
        self._unfinished: deque[PartThread] = deque()
        self._news: SimpleQueue[News] = SimpleQueue()
        self._queued_bytes = 0
        self._part: _OpenPart | None = None
        self._closed = 0  # parts to which nothing more is added
        self.parts: list[Part] = []
        """The finished parts, in order."""
        self._finished_bytes = 0

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._unfinished:
            thread.abort()
        for pool in (self._pool, self._writers):
            pool.shutdown(wait=True, cancel_futures=True)

    @property
    def bytes(self) -> int:
        """How many bytes have been sent so far."""
        return self._finished_bytes + sum(thread.bytes for thread in self._unfinished)

    def add(self, pieces: Pieces, lines: int) -> None:
        """Take the next block of text."""
        index = bisect.bisect(self._edges, self._taken)
        make = checksum_only if index < len(self._planned) and self._planned[index].arrived else self._make
        self._taken += sum(map(len, pieces))
        block = self._pool.submit(lambda before: make(joined(pieces), lines, before), self._before)
        self._blocks.append(_PendingBlock(block, self._before))
        self._before = window_of(pieces) if self._limits.compressed else b""
        while len(self._blocks) > self._max_pending or (self._blocks and self._blocks[0].block.done()):
            self._place_block()
        while self._queued_bytes > _QUEUED_BYTES or not self._news.empty():
            self._hear()

    def finish(self) -> list[Part]:
        """Return all parts, once the pending blocks and the last part are written."""
        while self._blocks:
            self._place_block()
        self._close_part()
        while self._unfinished:
            self._hear()
        if len(self.parts) < len(self._planned):
            raise _text_differs()
        return self.parts

    def _place_block(self) -> None:
        """Add the first pending block to the part that it belongs to."""
        pending = self._blocks[0]
        block = pending.block.result()
        if self._part and self._part.lines and self._is_full(self._part, block):
            self._close_part()
        if self._part is None:
            self._part = self._open_part()
            if pending.before and self._part.thread and self._limits.compressed:
                again = self._pool.submit(_compress_again, block, pending.before, self._make)
                self._blocks[0] = _PendingBlock(again, b"")
                return
        self._blocks.popleft()
        self._write(self._part, block.data)
        self._part.text_crc32 = isal_zlib.crc32_combine(self._part.text_crc32, block.crc32, block.raw_bytes)
        self._part.lines += block.lines
        self._part.raw_bytes += block.raw_bytes

    def _open_part(self) -> _OpenPart:
        number = self._closed + 1
        if number <= len(self._planned) and self._planned[number - 1].arrived:
            return _OpenPart(number, None)
        before = self._unfinished[-1] if self._unfinished else None
        thread = PartThread(self._create(number), self._encrypt, before, self._news, self._check_size)
        self._unfinished.append(thread)  # first, so that it is aborted whenever a signal comes
        self._writers.submit(thread.run)
        part = _OpenPart(number, thread)
        self._write(part, self._container.head)
        return part

    def _write(self, part: _OpenPart, data: Buffer) -> None:
        if part.thread:
            part.packed_bytes += len(data)
            self._queued_bytes += len(data)
            part.thread.put(data)

    def _hear(self) -> None:
        """Wait for news of a part. Raises its error."""
        written, part, error = self._news.get()
        if error:
            raise error
        self._queued_bytes -= written
        if part:
            self._unfinished.popleft()
            self._add_finished(part)

    def _add_finished(self, part: Part) -> None:
        self._finished_bytes += part.bytes
        self.parts.append(part)

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
        if part.thread:
            self._write(part, self._container.tail(part.text_crc32, part.raw_bytes))
            name, url = self._describe(part.number)
            part.thread.finish(Summary(name, url, part.lines, part.raw_bytes, part.text_crc32, part.packed_bytes))
        else:
            while self._unfinished:
                self._hear()
            self._add_finished(self._planned[part.number - 1].part)
        self._closed += 1
        self._part = None

    def _check_size(self, part: Summary, sent: int) -> None:
        """Raise `EncryptionError` where the size of a part is not one that it can have after encryption."""
        if self._encrypt and not part.packed_bytes < sent <= self._limits.part_bytes:
            raise EncryptionError(
                "E-PGP-SIZE",
                f"Encryption made {sent:,} bytes of the {part.packed_bytes:,} of a part, which may have "
                f"{self._limits.part_bytes:,}.",
                "Nothing of this part is visible. Is 'gpg' on your PATH GnuPG itself?",
            )


def _compress_again(
    block: CompressedBlock, before: bytes, make: Callable[[Buffer, int], CompressedBlock]
) -> CompressedBlock:
    """Compress a block that was compressed with reference to the text `before` it, by itself."""
    # Its text is not kept for this, since it would keep a much larger block of memory.
    text = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS, before).decompress(block.data)
    return make(text, block.lines)


def _text_differs() -> ResumeError:
    return ResumeError(
        "E-RESUME-TEXT",
        "The input, or this version of the converter, gives other lines than in the run to be resumed.",
        "Start a new run, without --resume.",
    )
