"""What becomes of reports after their runs: a page of one, and the list of the runs of a report folder."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from converter.delivery.publication import ArtifactFile
from converter.delivery.run_files import FAILURES, RunFiles, run_files_at
from converter.errors import InputError
from converter.jobs.run_files import REPORT_SUFFIX, page_name, split_path
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.report.page_file import PRIVATE, write_html

_PATIENCE = 10.0  # seconds: the user is waiting
_READERS = 8  # at a time: each report on S3 is a request


@dataclass(frozen=True)
class History:
    """The runs of a report folder, the latest first, and the names of files there that are not reports of runs.

    `until` is the day of today in ISO 8601.
    """

    folder: str
    runs: Sequence[Mapping[str, Any]]
    unread: Sequence[str]
    until: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "folder": self.folder,
            "until": self.until,
            "runs": [dict(run) for run in self.runs],
            "unread": list(self.unread),
        }

    def write_html(self, path: str) -> None:
        """Write it as a page of the last 30 days, in place of an older one. Raises `DestinationError`."""
        from converter.report.page import page_of  # here, since few commands make one

        write_html(Path(path), page_of(self.as_dict()))


def make_page(path: str | os.PathLike[str], s3: S3 | None = None) -> str:
    """Make the page of a report, a file or an object `s3://…`, beside it; return where it is.

    `s3` has the settings for S3. Raises `InputError` where it is not a report, and `DestinationError`.
    """
    place, name = split_path(os.fspath(path))
    with contextlib.closing(run_files_at(place, s3 or S3(), Patience(_PATIENCE))) as files:
        report = _report(files, name)
        from converter.report.page import page_of  # here, since few commands make one

        try:
            content = page_of(report)
        except ValueError as error:
            raise _no_report(files.url(name), f"is not a report of this program: it has {error}") from error
        page = ArtifactFile(files, page_name(name), content, mode=PRIVATE, code="E-PAGE-WRITE", what="page", hint="")
        try:
            page.prepare()
            page.publish()
        finally:
            page.discard()
        return page.url


def _report(files: RunFiles, name: str) -> Mapping[str, Any]:
    """Return a report as plain data."""
    try:
        report = orjson.loads(files.read(name))
    except OSError as error:
        raise _no_report(files.url(name), f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise _no_report(files.url(name), "is not a report: it is not JSON") from error
    if not isinstance(report, dict):
        raise _no_report(files.url(name), "is not a report: it is not an object")
    return report


def _no_report(path: str, why: str) -> InputError:
    return InputError("E-REPORT-READ", f"'{path}' {why}.", f"Name the report of a run, NAME{REPORT_SUFFIX}.")


def history(folder: str | os.PathLike[str], s3: S3 | None = None, *, now: datetime.datetime | None = None) -> History:
    """Return the runs whose reports are in a folder or below an `s3://` URL, of any version; `s3` has its settings.

    `now` is the clock's time if None. Raises `InputError` where the folder cannot be read, and `DestinationError`.
    """
    place = os.fspath(folder).rstrip("/") or "/"
    now = now or datetime.datetime.now().astimezone()
    with contextlib.closing(run_files_at(place, s3 or S3(), Patience(_PATIENCE))) as files:
        try:
            names = {entry.name for entry in files.entries()}
        except OSError as error:
            raise InputError(
                "E-FOLDER-READ", f"The report folder '{place}' cannot be read: {error.strerror or error}."
            ) from error
        reports = sorted(name for name in names if name.endswith(REPORT_SUFFIX))
        runs, unread = [], []
        for name, run in zip(reports, _runs(files, reports, names), strict=True):
            if run is None:
                unread.append(name)
            else:
                runs.append(run)
    runs.sort(key=lambda run: (_moment(run["started"]), run["report"]), reverse=True)
    return History(os.fspath(folder), runs, unread, now.date().isoformat())


def _runs(files: RunFiles, reports: Sequence[str], names: set[str]) -> Iterator[dict[str, Any] | None]:
    def read(name: str) -> dict[str, Any] | None:
        try:
            return _run(name, orjson.loads(files.read(name)), names)
        except (*FAILURES, ValueError, AttributeError, KeyError, TypeError):
            return None

    with ThreadPoolExecutor(_READERS, thread_name_prefix="history") as pool:
        yield from pool.map(read, reports)


def _run(report: str, data: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a run as a history has it; what its report lacks is None."""
    records = data.get("records")
    page = page_name(report)
    parts = data["parts"]
    _moment(data["started"])
    return {
        "name": str(data["name"]),
        "report": report,
        "page": page if page in names else None,
        "schema_version": data.get("schema_version"),
        "outcome": str(data["outcome"]),
        "exit_code": int(data["exit_code"]),
        "error": (data.get("error") or {}).get("code"),
        "started": data["started"],
        "seconds": float(data["seconds"]),
        "read": int(records["read"]) if records else None,
        "written": int(records["written"]) if records else None,
        "rejected": sum(records["rejected"].values()) if records else None,
        "skipped": sum(records["skipped"].values()) if records else None,
        "parts": len(parts),
        "bytes": sum(part["bytes"] for part in parts),
    }


def _moment(started: str) -> datetime.datetime:
    """Return when a run began. Raises `ValueError` where that is not a time."""
    return datetime.datetime.fromisoformat(started).astimezone()
