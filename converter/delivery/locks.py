"""Locks of this machine: one for each job, beside its journal, and one for each name at a destination.

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
from collections.abc import Iterator
from pathlib import Path

from converter.delivery.atomic import make_folder
from converter.errors import DestinationError

_JOB_SUFFIX = ".lock"
_FOLDER = "aam-inbound-locks"


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        at_path, opened = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (at_path.st_ino, at_path.st_dev) == (opened.st_ino, opened.st_dev)


@contextlib.contextmanager
def lock_job(journal: Path) -> Iterator[None]:
    """Hold the lock of a job, by the path of its journal. Raises `DestinationError` where another process has it."""
    path = journal.with_name(journal.name + _JOB_SUFFIX)
    is_new = not os.access(path.parent, os.F_OK)
    descriptor = _lock_job(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            if is_new:  # removed only where it is empty, since the run failed early
                path.parent.rmdir()
        os.close(descriptor)


def _lock_job(path: Path) -> int:
    """Return the descriptor of a lock file that is locked."""
    while True:
        try:
            make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DestinationError(
                "E-REPORT-FOLDER",
                f"Cannot write the report to '{path.parent}': {error.strerror or error}.",
                "Choose another folder with report.dir.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DestinationError(
                "E-LOCKED",
                f"This job is locked by process {holder or 'unknown'}, which runs it ('{path}').",
                "Wait until it is done; two runs of one job would send everything twice.",
            ) from error
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
