"""What runs on Spark: everything else is refused before anything is begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converter.errors import InputError, JobError
from converter.jobs.job import Job
from converter.rows.delta.past import BITS
from converter.rows.users.split import RANGE_BITS
from converter.sources.origins.base import Origin
from converter.sources.row_origins import Queried
from converter.spark.hashes import has_first_pass, sees_hashes


def is_gathered(job: Job) -> bool:
    """Whether all lines of a user have to be in one partition."""
    return job.gathers or job.record.limits


def range_bits(job: Job) -> int:
    """Return by how many leading bits of hashes what is shuffled is split: a file of a state is never split."""
    return BITS if job.delta.state is not None else RANGE_BITS


def is_shuffled(job: Job) -> bool:
    """Whether something of all rows that have the same ID has to be in one partition, in the pass that makes lines."""
    return is_gathered(job) or (sees_hashes(job) and not has_first_pass(job))


def check_job(job: Job, *, shuffles: bool = False) -> None:
    """Raise `JobError` where a job asks for what needs all rows in one place, or one after the other.

    With `shuffles`, all rows of an ID may be asked for in one place.
    """
    reasons = list(_unsupported(job, shuffles=shuffles))
    if reasons:
        raise JobError(
            "E-SPARK-UNSUPPORTED",
            f"The job cannot run on Spark: {'; '.join(reasons)}.",
            "Run it on one machine, without --engine spark.",
        )


def _unsupported(job: Job, *, shuffles: bool) -> Iterator[str]:
    output = job.output
    if is_gathered(job) and not shuffles:
        keys = "record.rows, record.repeated, record.user_lines, delta.state"
        yield f"what it writes depends on all rows of a user ({keys})"
    if output.kind == "c2c-id-sync":
        yield "addresses of c2c-id-sync files are gathered"
    if job.id and job.id.case_collisions != "off" and not shuffles:
        yield f"id.case_collisions is '{job.id.case_collisions}'"
    if output.kind == "id-sync" and not shuffles:
        yield "IDs of id-sync files are counted over all rows"
    if job.record.user_lines == "count":
        yield "record.user_lines is 'count', which warns of users once all lines are counted; 'enforce' is possible"
    if output.publish == "each":
        yield "output.publish is 'each', and tasks publish nothing"
    if output.bandwidth is not None:
        yield "output.bandwidth is for one machine"
    if job.input.rejects_of is not None:
        yield "input.rejects_of names rows of an earlier run"
    if job.report.traits is not None:
        yield "report.traits compares lines while they are written"
    if output.url.lower().startswith(("ftp://", "ftps://")) and job.ftp.partial_suffix == "":
        yield "ftp.partial_suffix is empty, so parts would be visible at once"
    if output.url.lower().startswith("sftp://") and job.sftp.partial_suffix == "":
        yield "sftp.partial_suffix is empty, so parts would be visible at once"


def check_origins(origins: Sequence[Origin]) -> None:
    """Raise `InputError` where tasks cannot read what the driver has found."""
    for origin in origins:
        if isinstance(origin, Queried) or not origin.rereadable or origin.fingerprint() is None:
            raise InputError(
                "E-SPARK-INPUT",
                f"The input '{origin.label}' cannot be shared out to tasks: only files can.",
                "Read it with Spark, and pass its DataFrame: converter.spark.convert(job, session, frame=…).",
            )
