"""Which files are meant: inbound files that exist, named by their paths, by globs, or by their folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from converter.errors import InputError
from converter.spec.names import FileName


def expand(files: Iterable[str | os.PathLike[str]], *, every: bool = False) -> list[Path]:
    """Return the paths of files: those given, matches of globs, and inbound files in folders; each one once.

    With `every`, all files in folders are meant that are not hidden, under any name.

    Raises `InputError` where nothing matches a glob, or a folder cannot be read.
    """
    is_meant = _is_shown if every else _is_inbound
    paths: list[Path] = []
    for file in map(Path, files):
        try:
            if file.is_dir():
                paths += sorted(each for each in file.iterdir() if is_meant(each))
            elif not file.exists() and glob.has_magic(str(file)):
                matches = glob.glob(str(file))  # noqa: PTH207 - Path.glob takes no absolute ones
                if not matches:
                    raise InputError(
                        "E-INPUT-MISSING",
                        f"No file matches '{file}'.",
                        "Paths are relative to the working folder; folders stand for the inbound files in them.",
                    )
                paths += sorted(map(Path, matches))
            else:
                paths.append(file)
        except OSError as error:
            message = f"The input '{file}' cannot be read: {error.strerror or error}."
            raise InputError("E-INPUT-READ", message, "Check the permissions of this user.") from error
    return list(dict.fromkeys(paths))


def _is_inbound(path: Path) -> bool:
    try:
        FileName.parse(path.name)
    except ValueError:
        return False
    return path.is_file()


def _is_shown(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
