"""The file that rows are kept in while they do not fit into memory: nameless, private, and never fills the disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from typing import IO

from converter.errors import DestinationError

_RESERVE = 16 << 20  # bytes of free disk space that are left to others


class SpillFile:
    """A temporary file in a folder, by default that of the system. Threads may share it.

    It has no name, so that no other process can open it, and the system removes it however the process ends. Only its
    owner may read it: a system without nameless files removes its name as soon as it is open.

    Raises `DestinationError` where the disk is full or would be, or fails.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self.size = 0
        """How many bytes it has."""

    @property
    def is_open(self) -> bool:
        """Whether anything was written to it."""
        return self._file is not None

    def open(self) -> None:
        """Create the file, unless it is there."""
        with self._lock:
            if self._file is None:
                try:
                    self._file = tempfile.TemporaryFile("w+b", buffering=0, dir=self._folder)  # noqa: SIM115 - see `close`
                except OSError as error:
                    raise self._failure(error) from error

    def append(self, data: memoryview) -> int:
        """Append to the file; return the offset in it. Threads may write at the same time."""
        self.open()
        assert self._file is not None  # noqa: S101 - for the type checker: it was opened
        with self._lock:
            offset = place = self.size
            self.size += len(data)
        try:
            if shutil.disk_usage(self._folder).free < len(data) + _RESERVE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            while data:
                written = os.pwrite(self._file.fileno(), data, place)
                data, place = data[written:], place + written
        except OSError as error:
            raise self._failure(error) from error
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """Return what was appended."""
        assert self._file is not None  # noqa: S101 - for the type checker: it was written
        try:
            data = os.pread(self._file.fileno(), length, offset)
        except OSError as error:
            raise self._failure(error) from error
        if len(data) < length:
            raise self._failure(OSError(errno.EIO, os.strerror(errno.EIO)))
        return data

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()

    def _failure(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-SPILL-WRITE",
            f"Cannot keep temporary rows in '{self._folder}': {error.strerror or error} "
            f"({self.size:,} bytes were needed so far).",
            "Free disk space there, or choose another folder with run.spill_dir.",
        )
