"""Files that appear whole or not at all, and are still there when the power fails right after.

1. The content is written under a partial name, and flushed to the disk.
2. The file gets its name.
3. The folder, which holds the name, is flushed to the disk as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import BinaryIO

from converter.errors import DestinationError

PARTIAL = ".partial"
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}  # of file systems that cannot flush a folder
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, flushed to the disk. Raises `OSError`."""
    if folder.is_dir():
        return
    if folder != folder.parent:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the file system can. Raises `OSError`."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def rename_exclusively(partial: Path, path: Path) -> None:
    """Give a file its name and never replace another. It may keep the partial name too; the folder is not flushed.

    A hard link never replaces a file. Where the file system has no links, the name is looked for, the file renamed,
    and compared afterwards. Raises `OSError`, and `DestinationError` where another process renamed at the same time.
    """
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        inode = partial.stat().st_ino
        partial.rename(path)
        if path.stat().st_ino != inode:
            raise DestinationError(
                "E-PUBLISHED-OTHER",
                f"'{path}' was published, and replaced by another file since.",
                "Two runs have used one name: run again with another timestamp (N2).",
            ) from error


class AtomicFile:
    """A file that is written under a partial name, and replaces an older one when it is published.

    `mode` is that of the new file. Where it is `exclusive`, a partial file that exists is an error; else it is what a
    process that died has left, and is replaced. Methods raise `OSError`, but for `close` and `discard`.
    """

    def __init__(self, path: Path, partial: Path | None = None, *, mode: int = 0o666, exclusive: bool = False) -> None:
        self.path = path
        self.partial = partial or path.with_name(path.name + PARTIAL)
        self._mode = mode
        self._exclusive = exclusive
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Create the file, empty, under its partial name."""
        if not self._exclusive:
            self.partial.unlink(missing_ok=True)  # not truncated: it may have another mode
        # `publish` or `discard` closes it.
        self._file = open(self.partial, "xb", opener=lambda path, flags: os.open(path, flags, self._mode))  # noqa: SIM115

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._opened.write(data)

    def fileno(self) -> int:
        """Return the descriptor, once the system has all bytes that were written."""
        self._opened.flush()
        return self._opened.fileno()

    def finish(self, *, sync_name: bool = True) -> None:
        """Flush the content to the disk and close the file; with `sync_name`, flush its partial name too."""
        os.fsync(self.fileno())
        self._opened.close()
        if sync_name:
            sync_folder(self.path.parent)

    def write_whole(self, data: bytes) -> None:
        """Create the file with this content, under its partial name; where that fails, nothing is left."""
        try:
            self.open()
            self.write(data)
            self.finish(sync_name=False)
        except BaseException:
            self.discard()
            raise

    def publish(self) -> None:
        """Give the file its name, in place of an older one."""
        os.replace(self.partial, self.path)  # noqa: PTH105 - tests observe this call
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Close the file, and leave it under the name that it has."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a failed write was reported already
                self._file.close()

    def discard(self) -> None:
        """Close the file, and remove it unless it is published."""
        self.close()
        with contextlib.suppress(OSError):  # the first error is the one to report
            self.partial.unlink(missing_ok=True)

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101 - for the type checker
        return self._file
