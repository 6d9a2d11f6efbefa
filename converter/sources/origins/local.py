"""Local files: alone, by a glob, or all of a folder."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from converter.errors import InputError, JobError, nearest
from converter.jobs.access import DEFAULT_ACCESS, Access
from converter.jobs.secrets import mask_password
from converter.sources.origins.base import Found
from converter.sources.origins.folders import Selection, files_of_folder, files_of_glob


class LocalFile(NamedTuple):
    """A local file: `size` in bytes, `modified` in nanoseconds; `inode` is its device and number, where it has one."""

    path: Path
    size: int
    modified: int
    inode: tuple[int, int] | None = None

    @classmethod
    def at(cls, path: Path) -> LocalFile:
        """Return the file as it is now. Raises `InputError` where it is not there."""
        try:
            status = path.stat()
        except OSError as error:
            raise InputError("E-INPUT-READ", f"The input '{path}' cannot be read: {error.strerror}.") from error
        # Some network drives number no files.
        return cls(path, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino) if status.st_ino else None)

    @property
    def label(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def rereadable(self) -> bool:
        """Always true."""
        return True

    @property
    def identity(self) -> Hashable:
        """What hard and symbolic links to it have in common."""
        if self.inode is None:
            return self.path.resolve()
        # Others give one number to two files, now and then: a file read twice is noticed sooner than one not read.
        return self.inode, self.size, self.modified

    def open(self) -> BinaryIO:
        """Return its bytes. Raises `OSError`."""
        return self.path.open("rb")

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, fewer at the end. Raises `OSError`."""
        with self.open() as stream:
            stream.seek(start)
            return stream.read(stop - start)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return its absolute path, its size, and when it was modified."""
        path = os.path.abspath(self.path)  # noqa: PTH100 - a Path keeps `..`
        return {"path": path, "size": self.size, "modified": self.modified}

    def check_unchanged(self) -> None:
        """Raise `InputError` where its size or the time of its last change is another one than it was."""
        now = LocalFile.at(self.path)
        if (now.size, now.modified) != (self.size, self.modified):
            raise InputError(
                "E-INPUT-CHANGED",
                f"The input '{self.path}' changed while it was read, so the run was stopped.",
                "Run again when nothing writes to it.",
            )


def expand(path: str, format_of: Callable[[str], str | None], access: Access = DEFAULT_ACCESS) -> Found:
    """Return the files that a path names: a file, those that a glob matches, or those of a folder, by name.

    Of a folder, the files are those of its table (`folders`); `format_of` returns the format that a name says.
    Raises `InputError` where there are none, or it is not clear which are meant.
    """
    del access
    try:
        selection = _select(path, format_of)
    except OSError as error:  # a folder that cannot be read is not one that holds nothing
        raise InputError(
            "E-INPUT-READ",
            f"The input '{path}' cannot be read: {error.strerror or error}.",
            "Check that this user has the permission to read it and to list its folders.",
        ) from error
    return Found([LocalFile.at(each) for each in selection.files], selection.left_out, selection.warnings)


def expand_url(url: str, format_of: Callable[[str], str | None], access: Access = DEFAULT_ACCESS) -> Found:
    """Return the files that a `file://` URL names, as `expand` does. Raises `JobError` for one of another machine."""
    host, slash, path = url.partition("://")[2].partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise JobError(
            "E-INPUT-URL",
            f"The input '{mask_password(url)}' has no absolute path on this machine.",
            "For example: file:///data/crm.csv.",
        )
    return expand(unquote(f"/{path}"), format_of, access)


def _select(text: str, format_of: Callable[[str], str | None]) -> Selection:
    path = Path(text)
    if path.is_file():
        return Selection([path])
    if path.is_dir():
        return files_of_folder(path, format_of)
    if path.exists():
        raise InputError(
            "E-INPUT-SPECIAL",
            f"The input '{text}' is {_special(path)}, which cannot be read yet.",
            "Write what it gives to a file, and give that file.",
        )
    found = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    matches = [Path(match) for match in found if Path(match).is_file()]
    if glob.has_magic(text):
        _check_folders(path)
    if matches:
        return files_of_glob(matches, text)
    advice = "Relative paths of a job file are relative to it, others to the working folder."
    if glob.has_magic(text):
        raise InputError("E-INPUT-MISSING", f"No file matches the input '{text}'.", advice)
    near = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError("E-INPUT-MISSING", f"There is no input file '{text}'{nearest(path.name, near) or '.'}", advice)


def _special(path: Path) -> str:
    """Return what a path is that is neither a file nor a folder."""
    return "a socket" if path.is_socket() else "a device"


def _check_folders(pattern: Path) -> None:
    """Raise `OSError` where a glob skipped a folder that cannot be listed, and which may hold input."""
    parts = pattern.parts
    for count in range(1, len(parts)):
        listed = glob.has_magic(parts[count]) or parts[count - 1] == "**"
        needed = os.X_OK | (os.R_OK if listed else 0)
        for folder in glob.glob(os.path.join(*parts[:count], ""), recursive=True):  # noqa: PTH118, PTH207 - likewise
            if not os.access(folder, needed):
                raise PermissionError(errno.EACCES, f"no permission to list the folder '{folder}'")
    if glob.has_magic(parts[0]):
        os.scandir(os.curdir).close()
