"""Lines become text, text becomes blocks, blocks become compressed parts of bounded size.

1. The text of a batch of lines is the memory of its column as it is: nothing is joined or copied.
2. Blocks are cut from the running text: each holds as many whole lines as fit into `block_bytes`. So the cuts
   depend on the text and the job alone, never on batches, threads or the machine.
3. Blocks are compressed in threads, as raw deflate that ends at a byte. Each may refer to the end of the block before
   it, as if both were compressed at once. The same text in these two gives the same bytes.
4. A part is a gzip header without time or name, blocks, and a trailer with the combined CRC. A block's
   compressed size is known before it joins a part, so a part never passes its limits. The first block of a part
   has nothing to refer to: it is compressed once more, by itself.
5. A part that is to be encrypted is an OpenPGP packet of compressed data first (RFC 4880, 5.6), made of the same
   blocks, and goes through a filter then. What that adds is bounded, so the limits hold for what is sent.
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
_STORED = 65_535  # the most that a stored deflate block holds
_STORED_HEAD = 5
_PIECE = 512
"""Encrypted data comes in pieces of this size at least, in bytes, with a byte before each that tells its length."""
_ENVELOPE = 5_000
"""What encryption adds at most beside that, in bytes: mostly the key of the message, encrypted, which takes 2 KB for
the longest RSA keys that GnuPG reads (16,384 bits), and twice as much for those of ElGamal."""


Buffer = bytes | memoryview
Level = Literal["fast", "balanced", "small"]
ISAL_LEVELS: dict[Level, int] = {"fast": 1, "balanced": 2}
"""Its level 0 is a quarter larger than 1, and hardly faster; 3 takes three times as long as 2 for another 1 %."""
_ISAL_MEMORY = 9  # its most: as fast, and a little smaller
WINDOW_BYTES = 1 << 15
"""How far back deflate refers."""


class Container(NamedTuple):
    """What stands around the blocks of a part: `head`, then `end` and perhaps the sums of the text."""

    head: bytes
    end: bytes
    sums: bool

    def tail(self, text_crc32: int = 0, raw_bytes: int = 0) -> bytes:
        """Return what comes last, always as long, for a text with this CRC-32 and size."""
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
"""What GnuPG itself makes of data whose size it does not know, but for the length of the inner packet, which it tells
in pieces. Here these would cut through blocks."""


class Limits(NamedTuple):
    """The most that a part may hold, in bytes: as sent, and of text. What is `encrypted` is `compressed` as well."""

    part_bytes: int
    part_raw_bytes: int
    compressed: bool
    encrypted: bool = False

    @property
    def frame(self) -> Container:
        """What stands around the blocks."""
        return (PGP if self.encrypted else GZIP) if self.compressed else NONE

    @property
    def packed_bytes(self) -> int:
        """The most that a part may hold before it is encrypted, if it is: however that goes, it fits then."""
        if not self.encrypted:
            return self.part_bytes
        return (self.part_bytes - _ENVELOPE) * _PIECE // (_PIECE + 1)

    @property
    def part_text(self) -> int:
        """The most text that a part can hold whatever it is: so much fits even where nothing compresses."""
        if not self.compressed:
            return min(self.part_bytes, self.part_raw_bytes)
        room = self.packed_bytes - len(self.frame.head) - len(self.frame.tail())
        whole, rest = divmod(room, _STORED + _STORED_HEAD)
        return min(self.part_raw_bytes, whole * _STORED + max(0, rest - _STORED_HEAD))

    @property
    def line_bytes(self) -> int:
        """The longest line that can be written."""
        return min(self.part_text, LINE_BYTES.value)

    @property
    def block_bytes(self) -> int:
        """How much text is compressed at once: less for small parts, so that they fill well."""
        return max(min(_BLOCK_BYTES, self.part_text // 16), self.line_bytes)


class Cutter:
    """Cuts the running text into blocks of whole lines."""

    def __init__(self, block_bytes: int) -> None:
        self._size = block_bytes
        self._pending: list[memoryview] = []
        self._bytes = 0
        self._lines = 0

    def feed(self, texts: Iterable[Text]) -> Iterator[tuple[Buffer, int]]:
        """Yield the blocks, with their numbers of lines, that the next stretch of text completes."""
        for text in texts:
            place = line = 0
            while line < len(text.ends):
                fits = int(np.searchsorted(text.ends, place + self._size - self._bytes, side="right"))
                if fits > line:
                    end = int(text.ends[fits - 1])
                    self._pending += text.between(place, end)
                    self._bytes += end - place
                    self._lines += fits - line
                    place, line = end, fits
                if line < len(text.ends):
                    yield self._take()

    def finish(self) -> Iterator[tuple[Buffer, int]]:
        """Yield the last block, if there is one."""
        if self._lines:
            yield self._take()

    def _take(self) -> tuple[Buffer, int]:
        # Nearly all blocks stand in one piece of memory already.
        block = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending), self._lines
        self._pending, self._bytes, self._lines = [], 0, 0
        return block


class CompressedBlock(NamedTuple):
    """A block as it goes into a part: `data`, the CRC-32 and the size of its text, and its lines."""

    data: Buffer
    crc32: int
    raw_bytes: int
    lines: int


def compress(text: Buffer, lines: int, before: bytes = b"", level: Level = "balanced") -> CompressedBlock:
    """Compress a block: raw deflate, not the last of its stream, that ends at a byte.

    `before` is the end of the text that comes before it in the part, of which at most `WINDOW_BYTES` are of use.
    """
    compressor = _compressor(level, before)
    data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(data) > len(text) + _STORED_HEAD * -(-len(text) // _STORED):
        data = _stored(text)
    return CompressedBlock(data, isal_zlib.crc32(text), len(text), lines)


class _Compressor(Protocol):
    def compress(self, data: Buffer, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


def _compressor(level: Level, before: bytes) -> _Compressor:
    """Return the compressor of a level: measured, the fastest for its size and the smallest for its speed."""
    if level == "small":
        from zlib_ng import zlib_ng  # here, since few ask for it

        return zlib_ng.compressobj(6, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS, zdict=before)
    return isal_zlib.compressobj(
        ISAL_LEVELS[level], isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS, _ISAL_MEMORY, zdict=before
    )


def _stored(text: Buffer) -> bytes:
    """Return the text as stored deflate blocks: the bound that `Limits.part_text` counts on."""
    pieces = (text[start : start + _STORED] for start in range(0, len(text), _STORED))
    return b"".join(struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF) + piece for piece in pieces)


def checksum_only(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that need not be made again."""
    del before
    return CompressedBlock(b"", isal_zlib.crc32(text), len(text), lines)


