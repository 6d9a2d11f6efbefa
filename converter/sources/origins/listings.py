"""Which files a path names on a server that lists them: one file, those that a glob matches, or those of a folder.

Of a folder, the files are those of its table, as on the local disk (`folders`), as far as their names say it.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from converter.errors import Finding, InputError
from converter.remote.objects import Entry, Objects
from converter.remote.retry import Patience
from converter.sources.origins.base import Found, LeftOut, Reason
from converter.sources.origins.folders import CHECKSUMS, MANIFEST, MARKERS, OF_SPARK, PARTITION, TEMPORARY, named
from converter.sources.origins.remote import RemoteFile, as_input_errors

_LOGS = (
    (re.compile(r"(.*/)?_delta_log/.*"), "a Delta Lake table"),
    (re.compile(r"(.*/)?\.hoodie/.*"), "a Hudi table"),
    (re.compile(r"(.*/)?metadata/[^/]*\.metadata\.json"), "an Iceberg table"),
)


def expand_names(objects: Objects, path: str, format_of: Callable[[str], str | None], retry_seconds: float) -> Found:
    """Return the files that a path names, without the slash in front. Raises `InputError` as for local paths."""
    with as_input_errors():
        retrying = Patience(retry_seconds).retrying
        if entry := retrying(objects.find, path) if path and not path.endswith("/") else None:
            return Found([RemoteFile(objects, entry, retry_seconds)])
        if glob.has_magic(path):
            prefix = re.split(r"[*?[]", path, maxsplit=1)[0]
            entries = [each for each in retrying(objects.entries, prefix) if glob_of(path).fullmatch(each.name)]
            found = [(each, _known(each.name)) for each in entries if not each.name.endswith("/")]
            folder = ""
        else:
            folder = f"{path.rstrip('/')}/" if path.strip("/") else ""
            entries = [each for each in retrying(objects.entries, folder) if not each.name.endswith("/")]
            found = [(each, _reason(each.name.removeprefix(folder))) for each in entries]
    if not entries:
        raise _missing(objects.url(path))
    _check_logs(objects, path, [entry.name for entry in entries])
    left_out = [LeftOut(objects.url(entry.name), reason) for entry, reason in found if reason]
    files = [entry for entry, reason in found if not reason]
    if not glob.has_magic(path):
        files, empty = _of_one_format(objects, folder, files, format_of)
        left_out += empty
    if not files:
        raise _missing(objects.url(path))
    files.sort(key=lambda entry: entry.name.split("/"))
    warnings = list(_unfinished(objects.url(path), [entry.name for entry in entries]))
    return Found([RemoteFile(objects, entry, retry_seconds) for entry in files], left_out, warnings)


def glob_of(pattern: str) -> re.Pattern[str]:
    """Return what names match a glob: `*` and `?` match no slash, and `**` as a step any number of folders."""
    parts = []
    for step in re.findall(r"\*\*/|\*+|\?|\[[!^]?\]?[^]]*\]|.", pattern, re.DOTALL):
        if step == "**/":
            parts.append("(?:[^/]+/)*")
        elif step == "**":
            parts.append(".*")
        elif step.startswith("*"):
            parts.append("[^/]*")
        elif step == "?":
            parts.append("[^/]")
        elif step.startswith("[") and len(step) > 1:
            parts.append(f"[{'^' * (step[1] in '!^')}{re.escape(step[1:-1].lstrip('!^')).replace(chr(92) + '-', '-')}]")
        else:
            parts.append(re.escape(step))
    return re.compile("".join(parts), re.DOTALL)


def _reason(name: str) -> Reason | None:
    """Return why a file of a folder is not read, by its name below that."""
    *folders, last = name.split("/")
    for folder in folders:
        if folder == TEMPORARY:
            return "unfinished"
        if not PARTITION.fullmatch(folder):
            return "hidden" if folder.startswith((".", "_")) else "subfolder"
    return _known(last) or ("hidden" if last.startswith((".", "_")) else None)


def _known(name: str) -> Reason | None:
    """Return what a file is that a program leaves beside a table."""
    path = PurePosixPath(name)
    if TEMPORARY in path.parts:
        return "unfinished"
    if path.suffix.lower() in CHECKSUMS:
        return "checksum"
    if MARKERS.fullmatch(path.name):
        return "marker"
    return "manifest" if MANIFEST.fullmatch(path.name) else None


def _of_one_format(
    objects: Objects, folder: str, entries: Sequence[Entry], format_of: Callable[[str], str | None]
) -> tuple[list[Entry], list[LeftOut]]:
    """Return the files of a folder, and the empty ones of no format. Raises `InputError` where formats differ."""
    formats: dict[str, list[Entry]] = {}
    empty: list[LeftOut] = []
    for entry in entries:
        format_ = format_of(objects.url(entry.name))
        if format_ or entry.size:
            formats.setdefault(format_ or "no known format", []).append(entry)
        else:
            empty.append(LeftOut(objects.url(entry.name), "empty"))
    if not formats:
        return [], empty
    if len(formats) > 1 or "no known format" in formats:
        counts = ", ".join(
            f"{len(each):,} {format_} ({named(entry.name.removeprefix(folder) for entry in each)})"
            for format_, each in formats.items()
        )
        raise InputError(
            "E-FOLDER-MIXED",
            f"The folder '{objects.url(folder)}' has files of different kinds: {counts}.",
            f"Set input.path to what is to be read, such as '{objects.url(folder)}*.csv', or set input.format.",
        )
    return next(iter(formats.values())), empty


def _missing(url: str) -> InputError:
    return InputError(
        "E-INPUT-MISSING",
        f"There is no input file '{url}', and no folder of this name that holds any.",
        "Names are compared exactly, also upper and lower case. In a glob, * matches within a folder, ** in any.",
    )


def _check_logs(objects: Objects, path: str, names: Sequence[str]) -> None:
    """Raise `InputError` where files are those of a table with a log, which alone says which of them are current."""
    for pattern, kind in _LOGS:
        if any(map(pattern.fullmatch, names)):
            raise InputError(
                "E-FOLDER-TABLE",
                f"The folder '{objects.url(path)}' is {kind}: some of its files may hold rows that were deleted or "
                "replaced, which its log alone knows.",
                "Set input.format = 'delta', and input.path to the folder of the table."
                if "Delta" in kind
                else "Export its current rows as Parquet or CSV (by Spark, DuckDB or Polars), and give that file.",
            )


def _unfinished(url: str, names: Iterable[str]) -> Iterator[Finding]:
    """Yield the warning that a program has most likely not finished a folder."""
    last = [name.rpartition("/")[2] for name in names]
    marked = any(name == "_SUCCESS" or name.startswith("_committed_") for name in last)
    temporary = any(TEMPORARY in name.split("/") for name in names)
    if temporary or (any(map(OF_SPARK.match, last)) and not marked and not glob.has_magic(url)):
        why = (
            f"it has a folder '{TEMPORARY}'"
            if temporary
            else "its files are named as those of Spark, but it has no file '_SUCCESS'"
        )
        yield Finding(
            "W-FOLDER-UNFINISHED",
            f"The folder '{url}' may be incomplete: {why}.",
            "Check that the job that writes it was successful, and that all of it was copied.",
        )
