"""Where rows come from: one module a format.

A source opens one file; `FORMATS` lists the formats with the suffixes that name them. To add one, write a module
with a class that keeps the protocol `Source`, and add it here.
"""

from __future__ import annotations

import errno
import glob
import itertools
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from converter.errors import ColumnError, InputError, JobError, nearest, redact
from converter.jobs.secrets import mask_password
from converter.jobs.sections.table import Format, Input
from converter.sources.base import BadRow, InputFile, Piece, RowNumbers, Source, damaged, lost
from converter.sources.delimited import DelimitedSource
from converter.sources.ndjson import NdjsonSource

__all__ = [
    "FORMATS",
    "BadRow",
    "InputFile",
    "Piece",
    "RowNumbers",
    "Source",
    "damaged",
    "find_files",
    "lost",
    "open_source",
]


class FileFormat(NamedTuple):
    """A format: the suffixes that name it, how to open a file of it, whether gzip or zstd may be around it."""

    suffixes: tuple[str, ...]
    open: Callable[[InputFile, Input], Source]
    packed: bool


def _open_parquet(file: InputFile, options: Input) -> Source:
    from converter.sources.parquet import open_parquet  # here, since arrow takes a while: most inputs are text

    return open_parquet(file, options)


def _open_arrow(file: InputFile, options: Input) -> Source:
    from converter.sources.arrow import open_arrow  # here, since arrow takes a while: most inputs are text

    return open_arrow(file, options)


FORMATS: dict[Format, FileFormat] = {
    "csv": FileFormat((".csv", ".txt"), DelimitedSource, packed=True),
    "tsv": FileFormat((".tsv", ".tab"), partial(DelimitedSource, tabs=True), packed=True),
    "ndjson": FileFormat((".ndjson", ".jsonl"), NdjsonSource, packed=True),
    "parquet": FileFormat((".parquet", ".pq"), _open_parquet, packed=False),
    "arrow": FileFormat((".arrow", ".feather", ".ipc", ".arrows"), _open_arrow, packed=False),
}
_PACKED = (".gz", ".zst", ".zstd")


def find_files(options: Input) -> list[InputFile]:
    """Return the files that `input.path` names: files, globs, and what a folder holds, by name.

    Each is there once, by the first path to it: others, links among them, name nothing new.
    Raises `InputError` where a path names nothing, and `JobError` where it is of a kind that is not read.
    """
    found: dict[tuple[object, ...], InputFile] = {}
    for path in dict.fromkeys(itertools.chain.from_iterable(_files_at(path, options.format) for path in options.path)):
        file, identity = _identified(path)
        found.setdefault(identity, file)
    return list(found.values())


def _identified(path: Path) -> tuple[InputFile, tuple[object, ...]]:
    """Return a file, and what is the same for each path to it, and for no other file."""
    try:
        status = path.stat()
    except OSError:
        return InputFile.at(path), (path,)  # which says what is wrong
    file = InputFile.of(path, status)
    if not status.st_ino:  # some network drives number no files
        return file, (path.resolve(),)
    # Others give one number to two files, now and then: a file read twice is noticed sooner than one not read.
    return file, (status.st_dev, status.st_ino, file.size, file.modified)


