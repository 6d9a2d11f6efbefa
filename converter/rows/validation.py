"""What of a job is refused before any row is read: IDs and signals that are personal data (I3), useless formats."""

from __future__ import annotations

import polars as pl

from converter.columns import privacy
from converter.errors import JobError, redact
from converter.jobs.job import Job
from converter.rows.dates import is_form
from converter.rows.order import NUMBER
from converter.rows.selection import Selection
from converter.spec.ids import type_of


def check_date(job: Job) -> None:
    """Raise `JobError` where the format of dates does not say all that a date needs."""
    forms = {
        "sync.date_format": job.sync.date_format if job.sync else "",
        "record.order_format": job.record.order_format,
    }
    for key, form in forms.items():
        if form and form != NUMBER and not is_form(form):
            raise JobError(
                "E-JOB-INVALID",
                f"{key} is '{redact(form)}', by which no day can be read.",
                'Set one such as "%m/%d/%Y" or "%d.%m.%y %H:%M", with year, month and day.',
            )


def check_ids(job: Job, selection: Selection) -> None:
    """Raise `JobError` where a column of IDs is personal data by its name, or computed from one that is.

    IDs with a form of their own are judged by that, and those that are hashed are none.
    """
    for id_ in job.ids:
        if id_.hash or type_of(id_.type).form or id_.column in job.privacy.allow:
            continue
        if what := _personal_by_name(id_.column, *selection.origins_of(id_.column)):
            raise JobError(
                "E-PERSONAL-COLUMN",
                f"The column of IDs '{redact(id_.column)}' seems to hold {what}, by its name, which must not be sent "
                "(I3).",
                f"Name the column with the IDs. If this one holds no personal data, list it: privacy.allow = "
                f'["{redact(id_.column)}"].',
            )


def check_signals(job: Job, selection: Selection) -> None:
    """Raise `JobError` where a signal is personal data by a name, also of what it is computed from, or by its value."""
    if job.privacy.signals == "allow":
        return
    for signal in job.record.signals:
        if signal.column is None:
            _check_constant(signal.key, signal.value)
        elif signal.column not in job.privacy.allow:
            _check_names(signal.key, signal.column, *sorted(selection.origins_of(signal.column)))
    for column in (job.record.key_column, job.record.value_column):
        if column is not None and column not in job.privacy.allow:
            _check_names(column, column, *sorted(selection.origins_of(column)))


def _check_constant(key: str, value: str | None) -> None:
    if pl.DataFrame({"value": [value]}).select(privacy.personal_kind(pl.col("value"))).item() is not None:
        raise JobError(
            "E-PERSONAL-CONSTANT",
            f"The value of the constant signal '{redact(key)}' is personal data, which must not be sent (I3).",
            "Remove the signal.",
        )


def _personal_by_name(*names: str) -> str | None:
    """Return the kind of personal data that the first of the names stands for that does, if there is one."""
    return next(filter(None, map(privacy.personal_by_name, names)), None)


def _check_names(key: str, column: str, *origins: str) -> None:
    for name in dict.fromkeys((column, key, *origins)):
        if what := privacy.personal_by_name(name):
            raise JobError(
                "E-PERSONAL-COLUMN",
                f"The column '{redact(column)}' seems to hold {what}, by the name '{redact(name)}', which must not be "
                "sent (I3).",
                f'Remove it. If the column holds no personal data, list it: privacy.allow = ["{redact(column)}"].',
            )
