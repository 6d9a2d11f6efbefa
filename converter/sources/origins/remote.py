"""Files on servers, read by parts: each reads on where a connection broke, as long as `input.retry_seconds` allow.

What is read from start to end is asked for ahead, in growing parts, several at a time. A server that gives no parts is
read once.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from converter.errors import DestinationError, Finding, InputError, JobError, TransientError
from converter.jobs.secrets import mask_password
from converter.remote.objects import Entry, Objects, changed
from converter.remote.retry import Patience
from converter.remote.server import RIGHTS_HINT
from converter.sources.ahead import in_background

_SMALLEST, _LARGEST = 1 << 18, 1 << 22  # bytes of a part that is asked for
_AHEAD = 2  # parts
_OF_READING = {
    RIGHTS_HINT: "Check the path, and that the user may read it.",
    "Nothing of it is visible.": "Try again later.",
}
"""Hints of servers where files are sent, and those where they are read."""
_MOST_AHEAD = 64 << 20  # bytes of all files: many columns of a table are read at the same time


class RemoteFile:
    """A file on a server, as it was when the run began."""

    path = None

    def __init__(self, objects: Objects, entry: Entry, retry_seconds: float) -> None:
        self.objects = objects
        self.entry = entry
        self.label = objects.url(entry.name)
        self.size = entry.size
        self.rereadable = entry.ranges and entry.size is not None
        self._retry_seconds = retry_seconds

    @property
    def identity(self) -> Hashable:
        """Its URL."""
        return self.label

    def open(self) -> BinaryIO:
        """Return its bytes, which are read ahead. Errors are raised as `InputError`, here and where it is read."""
        raw = _Reader(self) if self.rereadable else _Stream(self)
        return io.BufferedReader(raw, _SMALLEST)

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, fewer at the end. Raises `InputError`."""
        memory = bytearray(max(min(stop, self.size or 0) - start, 0))
        return bytes(memory[: self.read_into(memoryview(memory), start)])

    def read_into(self, view: memoryview, start: int) -> int:
        """Fill memory with the bytes from `start`; return their number, fewer at the end. Raises `InputError`."""
        view = view[: max((self.size or 0) - start, 0)]
        filled = 0
        with as_input_errors():
            while filled < len(view):
                filled += self.patience().retrying(self._read_some, view[filled:], start + filled)
        return filled

    def patience(self) -> Patience:
        """Return what bounds the time of retries until some bytes come."""
        return Patience(self._retry_seconds)

    def _read_some(self, view: memoryview, start: int) -> int:
        """Fill memory; where the connection breaks after some bytes, return how many came."""
        filled = 0
        try:
            with contextlib.closing(self.objects.open(self.entry, start, start + len(view))) as content:
                while filled < len(view):
                    count = content.readinto(view[filled:])
                    if not count:
                        raise cut_off(self.label)
                    filled += count
        except TransientError:
            if not filled:
                raise
        return filled

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return its URL without secrets, its size, and its version, if it has one."""
        return {"path": self.label, "size": self.size, "version": self.entry.version} if self.entry.version else None

    def check_unchanged(self) -> None:
        """Raise `InputError` where its size or version is another one than it was."""
        with as_input_errors():
            now = self.patience().retrying(self.objects.find, self.entry.name)
        if now is None or (now.size, now.version) != (self.entry.size, self.entry.version):
            raise changed(self.label)


def host_of(url: str, example: str) -> str:
    """Return the host that a URL names. Raises `JobError` where it names none."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts.hostname
    except ValueError:  # of a wrong port or address
        pass
    raise JobError("E-INPUT-URL", f"The input '{mask_password(url)}' names no host.", f"For example: {example}.")


def plain_warnings(label: str, host: str, what: str, hint: str) -> list[Finding]:
    """Return the warning that a file is read by a protocol without encryption, but on this machine."""
    try:
        is_near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_near = host == "localhost"
    message = f"The input '{label}' is read by {what}: others on the network can read and change it."
    return [] if is_near else [Finding("W-INPUT-PLAIN", message, hint)]


