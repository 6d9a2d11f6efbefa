"""Which rows an earlier run rejected, so that they are converted again (`input.rejects_of`).

1. The report of that run says which job and which input it was of, and that it was delivered.
2. The input is still the same, file by file.
3. The rejects file has all rejected rows; their numbers are kept in arrays.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl

from converter.commands.resume import fingerprints
from converter.delivery.run_files import RunFiles, run_files_at
from converter.errors import ConverterError, InputError, JobError
from converter.jobs.job import Job
from converter.jobs.run_files import REJECTS_SUFFIX, REPORT_SUFFIX, split_path
from converter.remote.retry import Patience
from converter.report import SCHEMA_VERSION
from converter.rows.chosen import Chosen, Ranges
from converter.sources.base import Source
from converter.sources.malformed import RowNumbers
from converter.spec.names import FileName

_TYPES = {"file": pl.String, "row": pl.Int64, "unit": pl.String, "lines": pl.Int64, "kept": pl.Int64}
_CHUNK = 1 << 22  # bytes
_MOST_SHOWN = 3  # files
_OF_ROWS = ("format", "dialect", "separator", "quote", "escape", "comment", "skip_lines", "skip_spaces", "encoding")
"""The keys of `[input]` that may change where the rows of a text begin."""


class _Input(NamedTuple):
    """An input of the earlier run: what its rejects call it, and the source that it is now."""

    label: str
    source: Source


def read_chosen(job: Job, sources: Sequence[Source]) -> Chosen | None:
    """Return the rows of the sources that the run of `input.rejects_of` rejected; `None` where the job has no such run.

    Raises `JobError` where its report cannot be used for this job, and `InputError` where the input has changed or not
    all rejects are there.
    """
    if job.input.rejects_of is None:
        return None
    path = job.input.rejects_of
    if job.delta.state is not None:
        raise _unusable(
            path,
            "cannot be used with delta.state: all other users would be gone",
            "Convert all rows; what is new is sent.",
        )
    with contextlib.closing(_files_at(split_path(path)[0], job)) as files:
        return _read_chosen(job, files, sources)


def _read_chosen(job: Job, files: RunFiles, sources: Sequence[Source]) -> Chosen:
    path = job.input.rejects_of or ""
    report = _report(files, path)
    try:
        _check_run(job, path, report)
        inputs = _same_inputs(job, report, sources)
        rejected = sum(report["records"]["rejected"].values())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unusable(path, "is damaged", "Give the report as the run wrote it.") from error
    found = _rejects_beside(job, files, path, report)
    return Chosen(_ranges(*found, inputs, rejected))


def _files_at(place: str, job: Job) -> RunFiles:
    return run_files_at(place, job.s3, Patience(job.output.retry_seconds))


def check_found(chosen: Chosen | None) -> None:
    """Raise `InputError` where no row began at the number of a rejected one, once all rows are read."""
    if chosen and chosen.missing:
        raise InputError(
            "E-REJECTS-ROWS",
            f"{chosen.missing:,} of the rows that the earlier run rejected do not begin where they did.",
            "The settings of [input] cut the text into other rows than in that run: correct them, or convert all rows. "
            "Nothing was published.",
        )


def _report(files: RunFiles, path: str) -> Mapping[str, Any]:
    try:
        report = orjson.loads(files.read(split_path(path)[1]))
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}", "Name the report of a run.") from error
    except ValueError as error:
        raise _unusable(path, "is not a report", f"Name the report of a run, NAME{REPORT_SUFFIX}.") from error
    if not isinstance(report, dict) or "records" not in report:
        raise _unusable(path, "is not a report of convert", f"Name the report of a run, NAME{REPORT_SUFFIX}.")
    if (version := report.get("schema_version")) != SCHEMA_VERSION:
        raise _unusable(
            path,
            f"is of version {version}, but this program writes and reads {SCHEMA_VERSION}",
            "Convert all rows, or use the program that wrote it.",
        )
    return report


def _check_run(job: Job, path: str, report: Mapping[str, Any]) -> None:
    """Raise `JobError` unless the report is that of a delivered run of this job, with rejects."""
    if report["outcome"] != "done":
        raise _unusable(path, f"is of a run that is {report['outcome']}", "Its rows were not delivered: convert all.")
    mine, its = job.names(0)[0], FileName.parse(report["name"])
    if job.path and report["job_path"]:
        is_same = job.conceal_path(job.path) == report["job_path"]
    else:
        is_same = (mine.kind, mine.dpids, mine.target) == (its.kind, its.dpids, its.target)
    if not is_same:
        of = report["job_path"] or f"files such as {report['name']}"
        raise _unusable(path, f"is of another job ('{of}')", "Name the report of a run of this job.")
    if not sum(report["records"]["rejected"].values()):
        raise _unusable(path, "is of a run that rejected no row", "There is nothing to convert again.")
    if job.record.rows == "signal" and job.output.mode == "overwrite":
        raise _unusable(
            path,
            "has some rows of users alone, which would replace what their other rows say (output.mode 'overwrite')",
            "Convert all rows.",
        )
    before, now = report["job"]["input"], job.public()["input"]
    changed = [key for key in _OF_ROWS if before[key] != now[key]]
    if changed and report["records"].get("line_breaks"):
        raise _unusable(
            path,
            f"is of a run with another input.{changed[0]}, and values of this input have line breaks, so it is not "
            "certain which rows it rejected",
            "Convert all rows, or use the settings of that run.",
        )


def _same_inputs(job: Job, report: Mapping[str, Any], sources: Sequence[Source]) -> list[_Input]:
    """Return the inputs of a run with their sources. Raises `InputError` where they are not the same any more."""
    origins = [source.origin for source in sources]
    now = fingerprints(origins, job.conceal_path)
    before = [each for each in report["fingerprints"] if "list" not in each]
    if not before or now is None:
        raise InputError(
            "E-REJECTS-INPUT",
            "The input was a pipe, a frame or a database: what these give cannot be recognized when it is read again.",
            "Write it to a file, convert that, and then its rejects.",
        )
    known = {each["path"]: each for each in now}
    changes = [change for each in before if (change := _change(each, known.pop(each["path"], None)))]
    changes += [f"'{path}' was not among them" for path in known]
    if changes:
        more = f", and {len(changes) - _MOST_SHOWN:,} more" if len(changes) > _MOST_SHOWN else ""
        raise InputError(
            "E-REJECTS-INPUT",
            f"The input is not that of the run {report['name']}: {', '.join(changes[:_MOST_SHOWN])}{more}.",
            "Row numbers are those of that input: bring it back, or convert all rows.",
        )
    by_path = {each["path"]: source for each, source in zip(now, sources, strict=True)}
    return [
        _Input(each["path"], by_path[printed["path"]]) for each, printed in zip(report["input"], before, strict=True)
    ]


def _change(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> str:
    """Return what has changed of a file, by its fingerprints; empty where nothing has."""
    if now is None:
        return f"'{before['path']}' is not among its files"
    if now == before:
        return ""
    if now["size"] != before["size"]:
        return f"'{before['path']}' has {now['size']:,} bytes, not {before['size']:,}"
    return f"'{before['path']}' was written since"


def _rejects_beside(job: Job, files: RunFiles, path: str, report: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the rejects file of a report and its content: beside it, or else where it was written."""
    beside = split_path(path)[1].removesuffix(REPORT_SUFFIX) + REJECTS_SUFFIX
    written = os.path.expandvars(report["rejects_path"] or "")
    try:
        try:
            return files.url(beside), files.read(beside)
        except FileNotFoundError:
            if not written:
                raise
        place, name = split_path(written)
        with contextlib.closing(_files_at(place, job)) as elsewhere:
            return written, elsewhere.read(name)
    except OSError as error:
        raise _unreadable(written or files.url(beside), f"cannot be read ({type(error).__name__})") from error


