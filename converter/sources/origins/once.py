"""Origins that can be read only once: their start is kept for a while, so that it can be read again.

A header, the columns, and the first rows are read before a run reads its input from the start.
"""

from __future__ import annotations

import codecs
import io
import weakref
from collections.abc import Mapping
from typing import Any, BinaryIO

from converter.sources.origins.base import Origin, once_error

_KEPT_BYTES = 1 << 26  # more than readers of headers and first rows read, what they decompress ahead included
_PLAIN_BYTES = 16  # are not all ASCII, or have a NUL, where a text is compressed or UTF-16
_PACKED = (b"BZh", b"\x1f")


class ReadOnce:
    """An origin that is opened once, but whose first 64 MiB can be read again until something reads further."""

    rereadable = False
    path = None

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.label, self.size, self.identity = origin.label, origin.size, origin.identity
        self._stream: BinaryIO | None = None
        self._start: bytearray | None = bytearray()
        self._position = 0
        self._first = self._last = b""

    @property
    def is_torn(self) -> bool:
        """Whether it is plain text whose last line has no end, and is not JSON."""
        text = self._first.removeprefix(codecs.BOM_UTF8)
        return (
            self._last not in (b"", b"\n", b"}", b"]")
            and text.isascii()
            and not text.startswith(_PACKED)
            and b"\0" not in text
        )

    @property
    def is_kept(self) -> bool:
        """Whether it can be opened."""
        return self._start is not None

    def open(self) -> BinaryIO:
        """Return its bytes from the start. Raises `InputError` once that is not kept any more, and `OSError`."""
        if self._start is None:
            raise once_error(self, "it was read already")
        if self._stream is None:
            self._stream = self._origin.open()
            weakref.finalize(self, self._stream.close)
        return io.BufferedReader(_Reader(self))

    def read_at(self, start: int, stop: int) -> bytes:
        """Raise `OSError`: it has no positions."""
        raise io.UnsupportedOperation("read_at")

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return the fingerprint of the origin, if it has one."""
        return self._origin.fingerprint()

    def check_unchanged(self) -> None:
        """Raise `InputError` where the origin knows that it changed."""
        self._origin.check_unchanged()

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position`, which is in the start that is kept, or where reading stopped."""
        if self._start is not None and position < len(self._start):
            return bytes(self._start[position : position + size])
        if position != self._position:  # another reader has read further
            raise once_error(self, "it is read twice at the same time")
        assert self._stream is not None  # noqa: S101 - for the type checker: opened before it is read
        data = self._stream.read(size)
        self._position += len(data)
        self._first, self._last = self._first or data[:_PLAIN_BYTES], data[-1:] or self._last
        if self._start is not None:
            self._start += data
            if len(self._start) > _KEPT_BYTES:
                self._start = None
        return data


class _Reader(io.RawIOBase):
    """Reads a `ReadOnce` from its start. It can seek within what is kept."""

    def __init__(self, origin: ReadOnce) -> None:
        self._origin = origin
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("seek")
        self._at = offset + (self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._origin.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