def cut_off(label: str) -> TransientError:
    """Return the error that an answer ended too early."""
    return TransientError("E-SERVER-CLOSED", f"Cannot read '{label}': the server closed the connection.")


@contextlib.contextmanager
def as_input_errors() -> Iterator[None]:
    """Raise errors of servers as those of the input, with the same codes."""
    try:
        yield
    except DestinationError as error:
        hint = _OF_READING.get(error.hint, error.hint).replace("output.to", "input.path")
        raise InputError(error.code, error.message, hint) from error


class _Allowance:
    """How many bytes may be asked for ahead."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Return whether so many may be, and count them."""
        with self._lock:
            is_allowed = size <= self._left
            self._left -= size * is_allowed
        return is_allowed

    def give_back(self, size: int) -> None:
        """Count bytes that have come, and are used or dropped."""
        with self._lock:
            self._left += size


_allowance = _Allowance(_MOST_AHEAD)


class _Piece(NamedTuple):
    """A part of a file, which is there or on its way."""

    start: int
    memory: bytearray
    filled: Future[int]


class _Reader(io.RawIOBase):
    """Reads a file from any position. As long as it is read on, parts double, and the next ones are asked for."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._size = file.size or 0
        self._position = 0
        self._part = _SMALLEST
        self._current: _Piece | None = None
        self._ahead: deque[_Piece] = deque()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._drop()
        super().close()

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        piece = self._piece_at(self._position)
        filled = piece.filled.result()
        start = self._position - piece.start
        data = memoryview(piece.memory)[start : min(start + len(buffer), filled)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _piece_at(self, position: int) -> _Piece:
        piece = self._current
        if piece and piece.start <= position < piece.start + len(piece.memory):
            return piece
        follows = piece is not None and position == piece.start + len(piece.memory)
        if follows and self._ahead:
            piece = self._ahead.popleft()
            _allowance.give_back(len(piece.memory))
        else:
            if not follows:
                self._drop()
            size = min(self._part, self._size - position)
            piece = _Piece(position, bytearray(size), Future())
            piece.filled.set_result(self._file.read_into(memoryview(piece.memory), position))
        self._current = piece
        if follows:
            self._part = min(2 * self._part, _LARGEST)
            self._ask_ahead(piece.start + len(piece.memory))
        return piece

    def _ask_ahead(self, start: int) -> None:
        if self._ahead:
            start = self._ahead[-1].start + len(self._ahead[-1].memory)
        while start < self._size and len(self._ahead) < _AHEAD:
            size = min(self._part, self._size - start)
            if not _allowance.take(size):
                break
            memory = bytearray(size)
            self._ahead.append(_Piece(start, memory, in_background(self._file.read_into, memoryview(memory), start)))
            start += size

    def _drop(self) -> None:
        """Forget what is there: reading continues elsewhere, most likely in small parts."""
        self._part, self._current = _SMALLEST, None
        while self._ahead:
            _allowance.give_back(len(self._ahead.popleft().memory))


class _Stream(io.RawIOBase):
    """Reads a file whose server gives no parts; where a connection breaks, what came is read again and skipped."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._position = 0
        self._close: Callable[[], None] = lambda: None
        self._readinto: Callable[[memoryview], int] | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        with as_input_errors():
            count = self._file.patience().retrying(self._read, memoryview(buffer))
        self._position += count
        return count

    def _read(self, view: memoryview) -> int:
        if self._readinto is None:
            content = self._file.objects.open(self._file.entry, self._position, None)
            self._readinto, self._close = content.readinto, content.close
        try:
            count = self._readinto(view)
            if not count and self._file.size is not None and self._position < self._file.size:
                raise cut_off(self._file.label)
        except TransientError:
            self._close()
            self._readinto = None
            raise
        return count
