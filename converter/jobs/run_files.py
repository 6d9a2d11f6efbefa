"""What the files are called that a run leaves in `report.dir`: report, its page, rejects and journal."""

from __future__ import annotations

from pathlib import Path

from converter.jobs.identity import DIGITS
from converter.jobs.job import Job
from converter.jobs.paths import is_url

REPORT_SUFFIX = ".report.json"
PAGE_SUFFIX = ".report.html"
REJECTS_SUFFIX = ".rejects.ndjson.gz"
JOURNAL_SUFFIX = ".journal"


def report_name(job: Job, stem: str) -> str:
    """Return the name of a run's report.

    `stem` is the stem of the run's file names. The digest of the job follows it, since a run of another job may
    have the same stem.
    """
    return f"{stem}.{job.digest[:DIGITS]}{REPORT_SUFFIX}"


def page_name(report: str) -> str:
    """Return the name of the page of a report, by the report's name."""
    return f"{report.removesuffix('.json').removesuffix('.report')}{PAGE_SUFFIX}"


def rejects_name(job: Job, stem: str) -> str:
    """Return the name of a run's rejects file; see `report_name`."""
    return f"{stem}.{job.digest[:DIGITS]}{REJECTS_SUFFIX}"


def journal_name(job: Job) -> str:
    """Return the name of the journal, which is the same for all runs of a job."""
    targets = [] if job.sync else [target for _, _, target in job.routes if target is not None]
    dpids = "_".join(map(str, [*job.dpids, *targets]))
    return f"{job.output.kind}_{dpids}.{job.digest[:DIGITS]}{JOURNAL_SUFFIX}"


def path_in(place: str, name: str) -> str:
    """Return the path or the URL of a file in `report.dir`."""
    return f"{place.rstrip('/')}/{name}" if is_url(place) else str(Path(place) / name)


def report_path(job: Job, stem: str) -> str:
    """Return the path or the URL of a run's report."""
    return path_in(job.report.dir, report_name(job, stem))


def rejects_path(job: Job, stem: str) -> str:
    """Return the path or the URL of a run's rejects file."""
    return path_in(job.report.dir, rejects_name(job, stem))


def split_path(path: str) -> tuple[str, str]:
    """Return the place and the name of a file, by its path or its URL."""
    if is_url(path):
        place, _, name = path.rpartition("/")
        return place, name
    return str(Path(path).parent), Path(path).name
