"""The capability `record_examples`: the first rows of an input become examples, without personal data.

IDs, values that are personal by their form or by the name of their column, and values with many digits are replaced by
made ones of the same kind. The line of an example is what the job makes of the row with these; a row that the job would
treat in another way than the original is tried again with other values, and then left out.
"""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from converter.columns.privacy import personal_by_name, personal_kind
from converter.columns.privacy.made import made_like, made_of_kind
from converter.commands.examples import fates_of
from converter.commands.plan import open_input
from converter.delivery.atomic import AtomicFile, rename_exclusively, sync_folder
from converter.errors import EmptyInputError, JobError
from converter.jobs.examples import Example, Examples, Row, Scalar, Value, as_text, path_beside
from converter.jobs.job import Job
from converter.jobs.paths import exists
from converter.report.examples import Fate
from converter.rows.selection import Selection
from converter.sources.base import first_rows
from converter.spec.rules import PERSONAL

_TRIES = 5
_MOST_DIGITS = 6  # of a value that is not replaced
_DATE = re.compile(r"[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?:[T ][0-9:.,]+.*)?")
_BIRTHDAY = datetime.date(1990, 1, 1)  # stands for personal dates
_KEPT_IDS = {"id_is_missing_word", "id_is_column_name", "id_is_template"}  # of rules on IDs that are of nobody
_HEAD = """\
# Examples of {job}, which `aam-inbound test {job}` checks. Recorded from the first rows of the input: IDs and personal
# values are replaced by made ones. Look through them before you share them.

"""


class Recorded(NamedTuple):
    """The file that examples were written to, how many they are, and how many rows were left out."""

    path: str
    examples: int
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self._asdict()


def record_examples(job: Job | str | os.PathLike[str], rows: int = 5, *, force: bool = False) -> Recorded:
    """Write the first `rows` of the input of a job as examples, masked, beside its job file.

    With `force`, the examples that are there are replaced. Raises `JobError` where there are some, or where the file
    cannot be written, and what a run would raise.
    """
    job = Job.of(job)
    if job.path is None:
        raise JobError("E-ARGUMENT", "The job is not from a file, beside which examples could be written.")
    path = path_beside(job.path)
    if exists(path) and not force:
        raise _kept(path)
    with job.concealing():
        originals = _first_rows(job, rows)
        examples = _examples(job, originals)
    content = _HEAD.format(job=Path(job.path).name) + as_text(examples)
    _write(path, content.encode(), force=force)
    return Recorded(str(path), len(examples), len(originals) - len(examples))


def _kept(path: Path) -> JobError:
    return JobError(
        "E-EXAMPLES-KEPT", f"There are examples in '{path}' already.", "Move them away, or replace them with --force."
    )


def _write(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file whole or not at all, in place of another one only with `force`."""
    file = AtomicFile(path)
    try:
        file.write_whole(content)
        if force:
            file.publish()
        else:
            rename_exclusively(file.partial, path)
            sync_folder(path.parent)
    except FileExistsError as error:
        raise _kept(path) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JobError("E-EXAMPLES-WRITE", f"The examples cannot be written to '{path}': {reason}.") from error
    finally:
        file.discard()


def _first_rows(job: Job, count: int) -> list[Row]:
    """Return the first rows of the input of a job, without missing values. Raises `EmptyInputError`."""
    opened = open_input(job)
    first = first_rows(opened.sources, opened.records.selection.columns, count)
    if first is None:
        raise EmptyInputError("E-NO-ROWS", "The input has no rows that could be recorded.")
    rows = first[1].head(count).collect().rows(named=True)
    values = ({name: _as_value(value) for name, value in row.items()} for row in rows)
    return [{name: value for name, value in row.items() if value not in (None, "", ())} for row in values]


def _as_value(value: object) -> Value | None:
    """Return a value as an example can hold it: other types than those of TOML as texts."""
    if value is None or isinstance(value, str | bool | int | float | datetime.date | datetime.time):
        return value
    if isinstance(value, list):
        items = (_as_value(item) for item in value)
        return tuple(item for item in items if item is not None and not isinstance(item, tuple))
    return str(value)


def _examples(job: Job, originals: Sequence[Row]) -> list[Example]:
    """Return the examples that rows become, without those that made values would change too much."""
    wanted = fates_of(job, originals)
    found: dict[int, Example] = {}
    masking = _Masking(job, originals)
    for _ in range(_TRIES):
        left = [index for index in range(len(originals)) if index not in found]
        if not left:
            break
        # As they will be read: TOML has fewer types than Python.
        texts = as_text(Example(row=masking.masked(originals[index], wanted[index]), line="") for index in left)
        rows = [example.row for example in Examples(**tomllib.loads(texts)).example]
        for index, row, fate in zip(left, rows, fates_of(job, rows), strict=True):
            if fate.rule == wanted[index].rule:
                line = None if fate.line is None else job.conceal(fate.line)
                found[index] = Example(row=row, line=line, reject=fate.reject, skip=fate.skip, dpid=fate.dpid)
        masking.forget()
    return [example for _, example in sorted(found.items())]


class _Masking:
    """Replaces values; the same one always by the same, as long as this object does not `forget`."""

    def __init__(self, job: Job, rows: Sequence[Row]) -> None:
        selection = Selection(job.input, job.columns)
        self._ids = {name for id_ in job.ids for name in selection.origins_of(id_.column)}
        texts = sorted({str(item) for row in rows for value in row.values() for item in _items(value)})
        kinds = pl.DataFrame({"text": texts}, {"text": pl.String}).select(personal_kind(pl.col("text")))
        found = zip(texts, kinds.to_series(), strict=True)
        self._kinds = {text: PERSONAL[kind] for text, kind in found if kind is not None}
        self._made: dict[str, str] = {}

    def forget(self) -> None:
        """Replace values by others from now on."""
        self._made.clear()

    def masked(self, row: Row, fate: Fate) -> Row:
        """Return a row of which something is made, with made values."""
        keeps_ids = fate.reject in _KEPT_IDS
        ids = {str(item) for name in self._ids for item in _items(row.get(name, ()))}
        masked: dict[str, Value] = {}
        for name, value in row.items():
            whole = (name in self._ids and not keeps_ids) or personal_by_name(name) is not None
            items = [self._item(item, whole=whole or (str(item) in ids and not keeps_ids)) for item in _items(value)]
            masked[name] = tuple(items) if isinstance(value, tuple) else items[0]
        return masked

    def _item(self, item: Scalar, *, whole: bool) -> Scalar:
        """Return a value, or a made one where the `whole` column is personal, or the value itself is."""
        text = str(item)
        is_long = sum(mark.isdigit() for mark in text) > _MOST_DIGITS and not _DATE.fullmatch(text)
        if isinstance(item, bool) or not (whole or is_long or text in self._kinds):
            return item
        if isinstance(item, datetime.date | datetime.time):
            return _made_time(item) if whole else item
        if text not in self._made:
            kind = self._kinds.get(text)
            self._made[text] = made_of_kind(kind, len(self._made)) if kind else made_like(text)
        made = self._made[text]
        try:
            return type(item)(made)
        except ValueError:  # a number of a form of its own, such as 1e+20
            return type(item)(0)


def _made_time(item: datetime.date | datetime.time) -> datetime.date | datetime.time:
    if isinstance(item, datetime.time):
        return item.replace(hour=0, minute=0, second=0, microsecond=0)
    return item.replace(year=_BIRTHDAY.year, month=_BIRTHDAY.month, day=_BIRTHDAY.day)


def _items(value: Value) -> Sequence[Scalar]:
    return value if isinstance(value, tuple) else (value,)
