"""Which files are meant: inbound files that exist, named by their paths or URLs, by globs, or by their folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from converter.delivery.destinations.partials import PROCESSED
from converter.errors import InputError
from converter.jobs.access import DEFAULT_ACCESS, Access
from converter.jobs.paths import exists, is_file, is_folder, is_url
from converter.jobs.run_files import JOURNAL_SUFFIX, REJECTS_SUFFIX, REPORT_SUFFIX
from converter.sources.origins import expand as expand_url
from converter.sources.origins.base import Origin
from converter.sources.origins.folders import CHECKSUMS, MANIFEST, MARKERS, PARTITION
from converter.sources.origins.local import LocalFile
from converter.spec.names import FileName

_BESIDE = (REPORT_SUFFIX, REJECTS_SUFFIX, JOURNAL_SUFFIX, PROCESSED, ".partial", ".lock", *CHECKSUMS)
"""How the names of files end that lie beside inbound files, and are none."""


class FoundFiles(NamedTuple):
    """The files that are meant, and the paths of those in their folders that are not."""

    files: Sequence[Origin]
    left_out: Sequence[str] = ()


def find(files: Iterable[str | os.PathLike[str]], access: Access = DEFAULT_ACCESS) -> FoundFiles:
    """Return the files that paths and URLs name: of a folder all, under any name, but those that lie beside such files.

    Folders whose names are `KEY=VALUE`, such as those of days in a bucket, belong to the folder that they are in.
    Raises `InputError` where there is nothing, or it cannot be listed.
    """
    origins: list[Origin] = []
    left_out: list[str] = []
    for given in files:
        file = os.fspath(given)
        if is_url(file):
            found = expand_url(file, lambda _: "inbound", access)
            left_out += [each.path for each in found.left_out]
            of_url: Sequence[Origin] = found.origins
        elif is_folder(folder := Path(file)):
            of_url = [LocalFile.at(path) for path in _listed(folder)]
        else:
            origins += [LocalFile.at(path) for path in _expand(Path(file))]
            continue
        is_named = len(of_url) == 1 and _last(of_url[0].label) == _last(file)
        for origin in of_url:
            if is_named or not _is_beside(_last(origin.label)):
                origins.append(origin)
            else:
                left_out.append(origin.label)
    return FoundFiles([*{origin.label: origin for origin in origins}.values()], left_out)


def expand(files: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the paths of local files: those given, matches of globs, and inbound files in folders; each one once.

    Raises `InputError` where nothing matches a glob, or a folder cannot be read.
    """
    paths: list[Path] = []
    for file in map(Path, files):
        paths += [each for each in _entries(file) if _is_inbound(each)] if is_folder(file) else _expand(file)
    return list(dict.fromkeys(paths))


def _expand(file: Path) -> Sequence[Path]:
    """Return a file, or the matches of a glob. Raises `InputError` where there are none."""
    if exists(file) or not glob.has_magic(str(file)):
        return [file]
    matches = glob.glob(str(file))  # noqa: PTH207 - Path.glob takes no absolute ones
    if not matches:
        raise InputError(
            "E-INPUT-MISSING",
            f"No file matches '{file}'.",
            "Paths are relative to the working folder; folders stand for the inbound files in them.",
        )
    return sorted(map(Path, matches))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        message = f"The input '{folder}' cannot be read: {error.strerror or error}."
        raise InputError("E-INPUT-READ", message, "Check the permissions of this user.") from error


def _listed(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, and of its partitions."""
    for path in _entries(folder):
        if is_file(path):
            yield path
        elif is_folder(path) and PARTITION.fullmatch(path.name):
            yield from _listed(path)


def _is_inbound(path: Path) -> bool:
    try:
        FileName.parse(path.name)
    except ValueError:
        return False
    return is_file(path)


def _is_beside(name: str) -> bool:
    """Return whether a file lies beside inbound files, such as a report or a checksum."""
    is_known = MARKERS.fullmatch(name) or MANIFEST.fullmatch(name)
    return bool(is_known) or name.startswith((".", "_")) or name.lower().endswith(_BESIDE)


def _last(label: str) -> str:
    return PurePosixPath(label).name
