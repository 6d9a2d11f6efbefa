"""Which reports, pages and rejects of earlier runs are removed (`report.keep`)."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from converter.delivery.journal import Journal
from converter.delivery.run_files import FAILURES, FileEntry, RunFiles
from converter.errors import ConverterError, DestinationError, Finding
from converter.jobs.job import Job, Transfer
from converter.jobs.run_files import JOURNAL_SUFFIX, PAGE_SUFFIX, REJECTS_SUFFIX, REPORT_SUFFIX

_DELIVERED_KEPT = 6
"""Of each series (`Job.series`): more than `report.max_change` compares with."""
_DAY = 24 * 3600
_FILE = re.compile(
    r"(?P<name>.+)\.(?P<digest>[0-9a-f]{12})(\.failed-[0-9]+)?"
    rf"({re.escape(REPORT_SUFFIX)}|{re.escape(PAGE_SUFFIX)}|{re.escape(REJECTS_SUFFIX)})"
)


class _Run(NamedTuple):
    """The report of an earlier run, or else an empty one; its files, and when the last one was written (UNIX seconds).

    `digest` identifies its job.
    """

    name: str
    digest: str
    files: list[str]
    written: float
    report: Mapping[str, Any]

    @property
    def series(self) -> str:
        """The series that it belongs to (`Job.series`)."""
        return str(self.report.get("series"))

    @property
    def is_delivered(self) -> bool:
        """Whether all of its parts became visible."""
        return self.report.get("outcome") == "done"

    def is_of(self, document: Job | Transfer, digest: str) -> bool:
        """Return whether it was a run of this job, or of an earlier state of its file."""
        converts = "records" in self.report
        same_file = document.path is not None and self.report.get("job_path") == document.conceal_path(document.path)
        return self.digest == digest or (same_file and converts == isinstance(document, Job))


def remove_old(files: RunFiles, document: Job | Transfer, digest: str, now: float | None = None) -> list[Finding]:
    """Remove reports, pages and rejects of a job that are older than `report.keep`, and return warnings.

    The six newest runs of a series that were delivered stay, and those that are not finished. `digest` is that of the
    job, as in the names of files; `now` is UNIX seconds, the clock's if None.
    """
    if document.report.keep is None:
        return []
    oldest = (time.time() if now is None else now) - document.report.keep_days * _DAY
    delivered: Counter[str] = Counter()
    refused: list[str] = []
    try:
        unfinished = set(_unfinished(files))
        for run in sorted(_runs_in(files), key=lambda run: -run.written):
            if not run.is_of(document, digest):
                continue
            delivered[run.series] += run.is_delivered
            is_newest = run.is_delivered and delivered[run.series] <= _DELIVERED_KEPT
            if run.written < oldest and not is_newest and not unfinished & {(run.name, run.digest), ("", run.digest)}:
                refused += _remove(files, run.files)
    except OSError as error:
        return [_not_removed(f"The folder '{document.report.dir}' cannot be read: {error.strerror or error}.")]
    except DestinationError as error:
        return [_not_removed(error.message)]
    if not refused:
        return []
    return [_not_removed(f"'{files.url(refused[0])}' cannot be removed, nor can {len(refused) - 1:,} others.")]


def _runs_in(files: RunFiles) -> Iterator[_Run]:
    """Yield the runs that have left reports or rejects."""
    entries: dict[tuple[str, str], list[FileEntry]] = {}
    for entry in files.entries():
        if match := _FILE.fullmatch(entry.name):
            entries.setdefault((match["name"], match["digest"]), []).append(entry)
    for (name, digest), found in entries.items():
        names = [each.name for each in found]
        yield _Run(name, digest, names, max(each.modified for each in found), _report_among(files, names))


def _report_among(files: RunFiles, names: list[str]) -> Mapping[str, Any]:
    """Return the report of the end of a run, or else one of a failure."""
    reports = sorted(name for name in names if name.endswith(REPORT_SUFFIX))
    for name in sorted(reports, key=lambda name: ".failed-" in name):
        try:
            found = orjson.loads(files.read(name))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _unfinished(files: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield name and digest of runs that are not finished; without a name, all runs of the job may be needed."""
    for name in files.logs(JOURNAL_SUFFIX):
        digest = name.split(".")[-2]
        try:
            past = Journal(files, name).read()
        except ConverterError:
            yield "", digest
            continue
        if past and not past.is_done:
            yield past.run.name or f"send_{past.run.timestamp}", digest


def _remove(files: RunFiles, names: list[str]) -> Iterator[str]:
    """Remove files; yield those that cannot be removed."""
    for name in names:
        try:
            files.remove(name)
        except FAILURES:
            yield name


def _not_removed(message: str) -> Finding:
    return Finding("W-REPORT-KEPT", message, "Check the permissions of this user in report.dir, or remove report.keep.")
