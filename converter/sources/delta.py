"""Delta tables: folders of Parquet files, whose log says which of them hold the rows of a version.

The package `deltalake` reads the log, of a table on a server in a copy. The files are read as any others, in the order
of their paths; columns that the log says of a file, and those that it lacks, have one text in all its rows. Rows that
deletion vectors delete are left out.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from converter.errors import InputError, JobError
from converter.jobs.access import Access
from converter.jobs.paths import is_url
from converter.jobs.sections.table import Table
from converter.remote.objects import Objects
from converter.remote.retry import Patience
from converter.sources.base import PANICS
from converter.sources.extras import missing_package
from converter.sources.origins import locate
from converter.sources.origins.base import Found, Origin
from converter.sources.origins.local import LocalFile
from converter.sources.origins.remote import RemoteFile, as_input_errors

if TYPE_CHECKING:
    import deltalake

DELTA = "delta"
_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10})|\.[0-9a-f-]{36})?\.(?:parquet|json)")
_DELETION = "deletionVectors"
_HARMLESS = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", _DELETION}  # the others change how files are read
_VECTORS = re.compile(r"(?:.*/)?deletion_vector_[0-9a-f-]{36}\.bin")
_REWRITE = {"columnMapping": "CREATE TABLE … AS SELECT"}
_DIGITS = 32
_EXPORT = "export its current rows as Parquet or CSV, and give that file"


class OfTable(NamedTuple):
    """What the log of a table says of a file.

    The `constants` are the columns that have one text in all its rows, empty where it lacks them. A bit of `deleted`
    says of each of its rows whether it is, as far as there are bits.
    """

    constants: Mapping[str, str]
    deleted: npt.NDArray[np.uint8] | None = None


class TableFile:
    """A file of a table: an origin, with what the log says of it."""

    def __init__(self, origin: Origin, of_table: OfTable) -> None:
        self._origin = origin
        self.of_table = of_table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._origin, name)

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return what changes when its content changes, or when other rows of it are deleted."""
        known, deleted = self._origin.fingerprint(), self.of_table.deleted
        if known is None or deleted is None:
            return known
        return {**known, "deleted": hashlib.sha256(deleted.tobytes()).hexdigest()[:_DIGITS]}


def in_table(origin: Origin, of_table: OfTable | None) -> Origin:
    """Return an origin with what the log of its table says of it, if it is of one."""
    return origin if of_table is None else cast("Origin", TableFile(origin, of_table))


def of_table(origin: Origin) -> OfTable | None:
    """Return what the log of its table says of an origin, if it is of one."""
    return origin.of_table if isinstance(origin, TableFile) else None


class _Added(NamedTuple):
    """A file of a version: its path in the folder of the table, and what the log says of it."""

    path: str
    of_table: OfTable


def find_delta(path: str, options: Table, access: Access) -> Found | None:
    """Return the files of a version of a Delta table, if a path names one.

    A local folder shows it; on a server `input.format` says it. Raises `InputError` where it has no such version, or
    needs what is not read.
    """
    if is_url(path) and not path.lower().startswith("file://"):
        located = locate(path, access) if options.format == DELTA else None
        if located:
            return _on_server(*located, options, access.retry_seconds)
    else:
        folder = Path(unquote(path.partition("://")[2].removeprefix("localhost")) if is_url(path) else path)
        if os.path.isdir(folder / _LOG):  # noqa: PTH112 - that of Path raises where the folder cannot be opened
            files = _files(folder, str(folder), options)
            return Found([in_table(LocalFile.at(folder / each.path), each.of_table) for each in files])
    if options.format == DELTA:
        raise InputError(
            "E-DELTA-MISSING",
            f"The input '{path}' is not a Delta table: it is not a folder with a log ({_LOG}).",
            "Name the folder of the table, on this machine or on S3, Google Cloud Storage or Azure.",
        )
    return None


def _on_server(objects: Objects, name: str, options: Table, retry_seconds: float) -> Found:
    root = f"{name.rstrip('/')}/" if name.strip("/") else ""
    with as_input_errors():
        listed = Patience(retry_seconds).retrying(objects.entries, root)
    entries = {entry.name.removeprefix(root): entry for entry in listed}
    names = [each.removeprefix(f"{_LOG}/") for each in entries if each.startswith(f"{_LOG}/")]
    label = objects.url(root)
    if not any(map(_COMMIT.fullmatch, names)):
        raise InputError(
            "E-DELTA-MISSING", f"The input '{label}' is not a Delta table: it has no log ({_LOG}).", "Name its folder."
        )
    with tempfile.TemporaryDirectory(prefix="aam-delta-") as folder:
        for each in [*_needed(names, options), *filter(_VECTORS.fullmatch, entries)]:
            copy = Path(folder, each)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with RemoteFile(objects, entries[each], retry_seconds).open() as source, copy.open("wb") as to:
                shutil.copyfileobj(source, to)
        files = _files(Path(folder), label, options)
    if missing := next((each.path for each in files if each.path not in entries), None):
        raise InputError(
            "E-INPUT-MISSING",
            f"The Delta table '{label}' lacks its file '{missing}', so this version cannot be read.",
            "Is it vacuumed, or copied in part? Nothing was published.",
        )
    return Found([in_table(RemoteFile(objects, entries[each.path], retry_seconds), each.of_table) for each in files])


