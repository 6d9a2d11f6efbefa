"""The command `doctor`: everything that can be checked before a job runs, as findings."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Iterator
from functools import partial

from converter import kernel
from converter.commands.metrics import check_metrics
from converter.commands.plan import check_free_names, check_input, encryption_key, moment_of, output_plan, owner_of
from converter.delivery.disk_space import check_disk_space
from converter.delivery.run_files import run_files_at
from converter.delivery.state_places import state_place_at
from converter.delivery.threads import close_connections
from converter.errors import ConverterError, Finding, TransientError
from converter.jobs.job import Job
from converter.remote.retry import Patience
from converter.report.history import reports_in
from converter.sources.opening import find_origins
from converter.sources.origins.base import Origin, total_size
from converter.spec.environments import KEY_DAYS, PICKUPS

_PATIENCE = 10.0  # seconds: the user is waiting
_DAY = 24 * 3600
_SOON = 0.8  # of the days after which keys are disabled
_BUCKETS = {f"s3://{pickup.bucket}" for pickup in PICKUPS.values()}


def doctor(job: Job | str | os.PathLike[str], *, now: float | None = None) -> list[Finding]:
    """Check the input, the key, the destination, reports and so on of a job or a job file; leave nothing behind.

    All checks are made, even if one fails. `now` is in UNIX seconds, by default the current time. Errors are findings:
    no `ConverterError` is raised, unless the job itself is wrong.
    """
    job = Job.of(job)
    findings: list[Finding] = []
    checks = (
        _check_input,
        _check_key,
        partial(_check_destination, now=now),
        _check_report_folder,
        check_metrics,
        partial(_check_last_use, now=now),
        _check_state,
        _check_kernel,
    )
    for check in checks:
        try:
            findings += check(job)
        except ConverterError as error:
            findings.append(Finding.of(error))
    return [Finding(each.code, job.conceal(each.message), job.conceal(each.hint)) for each in findings]


def _check_kernel(job: Job) -> Iterator[Finding]:
    del job
    yield Finding("", f"The compiled loops are {kernel.status()}")


def _check_input(job: Job) -> Iterator[Finding]:
    if once := next((origin for origin in find_origins(job.input, job.access) if not origin.rereadable), None):
        yield Finding("", f"The input '{once.label}' can be read only once, so it is not checked.")
        return
    origins, found = check_input(job)
    size = total_size(origins)
    subject = "The input file has" if len(origins) == 1 else f"All {len(origins):,} input files have"
    total = "the size is unknown" if size is None else f"{size:,} bytes in all"
    yield Finding("", f"{subject} the columns that the job uses; {total}.")
    yield from found


def _check_key(job: Job) -> Iterator[Finding]:
    if key := encryption_key(job):
        yield Finding("", f"Parts can be encrypted for the key {key.fingerprint}, by GnuPG {key.gnupg}.")


def _check_destination(job: Job, now: float | None) -> list[Finding]:
    names, limits, destination = output_plan(job, moment_of(job, now), owner_of(job))
    findings = list(job.warnings)
    try:
        findings += check_free_names(job, destination, names, min(job.output.retry_seconds, _PATIENCE))[1]
    except TransientError as error:
        findings.append(Finding.of(error))
    finally:
        close_connections(destination)
    if destination.direct and any(each.level == "error" for each in findings):
        return findings
    origins: list[Origin] = []
    with contextlib.suppress(ConverterError):  # `_check_input` reports errors of the input
        origins = find_origins(job.input, job.access)
    return [*findings, *check_disk_space(job, limits, destination, total_size(origins))]


def _check_report_folder(job: Job) -> list[Finding]:
    seconds = min(job.output.retry_seconds, _PATIENCE)
    with contextlib.closing(run_files_at(job.report.dir, job.s3, Patience(seconds))) as files:
        return files.check()


def _check_last_use(job: Job, now: float | None) -> Iterator[Finding]:
    """Say where access keys of Adobe's buckets are about to be disabled, or may be, by the reports of the job's place.

    The check of the destination has used them just now, but no run has for a long time.
    """
    if job.destination_identity[0] not in _BUCKETS:
        return
    seconds = min(job.output.retry_seconds, _PATIENCE)
    with contextlib.closing(run_files_at(job.report.dir, job.s3, Patience(seconds))) as files:
        used = next((each["ended"] for each in reports_in(files) if each.get("place") == job.place), None)
    days = _days_since(used, time.time() if now is None else now)
    if days is not None and days > KEY_DAYS * _SOON:
        yield Finding(
            "W-S3-KEYS-UNUSED",
            f"The last run that sent files to '{job.output.url}' was {days:,} days ago, by the reports in "
            f"'{job.report.dir}'. Adobe disables access keys that were not used for {KEY_DAYS} days (T3).",
            "If they are refused, make new ones in Audience Manager. Runs on a schedule keep them in use.",
        )


def _days_since(moment: object, now: float) -> int | None:
    """Return the whole days since a moment in ISO 8601; None where it is none, as in a report that was edited."""
    try:
        return int((now - datetime.datetime.fromisoformat(str(moment)).timestamp()) // _DAY)
    except ValueError:
        return None


def _check_state(job: Job) -> list[Finding]:
    if not job.delta.state:
        return []
    seconds = min(job.output.retry_seconds, _PATIENCE)
    with contextlib.closing(state_place_at(job.delta.state, job.s3, Patience(seconds))) as place:
        return place.check()
