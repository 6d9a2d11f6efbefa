"""Which files of a folder are its table, and which the programs left that wrote it.

A folder is read as a whole: what is not read has a known reason, or is an error. Folders whose names are `KEY=VALUE`
are partitions, whose files belong to the folder above them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from converter.errors import Finding, InputError
from converter.sources.origins.base import LeftOut, Reason


class Selection(NamedTuple):
    """The files to read, by path, those that are not, and warnings about the folder."""

    files: Sequence[Path]
    left_out: Sequence[LeftOut] = ()
    warnings: Sequence[Finding] = ()


PARTITION = re.compile(r"([^=]+)=(.*)", re.DOTALL)
"""The name of a folder that is a partition, as Hive writes it: `KEY=VALUE`."""
CHECKSUMS = (".crc", ".md5", ".sha1", ".sha256", ".sha512")
MARKERS = re.compile(r"_SUCCESS|_(?:committed|started)_\S+|_(?:common_)?metadata|.*\.csv\.metadata")
MANIFEST = re.compile(r"(?:.*[-_.])?manifest(?:\.json)?", re.IGNORECASE)
_MOST_MANIFEST = 64 << 20  # bytes
OF_SPARK = re.compile(r"part-(?:[mr]-)?[0-9]{5}(?:[-.]|$)")
TEMPORARY = "_temporary"
_MOST_NAMED = 3


def files_of_folder(folder: Path, format_of: Callable[[str], str | None]) -> Selection:
    """Return the files of a folder that are its table; `format_of` returns what the name of a file says it is.

    Raises `InputError` where that is not clear, or there are none, and `OSError` where it cannot be listed.
    """
    roots = table_roots([folder / "any"])
    left_out: list[LeftOut] = []
    files: list[tuple[Path, str]] = []
    unknown: list[Path] = []
    for path, reason in _listed(folder):
        format_ = None if reason else format_of(str(path))
        if reason or not (format_ or path.stat().st_size):
            left_out.append(LeftOut(str(path), reason or "empty"))
        elif format_:
            files.append((path, format_))
        else:
            unknown.append(path)
    if not files:
        raise _nothing_in(folder, unknown, left_out)
    if unknown or len({format_ for _, format_ in files}) > 1:
        raise _unclear(folder, files, unknown, format_of)
    warnings = [*_unfinished(roots), *_missing_of_manifests(left_out, [path.name for path, _ in files])]
    return Selection(sorted(path for path, _ in files), left_out, warnings)


def files_of_glob(paths: Iterable[Path], pattern: str) -> Selection:
    """Return those files that a glob matches and which are not what programs leave beside tables.

    Raises `InputError` where they belong to a table whose current rows its log knows.
    """
    files: list[Path] = []
    left_out: list[LeftOut] = []
    for path in sorted(paths):
        reason: Reason | None = _known(path)
        if TEMPORARY in path.parts and TEMPORARY not in pattern:
            reason = "unfinished"
        if reason:
            left_out.append(LeftOut(str(path), reason))
        else:
            files.append(path)
    warnings = list(_unfinished(table_roots(files)))
    return Selection(files, left_out, warnings)


def table_roots(files: Iterable[Path]) -> list[Path]:
    """Return the folders that the tables of files are in, above their partitions.

    Raises `InputError` where one is a table with a log, of which the log alone says which files are current.
    """
    roots = dict.fromkeys(_root(folder) for folder in dict.fromkeys(path.parent for path in files))
    for root in roots:
        if kind := _logged(root) or (root.name == "data" and _logged(root.parent)):
            raise InputError(
                "E-FOLDER-TABLE",
                f"The folder '{root}' is {kind}: some of its files may hold rows that were deleted or replaced, which "
                "its log alone knows.",
                f"Set input.path to the folder '{root}' itself."
                if "Delta" in kind
                else "Export its current rows as Parquet or CSV (by Spark, DuckDB or Polars), and give that file.",
            )
    return list(roots)


def _root(folder: Path) -> Path:
    while PARTITION.fullmatch(folder.name):
        folder = folder.parent
    return folder


def _logged(folder: Path) -> str | None:
    """Return what a table with a log is called, if a folder is one."""
    if (folder / "_delta_log").is_dir():
        return "a Delta Lake table"
    if (folder / ".hoodie").is_dir():
        return "a Hudi table"
    return "an Iceberg table" if any((folder / "metadata").glob("*.metadata.json")) else None


def _listed(folder: Path) -> Iterator[tuple[Path, Reason | None]]:
    """Yield the files of a folder and its partitions, with the reason why one is not read."""
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir():
            if PARTITION.fullmatch(entry.name):
                yield from _listed(path)
            elif entry.name == TEMPORARY:
                yield path, "unfinished"
            else:
                yield path, "hidden" if entry.name.startswith((".", "_")) else "subfolder"
        elif entry.is_file():
            yield path, _known(path) or ("hidden" if entry.name.startswith((".", "_")) else None)
        else:
            yield path, "special"


def _known(path: Path) -> Reason | None:
    """Return what a file is that a program leaves beside a table."""
    if path.suffix.lower() in CHECKSUMS:
        return "checksum"
    if MARKERS.fullmatch(path.name):
        return "marker"
    return "manifest" if _manifest_of(path) is not None else None


def _manifest_of(path: Path) -> set[str] | None:
    """Return the names of the files that a manifest lists; `None` where a file is not a manifest."""
    if not MANIFEST.fullmatch(path.name) or path.stat().st_size > _MOST_MANIFEST:
        return None
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    entries = content.get("entries")
    urls = [each.get("url") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return {url.rpartition("/")[2] for url in urls if isinstance(url, str)}


def _missing_of_manifests(left_out: Iterable[LeftOut], names: Sequence[str]) -> Iterator[Finding]:
    """Yield warnings that a manifest lists files that are not there."""
    for path in (Path(each.path) for each in left_out if each.reason == "manifest"):
        missing = sorted((_manifest_of(path) or set()) - set(names))
        if missing:
            yield Finding(
                "W-FOLDER-UNFINISHED",
                f"The manifest '{path}' lists {len(missing):,} files that are not there: {named(missing)}.",
                "Copy the whole folder again.",
            )


def _unfinished(roots: Iterable[Path]) -> Iterator[Finding]:
    """Yield warnings about folders that a program has not finished, most likely."""
    for root in roots:
        names = [path.name for path in root.iterdir()]
        started = {name.removeprefix("_started_") for name in names if name.startswith("_started_")}
        committed = {name.removeprefix("_committed_") for name in names if name.startswith("_committed_")}
        if TEMPORARY in names:
            why = f"it has a folder '{TEMPORARY}'"
        elif started - committed:
            why = "a write to it was started, and not committed"
        elif "_SUCCESS" in names or committed or not any(map(OF_SPARK.match, names)):
            continue
        else:
            why = "its files are named as those of Spark, but it has no file '_SUCCESS'"
        yield Finding(
            "W-FOLDER-UNFINISHED",
            f"The folder '{root}' may be incomplete: {why}.",
            "Check that the job that writes it was successful, and that all of it was copied.",
        )


def named(names: Iterable[str]) -> str:
    """Return the first of some names, for a message."""
    names = list(names)
    return ", ".join(f"'{name}'" for name in names[:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)


def _nothing_in(folder: Path, unknown: Sequence[Path], left_out: Sequence[LeftOut]) -> InputError:
    subfolders = [Path(each.path).name for each in left_out if each.reason == "subfolder"]
    names = [*(path.name for path in unknown), *subfolders] or [Path(each.path).name for each in left_out]
    found = f"; it has {named(names)}" if names else ""
    deeper = "/**" * bool(subfolders and not unknown)
    return InputError(
        "E-INPUT-MISSING",
        f"The folder '{folder}' holds no file of a known format{found}.",
        f"If it holds tables, set input.path to a glob, such as '{folder}{deeper}/*', and input.format.",
    )


def _unclear(
    folder: Path, files: Sequence[tuple[Path, str]], unknown: Sequence[Path], format_of: Callable[[str], str | None]
) -> InputError:
    """Return the error that a folder has files of several formats, or of none that is known."""
    by_format: dict[str, list[Path]] = {}
    for path, format_ in files:
        by_format.setdefault(format_, []).append(path)
    counts = [
        f"{len(paths):,} {format_} ({named(path.name for path in paths)})" for format_, paths in by_format.items()
    ]
    if unknown:
        counts.append(f"{len(unknown):,} of no known format ({named(path.name for path in unknown)})")
    globs = [
        str(folder / f"*{suffix}")
        for paths in by_format.values()
        for suffix in dict.fromkeys(_suffix(path, format_of) for path in paths)
    ]
    shown = f"'{globs[0]}'" if len(globs) == 1 else f"[{', '.join(map(repr, globs))}]"
    rest = ", or set input.format to read all as one format" if unknown else ", or to one of these"
    return InputError(
        "E-FOLDER-MIXED",
        f"The folder '{folder}' has files of different kinds: {', '.join(counts)}.",
        f"Set input.path to what is to be read, such as {shown}{rest}.",
    )


def _suffix(path: Path, format_of: Callable[[str], str | None]) -> str:
    """Return the end of a name that says the format: one suffix, or two where it is packed."""
    suffixes = path.suffixes
    return suffixes[-1] if len(suffixes) < 2 or format_of(f"x{suffixes[-1]}") else "".join(suffixes[-2:])
