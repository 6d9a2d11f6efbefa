"""Files that appear whole or not at all, and are still there when the power fails right after.

1. The content goes under a partial name, and to the disk.
2. The file gets its name, in place of an older one.
3. The folder, which holds the name, goes to the disk as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

PARTIAL = ".partial"
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}  # of file systems that bring no folder to a disk


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for good."""
    if folder.is_dir():
        return
    if folder != folder.parent:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where that can be asked for."""
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


def give_name(partial: Path, path: Path) -> None:
    """Give a file, of which the content is on the disk, its name in the same folder."""
    os.replace(partial, path)  # noqa: PTH105 - as the tests look for it
    sync_folder(path.parent)


class AtomicFile:
    """A file under a partial name, until it is published in place of an older one. Raises `OSError`."""

    def __init__(self, path: Path, suffix: str = PARTIAL, mode: int = 0o666) -> None:
        self.path = path
        self.partial = path.with_name(path.name + suffix)
        self._mode = mode

    def write(self, data: bytes) -> None:
        """Bring the content to the disk, under the partial name."""
        try:
            self.discard()  # what a process that died has left may have another mode
            with open(self.partial, "xb", opener=self._opener) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self.discard()
            raise

    def _opener(self, path: str, flags: int) -> int:
        return os.open(path, flags, self._mode)

    def publish(self) -> None:
        """Give the file its name."""
        give_name(self.partial, self.path)

    def discard(self) -> None:
        """Remove what is not published."""
        with contextlib.suppress(OSError):  # the first error is the one to tell
            self.partial.unlink(missing_ok=True)