def _ranges(path: str, content: bytes, inputs: Sequence[_Input], rejected: int) -> dict[str, Ranges]:
    """Return the numbers of the rejected rows of each input, by its label now. Raises `InputError`."""
    sources = {each.label: each.source for each in inputs}
    numbers: dict[str, list[tuple[RowNumbers, RowNumbers]]] = defaultdict(list)
    count = 0
    try:
        for rows in _rows_in(content):
            if not rows["kept"].is_null().all():
                raise _capped(path, rejected)
            count += rows.height
            for (label, unit), each in rows.partition_by("file", "unit", as_dict=True).items():
                if sources[str(label)].unit != unit:
                    raise InputError(
                        "E-REJECTS-ROWS",
                        f"The earlier run has counted the {unit}s of '{label}', which this job reads by the "
                        f"{sources[str(label)].unit}.",
                        "Correct input.format, or convert all rows.",
                    )
                lines = each["lines"].fill_null(1).to_numpy()
                lengths = lines if unit == "line" else np.ones_like(lines)
                numbers[str(label)].append((each["row"].to_numpy(), lengths))
    except ConverterError:
        raise
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError, KeyError) as error:
        raise _unreadable(path, f"cannot be read ({type(error).__name__})") from error
    if count != rejected:
        raise _unreadable(path, f"have {count:,} rows, but the report {rejected:,}")
    return {
        sources[label].origin.label: Ranges.of(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        for label, parts in numbers.items()
    }


def _rows_in(content: bytes) -> Iterator[pl.DataFrame]:
    """Yield the rows of a rejects file, some megabytes at a time."""
    with gzip.open(io.BytesIO(content)) as stream:
        while lines := stream.read(_CHUNK):
            yield pl.read_ndjson(lines + stream.readline(), schema=_TYPES)


def _unusable(path: str, why: str, hint: str) -> JobError:
    return JobError("E-REJECTS-OF", f"The report '{path}' of input.rejects_of {why}.", hint)


def _unreadable(path: str, why: str) -> InputError:
    return InputError(
        "E-REJECTS-READ", f"The rejects '{path}' {why}.", "They belong beside the report: bring them back."
    )


def _capped(path: str, rejected: int) -> InputError:
    return InputError(
        "E-REJECTS-CAPPED",
        f"The rejects '{path}' do not have all {rejected:,} rows: report.rejects_file_rows left some out.",
        "Convert all rows again, with a greater report.rejects_file_rows.",
    )