def open_source(file: InputFile, options: Input, columns: tuple[str, ...]) -> Source:
    """Open one file and check that it has the columns.

    Raises `InputError` where it is damaged or of no known format, and `ColumnError` where a column is missing
    or there twice.
    """
    format_ = options.format or _format_of(file.path)
    if format_ is None:
        raise InputError(
            "E-FORMAT-UNKNOWN",
            f"The format of the input '{file.path}' cannot be told from its name.",
            f"Set input.format (--set input.format=csv): {', '.join(FORMATS)}.",
        )
    if file.size == 0:
        raise InputError(
            "E-INPUT-EMPTY",
            f"The input '{file.path}' is empty.",
            "A file without rows is an error: is the export complete?",
        )
    source = FORMATS[format_].open(file, options)
    if not source.schema:
        raise InputError(
            "E-INPUT-EMPTY",
            f"The input '{file.path}' has no columns: there is nothing in it, or it is not of the format {format_}.",
            "A file without rows is an error: is the export complete?",
        )
    missing = [name for name in columns if name not in source.schema]
    if missing:
        known = list(source.schema)
        names = ", ".join(f"'{redact(name)}'" for name in known[:20]) + (", …" if len(known) > 20 else "")
        raise ColumnError(
            "E-COLUMN-MISSING",
            f"The input '{file.path}' has no column '{missing[0]}'{nearest(missing[0], known) or '.'}",
            f"Its columns are {names}.",
        )
    if repeated := source.repeated & set(columns):
        raise ColumnError(
            "E-COLUMN-REPEATED",
            f"The input '{file.path}' has more than one column '{min(repeated)}'.",
            "Give them different names.",
        )
    return source


def _files_at(path: str, format_: Format | None) -> list[Path]:
    if path == "-":
        raise JobError(
            "E-INPUT-STDIN",
            "Standard input ('-') cannot be read yet.",
            "Give a file, a list of files, a glob or a folder.",
        )
    if "://" in path:
        raise JobError(
            "E-INPUT-REMOTE",
            f"The input '{mask_password(path)}' is not a local file: other places cannot be read yet.",
            "Copy it to a folder first.",
        )
    try:
        return _local_files_at(path, format_)
    except OSError as error:  # pathlib raises what does not say that there is nothing
        raise InputError(
            "E-INPUT-READ",
            f"The input '{path}' cannot be read: {error.strerror or error}.",
            "May this user read it, and look into its folders?",
        ) from error


def _local_files_at(path: str, format_: Format | None) -> list[Path]:
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        files = sorted(
            file
            for file in place.iterdir()
            if file.is_file() and not file.name.startswith((".", "_")) and (format_ or _format_of(file))
        )
        if not files:
            raise InputError(
                "E-INPUT-MISSING",
                f"The folder '{path}' holds no file of a known format.",
                "Set input.path to a glob and input.format.",
            )
        return files
    matches = sorted(Path(match) for match in glob.glob(str(place), recursive=True) if Path(match).is_file())  # noqa: PTH207
    if glob.has_magic(path):
        _check_folders(place)
    if not matches:
        if glob.has_magic(path):
            raise InputError(
                "E-INPUT-MISSING",
                f"No file matches the input '{path}'.",
                "Relative paths of a job file are relative to it, others to the working folder.",
            )
        near = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
        raise InputError(
            "E-INPUT-MISSING",
            f"There is no input file '{path}'{nearest(place.name, near) or '.'}",
            "Relative paths of a job file are relative to it, others to the working folder.",
        )
    return matches


def _check_folders(pattern: Path) -> None:
    """Raise `OSError` where a glob had to pass by a folder that it may not look into, and which may hold input."""
    parts = pattern.parts
    for count in range(1, len(parts)):
        listed = glob.has_magic(parts[count]) or parts[count - 1] == "**"
        needed = os.X_OK | (os.R_OK if listed else 0)
        for folder in glob.glob(os.path.join(*parts[:count], ""), recursive=True):  # noqa: PTH118, PTH207
            if not os.access(folder, needed):
                raise PermissionError(errno.EACCES, f"the folder '{folder}' may not be looked into")
    if glob.has_magic(parts[0]):
        os.scandir(os.curdir).close()


def _format_of(path: Path) -> Format | None:
    """Guess a format from the suffix, below .gz and .zst where they may be around it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in _PACKED
    if packed:
        suffixes.pop()
    for name, format_ in FORMATS.items():
        if suffixes and suffixes[-1] in format_.suffixes:
            if packed and not format_.packed:
                raise InputError(
                    "E-INPUT-PACKED",
                    f"The input '{path}' is a packed {name} file; this format packs its contents by itself.",
                    "Unpack it.",
                )
            return name
    return None
