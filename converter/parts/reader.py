"""The text of an inbound file that exists: read, decompressed and cut into chunks of whole lines.

A file is read in blocks of any size. What comes out depends on the file alone, never on the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isal import isal_zlib

from converter.kernel.form import SLACK
from converter.parts.received import Received
from converter.spec.files import GZIP_CUT, GZIP_DAMAGED, FileRule
from converter.spec.limits import LINE_BYTES

_SLACK = bytes(SLACK)
_PACKED_BYTES = 1 << 16  # given to a decompressor at once: it copies what follows the end of a member


class CountedBlocks:
    """The blocks of a file; iterating counts their bytes and adds them to a CRC-32."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.bytes = self.crc32 = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.bytes += len(block)
            self.crc32 = isal_zlib.crc32(block, self.crc32)
            yield block


class DamagedError(Exception):
    """The file cannot be decompressed; `rule` says why."""

    def __init__(self, rule: FileRule) -> None:
        self.rule = rule


def gunzip(blocks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Decompress gzip of one or more members; yield at most `max_bytes` at a time. Raises `DamagedError`."""
    member = None
    for block in blocks:
        for start in range(0, len(block), _PACKED_BYTES):
            packed = block[start : start + _PACKED_BYTES]
            while packed or member:
                member = member or isal_zlib.decompressobj(16 + isal_zlib.MAX_WBITS)
                try:
                    text = member.decompress(packed, max_bytes)
                except isal_zlib.error as error:  # type: ignore[misc]  # declared as an object, not as a class
                    raise DamagedError(GZIP_DAMAGED) from error
                yield text
                if member.eof:
                    packed, member = member.unused_data, None
                    continue
                packed = member.unconsumed_tail
                if not packed and len(text) < max_bytes:  # otherwise the decompressor may hold more
                    break
    if member:
        raise DamagedError(GZIP_CUT)


class InboundText:
    """The text of a file in chunks of whole lines, with its `bytes` and `lines` counted as it is read."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = texts
        self.bytes = self.lines = 0
        self.filled = False
        """Whether a line is not blank."""
        self.received = Received()
        """What Audience Manager receives in them, where they have signals."""
        self.whole = True
        """Whether the last line ends in a newline."""

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield chunks of at least `size` bytes, except for the last one; each ends in a newline, added if need be.

        Behind each are `SLACK` bytes of zeros, which compiled loops may read. Lines that are too long are cut off
        after the length that shows it.
        """
        longest = LINE_BYTES.value + 1  # bytes that show that a line is too long
        lines: list[memoryview | bytes] = []
        tail: list[memoryview | bytes] = []
        held = tail_bytes = 0
        for text in self._texts:
            self.bytes += len(text)
            view = memoryview(text)
            if end := text.rfind(b"\n") + 1:
                lines += [*tail, view[:end]]
                held += tail_bytes + end
                tail, tail_bytes = [], 0
            if rest := view[end : end + longest - tail_bytes]:
                tail.append(rest)
                tail_bytes += len(rest)
            if held >= size:
                yield b"".join([*lines, _SLACK])
                lines, held = [], 0
        self.whole = not tail
        if tail:
            lines += [*tail, b"\n"]
        if lines:
            yield b"".join([*lines, _SLACK])
