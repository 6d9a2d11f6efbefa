"""What a place offers for the files that a run leaves of itself, whether it is a folder or in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from converter.errors import DestinationError, Finding

FAILURES = (OSError, DestinationError)
"""What calls of a place raise."""

JOB_LOCK_SUFFIX = ".lock"


class FileEntry(NamedTuple):
    """A file of a listing; `modified` is in UNIX seconds."""

    name: str
    modified: float


class NewFile(Protocol):
    """A file that is written invisibly, and replaces an older one when it is published.

    Once it is finished, another process can publish it, on another machine too where the place is not a folder.
    `discard` and `close` never raise.
    """

    def open(self) -> None:
        """Begin the file, empty, in place of what a process that died has left of it."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...

    def finish(self) -> None:
        """Complete the file, still invisible: it stays where this process dies."""
        ...

    def write_whole(self, data: bytes) -> None:
        """Begin and finish the file with this content; where that fails, nothing is left."""
        ...

    def is_prepared(self) -> bool:
        """Return whether the file is there, invisible, by whichever process."""
        ...

    def publish(self) -> None:
        """Give the file its name, in place of an older one."""
        ...

    def discard(self) -> None:
        """Remove the file unless it is published."""
        ...


class Log(Protocol):
    """Lines that are appended one by one, and stay once a call returns. Threads may share it.

    It has the lines of one run, the first of which begins it. A line has no line end.
    """

    url: str

    def read(self) -> list[bytes]:
        """Return the lines, none where there are none. Raises `ValueError` where some are missing."""
        ...

    def begin(self, line: bytes) -> None:
        """Begin with a line, in place of the lines of an earlier run."""
        ...

    def resume(self) -> None:
        """Continue the lines of an earlier run."""
        ...

    def append(self, line: bytes, *, flush: bool = True) -> None:
        """Add a line; without `flush`, it may be lost where the power fails. After a failure every call fails."""
        ...

    def end(self, line: bytes) -> None:
        """Add the last line."""
        ...

    def cut(self, first: bytes, last: bytes) -> None:
        """Drop all but the first and the last line, which there are, as far as that succeeds; then close."""
        ...

    def remove(self) -> None:
        """Remove all lines, as far as that succeeds."""
        ...

    def close(self) -> None:
        """Release what was opened. Never raises."""
        ...


class RunFiles(Protocol):
    """The place of a run's files: reports, rejects, logs and locks, each with a name that has no slash.

    Methods raise `DestinationError`; in a folder they raise `OSError`, but for `lock`. Threads may share it.
    """

    def url(self, name: str) -> str:
        """Return what messages call a file."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises `FileNotFoundError` where there is none."""
        ...

    def create(self, name: str, data: bytes, mode: int = 0o666) -> bool:
        """Write a whole file under a name that is free; return whether it was. `mode` is for those of a folder."""
        ...

    def new(self, name: str, mode: int = 0o666) -> NewFile:
        """Return a file to be written; `mode` is for those of a folder."""
        ...

    def entries(self) -> Sequence[FileEntry]:
        """Return all files; none where the place is not there yet."""
        ...

    def logs(self, suffix: str) -> Sequence[str]:
        """Return the names of all logs with a suffix."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def log(self, name: str) -> Log:
        """Return a log, which need not be there yet."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock of the job whose log has this name. Raises `DestinationError` where another run has it."""
        ...

    def confirm(self) -> None:
        """Raise `DestinationError` unless the lock that is held is held still."""
        ...

    def check(self) -> list[Finding]:
        """Return whether files can be written, and whether they stay; leave nothing behind."""
        ...

    def close(self) -> None:
        """Close connections. Never raises."""
        ...
