"""The capability `check_examples`: the examples of a job are converted, as an input of its own.

1. The rows are written to a file of the format of the job's input, in a folder that only this user can open.
2. The file is opened and surveyed as any input, and its rows are judged by the query, each alone.
3. The same file is converted as in a run, with the compiled loops. Both must give the same.
"""

from __future__ import annotations

import bisect
import contextlib
import csv
import io
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from converter import kernel
from converter.columns.buffers import Text
from converter.commands.plan import OpenedInput, open_input
from converter.errors import InternalError, JobError, Reported
from converter.jobs.examples import Example, Examples, Row, path_beside
from converter.jobs.job import Job
from converter.jobs.paths import exists
from converter.jobs.sections.delta import Delta
from converter.jobs.sections.table import Input
from converter.report.examples import Checked, ExamplesReport, Fate
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.rows.selection import Selection, ValueInRowError
from converter.rows.users.preview import gathered
from converter.sources.base import PANICS, Budget, Source
from converter.sources.engine import collect
from converter.sources.malformed import RULES
from converter.sources.opening import format_of
from converter.sources.tasks import tasks_of
from converter.spec import rules

_LABEL = "the examples"
_OF_ROWS = ("null_values", "filter", "computed")  # keys of `input` that do not depend on how a table is written


def check_examples(job: Job | str | os.PathLike[str]) -> ExamplesReport:
    """Convert the examples of a job, and compare the result with what they say.

    They are those in the job, and those in the file beside its job file (`crm.examples.toml` beside `crm.toml`). Each
    row is judged alone; the input is not read, and nothing is written. Raises `JobError` where there are none, or
    their values cannot be in one table, and what a run would raise for the job.
    """
    job = Job.of(job)
    found = list(_examples_of(job))
    if not found:
        beside = f" or in '{path_beside(job.path).name}' beside it" if job.path else ""
        raise JobError(
            "E-EXAMPLES-MISSING",
            f"There are no examples in the job{beside}.",
            "Write [[example]] with a row and its line, or let --record 5 write the first rows of the input, masked.",
        )
    with job.concealing():
        fates = fates_of(job, [example.row for _, _, example in found])
    checked = []
    for (path, number, example), fate in zip(found, fates, strict=True):
        if fate.line is not None and example.line == (concealed := job.conceal(fate.line)):
            fate = fate._replace(line=concealed)  # as `record_examples` has written it
        checked.append(Checked.of(path, number, example, fate))
    return ExamplesReport(checked, kernel.load() is not None)


def _examples_of(job: Job) -> Iterator[tuple[str | None, int, Example]]:
    """Yield the examples of a job: the path of their file, their number in it, and each."""
    for number, example in enumerate(job.example, 1):
        yield job.path, number, example
    if job.path and exists(beside := path_beside(job.path)):
        try:
            examples = Examples.load(beside).example
        except JobError as error:
            if error.code == "E-JOB-INVALID":  # others name the file
                error.reword(lambda text: text and f"In '{beside}': {text}")
            raise
        for number, example in enumerate(examples, 1):
            yield str(beside), number, example


class _File(NamedTuple):
    """A file with rows: the options to read it, and the number that each row has in it, counted from 0."""

    options: Input
    starts: Sequence[int]

    def index_of(self, number: int) -> int:
        """Return the index of the row that a row number belongs to."""
        return bisect.bisect_right(self.starts, number) - 1


def fates_of(job: Job, rows: Sequence[Row]) -> list[Fate]:
    """Return what a job makes of rows, each of which is judged as if it were alone.

    Raises `JobError` where their values cannot be in one table, `InternalError` where the loops and the query differ,
    and what a run would raise.
    """
    # Rows that are gathered, sent as changes only or limited by others become what they are before that.
    record = job.record.model_copy(update={"rows": "user", "user_lines": "off", "repeated": "keep"})
    with tempfile.TemporaryDirectory(prefix="aam-examples-") as folder:
        file = _written(job, rows, Path(folder))
        read = {"input": file.options, "delta": Delta(), "example": ()}
        try:
            opened = open_input(job.model_copy(update={**read, "record": record}))
            fates = _by_query(opened, file, len(rows))
            _check_run(opened, file, fates)
            if job.record.gathers:
                gathering = open_input(job.model_copy(update=read)).records
                fates = [_gathered(gathering, fate) for fate in fates]
        except Reported as error:
            error.reword(lambda text: text.replace(file.options.path[0], _LABEL))
            raise
        return [fate._replace(line=fate.line and fate.line.removesuffix("\n")) for fate in fates]


def _written(job: Job, rows: Sequence[Row], folder: Path) -> _File:
    """Write rows to a file of the format of the job's input; return the options to read it with."""
    names = list(dict.fromkeys([*Selection(job.input, job.columns).columns, *(name for row in rows for name in row)]))
    format_ = format_of(job.input)
    if format_ in ("csv", "tsv"):
        content, starts = _as_csv(names, rows)
        kept: dict[str, Any] = {"format": "csv", "separator": ",", "quote": '"'}
    elif format_ in ("ndjson", "json"):
        content, starts = b"".join(map(_as_json, rows)), range(len(rows))
        kept = {"format": "ndjson", "columns": names}
    else:
        content, starts = _as_parquet(names, rows), range(len(rows))
        kept = {"format": "parquet"}
    path = folder / "examples"
    path.write_bytes(content)
    given = {name: getattr(job.input, name) for name in _OF_ROWS}
    return _File(Input(path=(str(path),), **kept, **given), starts)