def keep(text: Buffer, lines: int, before: bytes = b"") -> CompressedBlock:
    """Return a block of a part that is not compressed."""
    del before  # nothing is referred to
    return CompressedBlock(text, isal_zlib.crc32(text), len(text), lines)


class Filter(Protocol):
    """What the bytes of one part go through before they are sent. It hands them on in a thread of its own."""

    def write(self, data: Buffer) -> None:
        """Take the next bytes; raise what has gone wrong with those before."""
        ...

    def finish(self) -> None:
        """Take the end; all has been handed on then."""
        ...

    def abort(self) -> None:
        """Stop: nothing more is handed on. Never raises, and does nothing after `finish`."""
        ...


class PartWriter(Protocol):
    """Where the bytes of one part go."""

    def write(self, data: Buffer) -> None:
        """Write the next bytes."""
        ...

    def finish(self, part: Part, text_crc32: int) -> None:
        """Take the end: `part` is what was written, and `text_crc32` the CRC-32 of its text."""
        ...


@dataclass(frozen=True)
class Part:
    """A finished part. `crc32` and `sha256` are of the bytes as sent."""

    name: str
    url: str
    lines: int
    raw_bytes: int
    bytes: int
    crc32: str
    sha256: str


class PlannedPart(NamedTuple):
    """A part as an earlier run has made it, and the CRC-32 of its text; it need not be made again if it `arrived`."""

    part: Part
    text_crc32: int
    arrived: bool


