"""Where the files that a run leaves on the local disk are: report, rejects and journal, all in `report.dir`."""

from __future__ import annotations

from pathlib import Path

from converter.jobs.job import DIGITS, Job

REPORT_SUFFIX = ".report.json"
REJECTS_SUFFIX = ".rejects.ndjson.gz"


def report_path(job: Job, stem: str) -> Path:
    """Return the path of a run's report.

    `stem` is the stem of the run's file names. The digest of the job stands behind it, since a run of another job may
    have the same stem.
    """
    return Path(job.report.dir) / f"{stem}.{job.digest[:DIGITS]}{REPORT_SUFFIX}"


def rejects_path(job: Job, stem: str) -> Path:
    """Return the path of a run's rejects file; see `report_path`."""
    return Path(job.report.dir) / f"{stem}.{job.digest[:DIGITS]}{REJECTS_SUFFIX}"


def journal_path(job: Job) -> Path:
    """Return the path of the journal, which is the same for all runs of a job."""
    targets = [] if job.sync else [target for _, _, target in job.routes if target is not None]
    dpids = "_".join(map(str, [*job.dpids, *targets]))
    return Path(job.report.dir) / f"{job.output.kind}_{dpids}.{job.digest[:DIGITS]}.journal"