def _as_csv(names: Sequence[str], rows: Sequence[Row]) -> tuple[bytes, Sequence[int]]:
    """Return rows as CSV, and the number of the line that each begins at, counted from 0."""
    lines = [_csv_row(names), *(_csv_row([_as_text(row.get(name, "")) for name in names]) for row in rows)]
    starts = list(itertools.accumulate(line.count("\n") for line in lines))
    return "".join(lines).encode(), starts[:-1]


def _csv_row(values: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "|".join(map(_as_text, value)) if isinstance(value, tuple) else str(value)


def _as_json(row: Row) -> bytes:
    return json.dumps(dict(row), default=str).encode() + b"\n"


def _as_parquet(names: Sequence[str], rows: Sequence[Row]) -> bytes:
    columns = []
    for name in names:
        values = [list(value) if isinstance(value := row.get(name), tuple) else value for row in rows]
        try:
            columns.append(pl.Series(name, values))
        except (*PANICS, TypeError, ValueError, OverflowError) as error:
            raise JobError(
                "E-EXAMPLE-VALUES",
                f"The examples have values of several types in the column '{name}'.",
                "The input is a table with types, so that a column has values of one type.",
            ) from error
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def _by_query(opened: OpenedInput, file: _File, count: int) -> list[Fate]:
    """Return what the query makes of each row; lines have their line breaks."""
    records, (source,) = opened.records, opened.sources
    fates: list[Fate | None] = [None] * count
    first = 0
    with contextlib.closing(tasks_of([source], records.selection.columns, None, Budget())) as tasks:
        for task in tasks:
            block = task.parse(None)
            indices = [file.index_of(first + number) for number in block.numbers.tolist()]
            for number, rule in zip(block.malformed.numbers.tolist(), block.malformed.rules.tolist(), strict=True):
                fates[file.index_of(first + number)] = Fate(reject=RULES[rule].name)
            for index, fate in zip(indices, _of_frame(records, task.source, block.rest.frame(), indices), strict=True):
                fates[index] = fate
            first += sum(piece.numbers for piece in block.pieces)
    whole = [fate for fate in fates if fate is not None]
    if len(whole) != count:
        raise _differing(f"{count - len(whole):,} of {count:,} rows were not read")
    return whole


def _of_frame(records: Records, source: Source, frame: pl.DataFrame, indices: Sequence[int]) -> list[Fate]:
    """Return what becomes of the rows of a frame of a source, which are those of the examples with these indices."""
    if not frame.height:
        return []
    try:
        selected = records.selected(frame, source)
    except ValueInRowError as error:
        raise error.at(_LABEL, f"example {indices[error.row] + 1:,}") from error
    lines = collect(source.origin, records.lines(records.texts(selected.frame, source)))
    routes = lines["route"].to_list() if "route" in lines.columns else [None] * lines.height
    made = dict(zip(selected.rows.tolist(), zip(lines["line"], lines["reason"], routes, strict=True), strict=True))
    fates = []
    for row in range(frame.height):
        if row in made:
            fates.append(_fate(records, *made[row]))
        else:
            fates.append(Fate(skip=next(iter(records.selected(frame[row : row + 1], source).skipped))))
    return fates


def _fate(records: Records, line: str | None, reason: int | None, route: int | None) -> Fate:
    if reason is None:
        return Fate(line, dpid=records.job.routes[route][1] if records.job.output.route and route is not None else None)
    rule = records.rules[reason]
    return Fate(skip=rule.name) if rule.skips else Fate(reject=rule.name)


def _gathered(records: Records, fate: Fate) -> Fate:
    """Return what becomes of a row of a user who has no others, where rows are gathered."""
    if fate.line is None:
        return fate
    columns = {"line": [fate.line], "reason": [None]}
    schema = {"line": pl.String, "reason": rules.REASON}
    if records.job.record.order:
        columns["rank"], schema["rank"] = [0], pl.UInt64
    (row,) = gathered(records, pl.DataFrame(columns, schema)).rows(named=True)
    made = _fate(records, row["line"], row["reason"], None)
    return made._replace(dpid=fate.dpid)


def _check_run(opened: OpenedInput, file: _File, fates: Sequence[Fate]) -> None:
    """Convert the file as a run does. Raises `InternalError` unless it gives the same lines and rejects."""
    records = opened.records
    sets = [b""] * records.sets
    rejected: dict[int, str] = {}
    with contextlib.closing(convert_all(records, opened.sources)) as blocks:
        for block in blocks:
            for number, texts in enumerate(block.texts):
                sets[number] += b"".join(bytes(part) for text in texts for part in text.between(0, _whole(text)))
            for _, numbers, frame, malformed in block.rejects():
                names = [records.rules[reason].name for reason in frame["reason"]]
                rejected.update(zip(map(file.index_of, (numbers - 1).tolist()), names, strict=True))
                bad = [RULES[rule].name for rule in malformed.rules.tolist()]
                rejected.update(zip(map(file.index_of, (malformed.numbers - 1).tolist()), bad, strict=True))
    dpids = [dpid for _, dpid, _ in records.job.routes] if records.job.output.route else [None]
    for dpid, text in zip(dpids, sets, strict=True):
        if text != "".join(fate.line for fate in fates if fate.line is not None and fate.dpid == dpid).encode():
            raise _differing("their lines differ")
    if rejected != {index: fate.reject for index, fate in enumerate(fates) if fate.reject is not None}:
        raise _differing("their rejects differ")


def _whole(text: Text) -> int:
    """Return how many bytes a text has."""
    return int(text.ends[-1]) if len(text.ends) else 0


def _differing(what: str) -> InternalError:
    return InternalError(
        "E-EXAMPLES-ROADS",
        f"The compiled loops and the query make different things of the examples: {what}.",
        "Please report this as a bug, with the job and the examples.",
    )
