"""Locks of this machine: one for each job, beside its journal, for each state, and for each name at a destination.

They are locks of the operating system, which end with their process, even if the files stay. Files are removed when a
lock is released: so a process that has locked a file checks that it is still the one at its path.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from converter.delivery.atomic import make_folder
from converter.errors import DestinationError

_JOB_SUFFIX = ".lock"
_STATE_LOCK = "state.lock"
_FOLDER = "aam-inbound-locks"


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        at_path, opened = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (at_path.st_ino, at_path.st_dev) == (opened.st_ino, opened.st_dev)


class _Lock(NamedTuple):
    """What errors about a lock say: their codes, what is locked, which folder cannot be written, and what to do."""

    locked: str
    what: str
    wait: str
    unwritable: str
    folder: str
    choose: str


_OF_JOB = _Lock(
    "E-LOCKED",
    "This job is locked by process {}, which runs it",
    "Wait until it is done; two runs of one job would send everything twice.",
    "E-REPORT-FOLDER",
    "Cannot write the report to",
    "Choose another folder with report.dir.",
)
_OF_STATE = _Lock(
    "E-STATE-LOCKED",
    "The state is locked by process {}, which runs a job with it",
    "Wait until it is done; two runs with one state would not know of each other's changes.",
    "E-STATE-WRITE",
    "Cannot write the state",
    "Choose another folder with delta.state.",
)


def lock_job(journal: Path) -> AbstractContextManager[None]:
    """Hold the lock of a job, by the path of its journal. Raises `DestinationError` where another process has it."""
    return _held(journal.with_name(journal.name + _JOB_SUFFIX), _OF_JOB, make_folder)


def lock_state(folder: Path, make: Callable[[Path], None]) -> AbstractContextManager[None]:
    """Hold the lock of a state, whose folder `make` makes. Raises `DestinationError` as `lock_job` does."""
    return _held(folder / _STATE_LOCK, _OF_STATE, make)


@contextlib.contextmanager
def _held(path: Path, kind: _Lock, make: Callable[[Path], None]) -> Iterator[None]:
    is_new = not os.access(path.parent, os.F_OK)
    descriptor = _acquire(path, kind, make)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            if is_new:  # removed only where it is empty, since the run failed early
                path.parent.rmdir()
        os.close(descriptor)


def _acquire(path: Path, kind: _Lock, make: Callable[[Path], None]) -> int:
    """Return the descriptor of a lock file that is locked."""
    while True:
        try:
            make(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"{kind.folder} '{path.parent}': {error.strerror or error}."
            raise DestinationError(kind.unwritable, message, kind.choose) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            message = f"{kind.what.format(holder or 'unknown')} ('{path}')."
            raise DestinationError(kind.locked, message, kind.wait) from error
        if is_at(descriptor, path):
            with contextlib.suppress(OSError):  # a full disk; the number is for messages alone
                os.fchmod(descriptor, 0o600)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its process removed the file just now


class NameLock:
    """A lock for a name at a destination, for all processes of this machine that share a folder of temporary files."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor

    @classmethod
    def acquire(cls, identity: str, stem: str) -> NameLock | None:
        """Lock a name at the destination of an identity. Returns None where another process has locked it.

        Where the folder cannot be used, for example since another user owns it, the lock is an empty one: then only
        claims at the destination keep runs apart.
        """
        folder = Path(tempfile.gettempdir()) / _FOLDER
        path = folder / hashlib.sha256(f"{identity}\n{stem}".encode()).hexdigest()
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o1777)  # all users may add files, and remove their own
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return cls(path, None)
            while True:
                descriptor = _open_name(path)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    return None
                if is_at(descriptor, path):
                    return cls(path, descriptor)
                os.close(descriptor)  # its process removed the file just now
        except OSError:
            return cls(path, None)

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # another user's file stays
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _open_name(path: Path) -> int:
    """Open a lock file for reading: that is enough for a lock, and other users' files allow no more."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
