"""A folder. Parts grow under `NAME.partial` and get their names together, once all are whole.

A final name is made by a hard link, which never replaces a file; where the file system has none, by looking
first and renaming then.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from converter.errors import DestinationError
from converter.spec.names import FileName

PARTIAL = ".partial"
_FLUSH_BYTES = 32 << 20  # so much is on its way to the disk before the next is sent after it
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class FolderDestination:
    """A folder on a local or mounted file system; it is made when the first part is."""

    def __init__(self, path: str) -> None:
        self._folder = Path(path).expanduser()
        self._parts: list[_FolderPart] = []
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")

    def check(self, name: FileName) -> None:
        """See that the folder can be written and holds no part of this name."""
        with self._mapped("look into"):
            place = self._folder
            while not place.exists():
                place = place.parent
            if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
                raise DestinationError(
                    f"The folder '{self._folder}' cannot be written.",
                    "Choose another one (--to), or change its permissions.",
                )
            if not self._folder.exists():
                return
            for file in sorted(self._folder.iterdir()):
                self._check_file(file.name, name)

    def _check_file(self, found: str, name: FileName) -> None:
        try:
            other = FileName.parse(found.removesuffix(PARTIAL))
        except ValueError:
            return
        if other.stem != name.stem:
            return
        if found.endswith(PARTIAL):
            raise DestinationError(
                f"'{found}' is in '{self._folder}': a run with this name is going on, or was killed.",
                "If none is going on, remove the file, or use another timestamp.",
            )
        raise DestinationError(
            f"'{found}' is in '{self._folder}' already, and nothing is ever overwritten.",
            "Leave output.timestamp out, or use another one (N2).",
        )

    def create(self, name: str) -> _FolderPart:
        """Begin a part under its partial name."""
        with self._mapped("write into"):
            self._folder.mkdir(parents=True, exist_ok=True)
            part = _FolderPart(self._folder / name, self._flusher)
            self._parts.append(part)  # before there is a file, so that a signal at any moment finds what to remove
            part.begin()
        return part

    def url(self, name: str) -> str:
        """Return the path of the part, absolute."""
        return str((self._folder / name).absolute())

    def publish(self) -> None:
        """Give every part its final name; take the names back where one cannot be given."""
        named: list[Path] = []
        try:
            with self._mapped("name the parts in"):
                for part in self._parts:
                    _name(part.partial, part.path)
                    named.append(part.path)
                for part in self._parts:
                    part.partial.unlink(missing_ok=True)
                self._sync_folder()
        except BaseException:
            for path in named:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        self._parts.clear()
        self._flusher.shutdown()

    def abort(self) -> None:
        """Close and remove what is not published."""
        self._flusher.shutdown(wait=True, cancel_futures=True)
        for part in self._parts:
            part.discard()
        self._parts.clear()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _cannot(f"{what} the folder", self._folder, error) from None


class _FolderPart:
    """One part, growing."""

    def __init__(self, path: Path, flusher: ThreadPoolExecutor) -> None:
        self.path = path
        self.partial = path.with_name(path.name + PARTIAL)
        self._file: IO[bytes] | None = None
        self._ours = False
        self._flusher = flusher
        self._flushing: Future[None] | None = None
        self._written = self._flushed = 0

    def begin(self) -> None:
        """Create the file. Raises `FileExistsError` where another run has."""
        self._ours = not self.partial.exists()
        try:
            self._file = self.partial.open("xb")
        except FileExistsError:
            self._ours = False
            raise

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes; every few megabytes the disk is set to work, so that the last flush is short."""
        assert self._file is not None  # noqa: S101 - for the type checker: begun
        try:
            self._file.write(data)
            self._written += len(data)
            if self._written - self._flushed >= _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
                self._wait_for_flush()
                self._file.flush()
                self._flushed = self._written
                self._flushing = self._flusher.submit(os.fsync, self._file.fileno())
        except OSError as error:
            raise _cannot("write", self.path, error) from None

    def finish(self) -> None:
        """Bring everything to the disk and check that all of it is there."""
        assert self._file is not None  # noqa: S101 - for the type checker: begun
        try:
            self._wait_for_flush()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            size = self.partial.stat().st_size
        except OSError as error:
            raise _cannot("write", self.path, error) from None
        if size != self._written:
            raise DestinationError(
                f"'{self.path}' has {size:,} bytes on disk, but {self._written:,} were written.",
                "Is the disk full or the file system damaged? Nothing was published.",
            )

    def discard(self) -> None:
        """Remove the part, whatever state it is in."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        with contextlib.suppress(OSError):
            if self._ours:
                self.partial.unlink(missing_ok=True)

    def _wait_for_flush(self) -> None:
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None


def _name(partial: Path, path: Path) -> None:
    """Give the file its final name without ever replacing another."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        partial.rename(path)


def _cannot(what: str, path: Path, error: OSError) -> DestinationError:
    hints = {
        errno.ENOSPC: "The disk is full: free some space, or write elsewhere.",
        errno.EDQUOT: "Your quota is used up: free some space, or write elsewhere.",
        errno.EACCES: "Change its permissions, or write elsewhere.",
        errno.EEXIST: "Nothing is ever overwritten: use another timestamp (N2).",
    }
    hint = hints.get(error.errno or 0, "Nothing was published.")
    return DestinationError(f"Cannot {what} '{path}': {error.strerror or error}.", hint)