@dataclass
class _Open:
    """A part while it grows; without a writer where its text is only compared with that of an earlier run.

    `packed_bytes` have been written to it, `bytes` have come out of its filter, where it has one, and are on their way.
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


class _UnderWay(NamedTuple):
    """A block that is being compressed, and the text it may refer to."""

    block: Future[CompressedBlock]
    before: bytes


class Packer:
    """Compresses blocks in `threads` threads and fills parts with them, in order.

    `create(number)` opens the writer of a part, counted from 1; `describe(number)` gives its name and URL; `level` is
    that of the compression. `encrypt` makes the filter of a part, told where to hand on what comes out; the limits are
    those of encrypted parts then. At most a few blocks a thread are under way at once, so that memory stays bounded and
    a slow destination slows everything down. Used as a context manager; after an exception nothing more is written.

    The first parts are cut as an earlier run has `planned` them, and those of them that have arrived are not made
    again. Where the text is not that of the earlier run, or does not fit, `ResumeError` is raised.
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
        self._frame = limits.frame
        self._encrypt = encrypt
        self._planned = planned
        self._edges = list(itertools.accumulate(each.part.raw_bytes for each in planned))
        self._taken = 0
        self._create = create
        self._describe = describe
        self._make = partial(compress, level=level) if limits.compressed else keep
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")
        self._under_way: deque[_UnderWay] = deque()
        self._before = b""
        self._most_under_way = 2 * threads + 2
        self._part: _Open | None = None
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
        """How many bytes have been handed to parts so far."""
        return self._closed_bytes + (self._part.bytes if self._part else 0)

    def add(self, text: Buffer, lines: int) -> None:
        """Take the next block of text."""
        at = bisect.bisect(self._edges, self._taken)
        make = checksum_only if at < len(self._planned) and self._planned[at].arrived else self._make
        self._taken += len(text)
        block = self._pool.submit(make, text, lines, self._before)
        self._under_way.append(_UnderWay(block, self._before))
        self._before = bytes(text[-WINDOW_BYTES:])
        while len(self._under_way) > self._most_under_way or (self._under_way and self._under_way[0].block.done()):
            self._place(self._under_way.popleft())

    def finish(self) -> list[Part]:
        """Write what is under way, finish the last part, and return all parts."""
        while self._under_way:
            self._place(self._under_way.popleft())
        self._close_part()
        if len(self.parts) < len(self._planned):
            raise _other_text()
        return self.parts

    def _place(self, made: _UnderWay) -> None:
        block, before = made.block.result(), made.before
        part = self._part
        if part and self._is_full(part, block):
            self._close_part()
        if self._part is None:
            number = len(self.parts) + 1
            arrived = number <= len(self._planned) and self._planned[number - 1].arrived
            self._part = part = _Open(number, None if arrived else self._create(number))
            if self._encrypt and not arrived:
                part.filter = self._encrypt(part.send)
            part.write(self._frame.head)
            if before and self._limits.compressed and not arrived:
                # Its text is not kept for this, since blocks are parts of much larger stretches of memory.
                text = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS, before).decompress(block.data)
                block = self._make(text, block.lines)
        self._part.add(block)

    def _is_full(self, part: _Open, block: CompressedBlock) -> bool:
        """Say whether a block belongs into the next part."""
        full = (
            part.packed_bytes + len(block.data) + len(self._frame.tail()) > self._limits.packed_bytes
            or part.raw_bytes + block.raw_bytes > self._limits.part_raw_bytes
        )
        if part.number > len(self._planned):
            return full
        planned = self._planned[part.number - 1].part.raw_bytes
        if full and part.raw_bytes < planned:
            raise ResumeError(
                "E-RESUME-SIZE",
                "The run that is to be resumed was begun on a machine that compresses better: its parts would be too "
                "large when made here.",
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
                raise _other_text()
        if part.writer is None:
            made = self._planned[part.number - 1].part
        else:
            part.write(self._frame.tail(part.text_crc32, part.raw_bytes))
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

    def _check_encrypted(self, part: _Open) -> None:
        """Raise `EncryptionError` where a part is not of a size that it can have once it is encrypted."""
        if not part.packed_bytes < part.bytes <= self._limits.part_bytes:
            raise EncryptionError(
                "E-PGP-SIZE",
                f"Encryption made {part.bytes:,} bytes of the {part.packed_bytes:,} of a part, which may have "
                f"{self._limits.part_bytes:,}.",
                "Nothing of this part is visible. Is 'gpg' on your PATH GnuPG itself?",
            )


def _other_text() -> ResumeError:
    return ResumeError(
        "E-RESUME-TEXT",
        "The input, or this version of the converter, gives other lines than the run that is to be resumed did.",
        "Start a new run, without --resume.",
    )
