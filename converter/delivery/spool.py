"""The bytes of a part on their way: written once, and read as often as sending them takes."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from typing import Protocol

from converter.errors import DestinationError
from converter.parts.part import Part
from converter.remote.pauses import RunEndedError

_CHUNK = 1 << 18  # bytes: a chunk that was read stays in the processor's cache


class Replay(Protocol):
    """Bytes that can be read any number of times."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield all bytes from the first one. Each chunk is valid until the next one is taken."""
        ...


class PartSource(Replay, Protocol):
    """A part that exists already."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def part(self) -> Part:
        """Return what is known of it once all chunks have been taken."""
        ...


class Spool:
    """The bytes of a part, read while they are written.

    They are in an unnamed temporary file in `folder`, which disappears with the process and which no other user can
    open. One thread writes, one reads.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise self._error(error) from error
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._size = 0
        self._whole = self._stopped = False

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; once the spool is closed they are dropped. Raises `DestinationError` where the disk is full."""
        view, position = memoryview(data), self._size
        with self._writing:
            if self._file.closed:
                return
            try:
                while view:
                    written = os.pwrite(self._file.fileno(), view, position)
                    view, position = view[written:], position + written
            except OSError as error:
                raise self._error(error) from error
        with self._changed:
            self._size = position
            self._changed.notify_all()

    def finish(self) -> None:
        """Mark the end: no more bytes come."""
        with self._changed:
            self._whole = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop the readers: they raise `RunEndedError`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def chunks(self) -> Iterator[memoryview]:
        """Yield all bytes from the first one, as they are written. Each chunk is valid until the next one is taken."""
        position, buffer = 0, memoryview(bytearray(_CHUNK))
        while True:
            with self._changed:
                while not (self._stopped or self._whole or self._size > position):
                    self._changed.wait()
                if self._stopped:
                    raise RunEndedError
                size, whole = self._size, self._whole
            while position < size:
                count = os.preadv(self._file.fileno(), [buffer[: size - position]], position)
                position += count
                yield buffer[:count]
            if whole and position == self._size:
                return

    def close(self) -> None:
        """Close the file, which frees its space."""
        with self._writing:  # else a writer might use the descriptor's number for another file
            self._file.close()

    def _error(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-SPOOL-WRITE",
            f"Cannot keep a part in '{self._folder}' while it is sent: {error.strerror or error}.",
            "Free some space there, or choose another folder with run.spill_dir.",
        )