def _needed(names: list[str], options: Table) -> Iterator[str]:
    """Yield the files of a log that say what a version is: from the last checkpoint before it on; all for a time."""
    newest = options.version if options.version is not None else 10**20
    parts: dict[int, list[re.Match[str]]] = {}
    for match in filter(None, map(_CHECKPOINT.fullmatch, names)):
        parts.setdefault(int(match[1]), []).append(match)
    whole = [version for version, found in parts.items() if version <= newest and len(found) >= int(found[0][3] or 1)]
    start = 0 if options.at else max(whole, default=0)
    for name in names:
        is_of_version = _COMMIT.fullmatch(name) or _CHECKPOINT.fullmatch(name)
        if (is_of_version and start <= int(name[:20]) <= newest) or name.startswith("_sidecars/"):
            yield f"{_LOG}/{name}"


def _files(folder: Path, label: str, options: Table) -> list[_Added]:
    """Return the files of a version, by path."""
    try:
        import deltalake  # here, since it is large, and an extra
        import pyarrow as pa
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise missing_package(label, "deltalake", DELTA) from error
    wanted = "newest version"
    try:
        version = options.version
        if options.at is not None:
            version = _version_at(deltalake.DeltaTable(str(folder)), label, options.at)
        wanted = wanted if version is None else f"version {version}"
        table = deltalake.DeltaTable(str(folder), version=version)
        _check_features(table, label)
        deleted = _deleted(table, label)
        columns = [each.name for each in table.schema().fields]
        added = pa.table(table.get_add_actions()).to_pylist()
    except (DeltaError, pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            "E-DELTA-VERSION",
            f"The {wanted} of the Delta table '{label}' cannot be read ({type(error).__name__}).",
            "Set input.version to one that its history has, or leave it out; the oldest end when a log is cleaned up.",
        ) from error
    found = [
        _Added(
            path := unquote(each["path"]),
            OfTable(dict.fromkeys(columns, "") | _partition(each.get("partition")), deleted.get(path)),
        )
        for each in added
    ]
    if foreign := next((each.path for each in found if "://" in each.path or each.path.startswith("/")), None):
        raise _unsupported(label, f"a file of another folder ('{foreign}'), as clones have", None)
    if not found:
        raise InputError(
            "E-INPUT-EMPTY", f"The {wanted} of the Delta table '{label}' has no rows.", "Is it the right version?"
        )
    return sorted(found, key=lambda each: each.path)


def _partition(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the texts of the columns of a partition."""
    return {name: _text(value) for name, value in (values or {}).items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat(" ") if isinstance(value, datetime.datetime) else str(value)


def _version_at(table: deltalake.DeltaTable, label: str, at: str) -> int:
    """Return the last version that was there at a time, as the history of a table says."""
    try:
        time = datetime.datetime.fromisoformat(at)
    except ValueError as error:
        raise JobError(
            "E-INPUT-KEY", f"input.at is '{at}', which is not a time.", "For example: 2024-05-01T06:00:00+02:00."
        ) from error
    until = time.astimezone().timestamp() * 1000
    times = {int(each["version"]): each.get("timestamp", until) for each in table.history()}
    if there := [version for version, written in times.items() if written <= until]:
        return max(there)
    oldest = datetime.datetime.fromtimestamp(min(times.values()) / 1000, datetime.UTC)
    raise InputError(
        "E-DELTA-VERSION",
        f"The Delta table '{label}' had no version at {at} (input.at): the oldest in its log is of "
        f"{oldest.isoformat(timespec='seconds')}.",
        "Set a later time.",
    )


def _check_features(table: deltalake.DeltaTable, label: str) -> None:
    """Raise `InputError` where the files of a table do not say alone which rows and columns it has."""
    features = set(table.protocol().reader_features or ())
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") == "none":
        features.discard("columnMapping")
    else:
        features.add("columnMapping")
    if unknown := sorted(features - _HARMLESS - {_DELETION}):
        raise _unsupported(label, ", ".join(unknown), _REWRITE.get(unknown[0]))


def _deleted(table: deltalake.DeltaTable, label: str) -> dict[str, npt.NDArray[np.uint8]]:
    """Return by the path of a file which of its rows are deleted, as bits. Raises `InputError`."""
    if _DELETION not in (table.protocol().reader_features or ()):
        return {}
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    deleted = {}
    try:
        for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
            for file, is_kept in zip(batch.column("filepath"), batch.column("selection_vector"), strict=True):
                path = unquote(file.as_py().removeprefix(table.table_uri).lstrip("/"))
                deleted[path] = np.packbits(~is_kept.values.to_numpy(zero_copy_only=False))
    except (DeltaError, pa.ArrowException, OSError, ValueError, *PANICS) as error:
        raise InputError(
            "E-INPUT-DAMAGED",
            f"Which rows of the Delta table '{label}' are deleted is not known: its deletion vectors cannot be read "
            f"({type(error).__name__}).",
            "Is one of their files missing? Get the whole table again, or rewrite it without (REORG TABLE … APPLY "
            "(PURGE)).",
        ) from error
    return deleted


def _unsupported(label: str, what: str, statement: str | None) -> InputError:
    rewrite = f"Rewrite it without ({statement}), or {_EXPORT}." if statement else f"{_EXPORT.capitalize()}."
    return InputError("E-DELTA-FEATURE", f"The Delta table '{label}' uses what is not supported: {what}.", rewrite)
