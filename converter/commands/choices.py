"""A first job as a person wants it: the answers to the questions of `init`, checked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converter.columns.privacy import personal_by_name
from converter.errors import JobError, nearest, redact
from converter.jobs.job import Job
from converter.report.first_job import FirstJob
from converter.report.profiles import ColumnProfile, PossibleId
from converter.spec.ids import ID_TYPES

_CHOSEN = "chosen in `aam-inbound init`"
_OMITTED = "not chosen in `aam-inbound init`"


def column_named(job: FirstJob, answer: str) -> ColumnProfile:
    """Return the column of a name, or of a number from 1. Raises `JobError` where there is none."""
    for column in job.columns:
        if column.name == answer:
            return column
    if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(job.columns):
        return job.columns[int(answer) - 1]
    near = nearest(answer, [column.name for column in job.columns])
    raise _refused(f"There is no column '{redact(answer)}'{near or '.'}")


def with_id(job: FirstJob, column: ColumnProfile) -> FirstJob:
    """Return the job with another column as the ID. Raises `JobError` where it may not be one."""
    possible = [each for each in (job.id, *job.others) if each is not None]
    found = next((each for each in possible if each.column == column.name), None)
    if found is None:
        if column.personal and column.use != "id":
            raise _refused(f"The column '{redact(column.name)}' is not an ID: it seems to hold {column.personal}.")
        if not column.stored or column.type in ("empty", "list", "object", "date", "date and time"):
            raise _refused(
                f"The column '{redact(column.name)}' is not an ID: its values are of the type {column.type}."
            )
        found = PossibleId(column.name, "crm", {}, [_CHOSEN])
    others = [each for each in possible if each.column != column.name]
    columns = [
        each._replace(use="id", why="the ID")
        if each.name == column.name
        else each._replace(use="none", why=_OMITTED)
        if each.use == "id"
        else each
        for each in job.columns
    ]
    return job._replace(id=found, others=others, columns=columns)


def with_type(job: FirstJob, type_: str) -> FirstJob:
    """Return the job with another type of ID. Raises `JobError` where there is none of this name."""
    assert job.id is not None  # noqa: S101 - for the type checker: asked once the column is known
    if type_ not in ID_TYPES:
        raise _refused(f"There is no type '{redact(type_)}': {', '.join(ID_TYPES)}.")
    if type_ == job.id.type:
        return job
    settings = {} if type_ not in ("crm", "hashed_email") else job.id.settings
    if personal_by_name(job.id.column) and not settings.get("hash") and not ID_TYPES[type_].form:
        raise _refused(f"IDs of type {type_} may not be personal, as the column '{redact(job.id.column)}' seems to be.")
    return job._replace(id=job.id._replace(type=type_, settings=settings, why=[*job.id.why, "its type was chosen"]))


def with_columns(job: FirstJob, chosen: Sequence[ColumnProfile]) -> FirstJob:
    """Return the job with these columns as signals and traits alone. Raises `JobError` where one may not be."""
    names = {column.name for column in chosen}
    for column in chosen:
        if column.personal:
            raise _refused(
                f"The column '{redact(column.name)}' seems to hold {column.personal}, which must not be sent (I3): "
                "leave it out, or add a hash of it to the table."
            )
        if not column.stored or column.type == "object":
            raise _refused(f"The column '{redact(column.name)}' cannot be sent: {column.why}")
    return job._replace(columns=[_chosen(each, is_chosen=each.name in names) for each in job.columns])


def _chosen(column: ColumnProfile, *, is_chosen: bool) -> ColumnProfile:
    if column.use == "id":
        return column
    if not is_chosen:
        return column if column.use == "none" else column._replace(use="none", why=_OMITTED)
    return column._replace(use="signal", why=_CHOSEN) if column.use == "none" else column


def with_output(job: FirstJob, output: dict[str, Any]) -> FirstJob:
    """Return the job with a section `[output]`. Raises `JobError` where the job is wrong with it."""
    found = job._replace(output=output)
    Job(**found.settings())
    return found


def _refused(message: str) -> JobError:
    return JobError("E-JOB-INVALID", message)
