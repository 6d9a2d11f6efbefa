"""The text of an outbound file, in blocks of whole lines, with the size and checksum of the file as it is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator, Hashable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from converter.errors import InputError
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream

MOST_LINE = 16 << 20
"""How many bytes a line may have."""
_DRAIN = 1 << 20


class Observed(Origin):
    """An origin that is read once, from start to end; `bytes` and, if asked for, `md5` are of what was read."""

    def __init__(self, origin: Origin, *, hashes: bool) -> None:
        self._origin = origin
        self._digest = hashlib.md5(usedforsecurity=False) if hashes else None
        self.bytes = 0

    @property
    def label(self) -> str:
        """What messages call it."""
        return self._origin.label

    @property
    def size(self) -> int | None:
        """Its size in bytes, if that is known."""
        return self._origin.size

    @property
    def rereadable(self) -> bool:
        """Always false: what is counted is read once."""
        return False

    @property
    def identity(self) -> Hashable:
        """That of the origin."""
        return self._origin.identity

    @property
    def path(self) -> Path | None:
        """The local file that it is, if it is one."""
        return self._origin.path

    @property
    def md5(self) -> str | None:
        """The checksum of all that was read, if it was asked for."""
        return self._digest.hexdigest() if self._digest else None

    def open(self) -> BinaryIO:
        """Return the bytes, which are counted as they are read."""
        return io.BufferedReader(_Counting(self._origin.open(), self), _DRAIN)

    def read_at(self, start: int, stop: int) -> bytes:
        """Return bytes, which are not counted."""
        return self._origin.read_at(start, stop)

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return that of the origin."""
        return self._origin.fingerprint()

    def check_unchanged(self) -> None:
        """Raise `InputError` where the origin has changed."""
        self._origin.check_unchanged()

    def note(self, data: memoryview, start: int) -> None:
        """Count bytes that were read from `start`, but for those that were read before."""
        new = data[max(self.bytes - start, 0) :]
        self.bytes += len(new)
        if self._digest:
            self._digest.update(new)


class _Counting(io.RawIOBase):
    """A stream that tells `Observed` what is read."""

    def __init__(self, stream: BinaryIO, seen: Observed) -> None:
        self._stream = stream
        self._seen = seen
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._stream.seek(offset, whence)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        self._seen.note(memoryview(buffer)[:count], self._position)
        self._position += count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def blocks_of(seen: Observed, size: int) -> Generator[bytes]:
    """Yield the text of a file, about `size` bytes at a time; all but the last block end in a newline.

    Raises `InputError` where it cannot be read, is damaged, or has a line of more than `MOST_LINE` bytes.
    """
    with TextStream(seen) as stream:
        left = b""
        while True:
            memory = bytearray(len(left) + size)
            memory[: len(left)] = left
            count = stream.readinto(memoryview(memory)[len(left) :])
            filled = len(left) + count
            if count < size:
                if filled:
                    yield bytes(memoryview(memory)[:filled])
                return
            end = memory.rfind(b"\n", 0, filled) + 1
            left = bytes(memoryview(memory)[end:filled])
            if end:
                yield bytes(memoryview(memory)[:end])
            elif filled > MOST_LINE:
                raise InputError(
                    "E-LINE-ENDLESS",
                    f"The input '{seen.label}' has a line of more than {MOST_LINE >> 20} MiB without an end.",
                    "Is it an outbound file, with lines that end in a newline?",
                )
