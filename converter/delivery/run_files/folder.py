"""The files of runs in a folder."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from converter.delivery.atomic import AtomicFile, make_folder
from converter.delivery.locks import lock_job
from converter.delivery.run_files.base import FileEntry
from converter.delivery.run_files.containers import vanishing
from converter.errors import Finding

_NEW = ".new"
_PRIVATE = 0o600


class FolderFiles:
    """A folder, which is made when the first file is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.folder / name)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.folder / name).read_bytes()

    def create(self, name: str, data: bytes, mode: int = 0o666) -> bool:
        """Write a file unless there is one. The lock of the job keeps others from its names."""
        path = self.folder / name
        if os.path.lexists(path):
            return False
        file = self.new(name, mode)
        try:
            file.write_whole(data)
            file.publish()
        finally:
            file.discard()
        return True

    def new(self, name: str, mode: int = 0o666) -> _FolderFile:
        """Return a file to be written under a partial name."""
        return _FolderFile(self.folder / name, mode=mode)

    def entries(self) -> list[FileEntry]:
        """Return the files of the folder."""
        try:
            with os.scandir(self.folder) as found:
                return list(filter(None, map(_entry, found)))
        except FileNotFoundError:
            return []

    def logs(self, suffix: str) -> list[str]:
        """Return the names of all logs with a suffix."""
        return [each.name for each in self.entries() if each.name.endswith(suffix)]

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)

    def log(self, name: str) -> FolderLog:
        """Return a log, a file of lines."""
        return FolderLog(self.folder / name)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock of a job, of the operating system."""
        return lock_job(self.folder / name)

    def confirm(self) -> None:
        """Do nothing: a lock of the operating system is held as long as its process lives."""

    def check(self) -> list[Finding]:
        """Return whether files can be written, and whether they go with the container."""
        folder = self.folder
        while not os.access(folder, os.F_OK) and folder != folder.parent:
            folder = folder.parent
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            return [
                Finding(
                    "E-REPORT-FOLDER",
                    f"The folder '{self.folder}' cannot be written.",
                    "Set report.dir to another folder.",
                )
            ]
        return [Finding("", f"The report can be written to '{self.folder}'."), *vanishing(self.folder)]

    def close(self) -> None:
        """Do nothing."""


def _entry(found: os.DirEntry[str]) -> FileEntry | None:
    try:
        return FileEntry(found.name, found.stat().st_mtime)
    except FileNotFoundError:  # it was removed just now, or is a link to nothing
        return None


class _FolderFile(AtomicFile):
    """A file whose folder is made."""

    def open(self) -> None:
        make_folder(self.path.parent)
        super().open()

    def is_prepared(self) -> bool:
        """Return whether there is a file with the partial name."""
        return self.partial.exists()


class FolderLog:
    """A file of lines, each of them flushed to the disk. A last line without a line end is torn, and does not count."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path
        self._lock = threading.Lock()  # for writing; `_flushing` is taken before it where both are
        self._flushing = threading.Lock()
        self._descriptor: int | None = None
        self._failure: OSError | None = None
        self._written = self._flushed = 0  # numbers of lines

    def read(self) -> list[bytes]:
        """Return the whole lines."""
        try:
            return self._path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn, or empty
        except FileNotFoundError:
            return []

    def begin(self, line: bytes) -> None:
        """Begin a new file, which replaces an older one once it has its first line."""
        file = self._new_file()
        try:
            make_folder(self._path.parent)
            file.open()
            self._descriptor = os.dup(file.fileno())
            self.append(line)
            file.close()
            try:
                file.publish()
            except OSError:
                if not file.partial.exists():  # the name may not last; nothing was begun yet
                    self.remove()
                raise
        finally:
            file.discard()

    def _new_file(self) -> AtomicFile:
        return AtomicFile(self._path, self._path.with_name(self._path.name + _NEW), mode=_PRIVATE)

    def resume(self) -> None:
        """Open the file to append to it, and remove a line that is torn."""
        whole = self._path.read_bytes().rfind(b"\n") + 1
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        os.fchmod(self._descriptor, _PRIVATE)  # whatever an older one had
        os.ftruncate(self._descriptor, whole)

    def append(self, line: bytes, *, flush: bool = True) -> None:
        """Append a line, and flush it to the disk, with those that were not and those of other threads.

        After a failure every call fails: so only the last line can be torn.
        """
        line += b"\n"
        with self._lock, self._failing():
            if self._descriptor is None:  # the run has ended
                return
            while line:  # a full disk may take only a part of a line
                line = line[os.write(self._descriptor, line) :]
            self._written += 1
            number = self._written
        if not flush:
            return
        with self._flushing, self._failing():
            if self._flushed < number and self._descriptor is not None:
                written = self._written
                os.fsync(self._descriptor)
                self._flushed = written

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise the first failure also to all who come later."""
        try:
            if self._failure:
                raise self._failure
            yield
        except OSError as error:
            self._failure = error
            raise

    def end(self, line: bytes) -> None:
        """Append the last line."""
        self.append(line)

    def cut(self, first: bytes, last: bytes) -> None:
        """Replace the file by one with two lines."""
        self.close()
        file = self._new_file()
        with contextlib.suppress(OSError):  # the longer file means the same
            file.write_whole(first + b"\n" + last + b"\n")
            file.publish()
        file.discard()

    def remove(self) -> None:
        """Remove the file."""
        self.close()
        with contextlib.suppress(OSError):  # a log of a run that left nothing does no harm
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        with self._flushing, self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
