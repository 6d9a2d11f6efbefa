"""What is reported about a run: the report as data and JSON, the rejects, and text for the terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import orjson

from converter._version import __version__
from converter.delivery.publication import ArtifactFile
from converter.delivery.run_files import FAILURES, RunFiles, run_files_at
from converter.errors import EndName, Finding, InputError
from converter.jobs.run_files import REPORT_SUFFIX, page_name, split_path
from converter.jobs.sections.servers import S3
from converter.ledger import Ledger
from converter.parts.part import Part
from converter.remote.retry import Patience
from converter.report.page_file import PageFile, write_page

if TYPE_CHECKING:
    import polars as pl

    from converter.rows.stages import StageResults

SCHEMA_VERSION = 5
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class SendReport:
    """What a run that sends files did, however it ended.

    `name` is that of the run; `job` the job without secrets, and `job_path` its file, if it has one; `host` the name of
    the machine; `input` the files with their sizes in bytes. `outcome` is `done`, `refused` by a guard, `failed` or
    `stopped` by a signal, `exit_code` that of the command, and `error` the error if it is not 0. `parts` are those that
    are visible, and `hidden_parts` is how many have arrived and are kept for `resume`. `started` and `ended` are in ISO
    8601 with the time zone, `seconds` is what is between them, and `bytes_per_second` is of the input. `retries` is how
    often something was retried, by the code of the error. `report_path` is where this report is, None where it could
    not be written.

    `outcome` is `nothing to do` where an earlier run is finished: `name` and the path are of that run then, and there
    are no parts. `place` identifies the destination, and `sent` is the day of sending in UTC, if that was decided.
    """

    name: str
    job: Mapping[str, Any]
    job_path: str | None
    host: str
    place: str
    sent: str | None = None
    input: list[Mapping[str, Any]]
    outcome: EndName
    exit_code: int = 0
    error: Mapping[str, str] | None = None
    parts: list[Part]
    hidden_parts: int = 0
    started: str
    ended: str
    seconds: float
    bytes_per_second: int
    retries: Mapping[str, int] = field(default_factory=dict)
    version: str = __version__
    report_path: str | None
    warnings: list[Finding] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Return the report as a JSON document."""
        return orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        first = {"schema_version": self.schema_version, "version": self.version, "name": self.name}
        return {**first, **asdict(self), "warnings": [warning.as_dict() for warning in self.warnings]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the report that `as_dict` gave."""
        parts = [Part(**part) for part in data["parts"]]
        warnings = [Finding(each["code"], each["message"], each["hint"]) for each in data["warnings"]]
        return cls(**{**data, "parts": parts, "warnings": warnings})


@dataclass(frozen=True, kw_only=True)
class Report(SendReport):
    """What a run that converts did: what a `SendReport` has, and more.

    `records` says how many rows were `read` and `written`, and how many `rejected` or `skipped` by the name of the
    rule: rejected rows break it, skipped ones break none and have nothing to send; where rows of users are gathered,
    how many `users` and `lines` are written; how many of the rows written have no signal, so that their users are
    `cleared`; and how many values of delimited text hold `line_breaks`, if any do. `ids` says how many were `changed`
    by the name of the step that changed them, and where types are recognized how many there are of each of the `types`.
    `signals` says how many were `written`, and how many `dropped` or `changed` by the name of the rule. `rejects_path`
    is where the rejects are, None where the run ended before they were complete. `encrypted_for` is the fingerprint of
    the key that parts are encrypted for, if any. Always `read = written + sum(rejected) + sum(skipped)`; a run that is
    not `complete` ended before the end of its input, and the counts are those until then. `left_out` has the files
    beside the input that are not read, by `reason`: how many `files` they are, and the first 100 `paths`;
    `encodings`, where the job has none, those that were found, with their `certainty`, in the same way. `series`
    identifies the job: it is the same for all its runs (`Job.series`). `fingerprints` show whether the input changes;
    there are none where it could be read only once.
    Where only changes are sent, `changes` says how many users of the input are `new`, `changed`, `refreshed` and
    `unchanged`, and how many of the state are `gone`, or `removed` by a line; and how many `traits_removed` and
    `keys_lost` there are. `foreseen` has `figures`: the numbers that the receipt of Audience
    Manager will have, as far as they are known, by the keys of `converter.spec.receipts`; `None` for files without
    signals, and where the run is not done. With `report.traits`, it also has what depends on traits, with up to 100
    signals that no trait takes (`converter.report.foreseen`).
    `meanings` says what the names of rules and steps mean that are counted: a `code` and a `text`. `examples` are the
    first rejected rows of each rule, masked as in the rejects, `skipped_examples` the first rows that each rule skips,
    with their masked IDs, unless they are suppressed, and `first_lines` what the first lines look like, with
    `a` for letters and `0` for digits. `pace` says how far the run was after so many `seconds`. Where tasks of Spark
    convert, `spark` has the `rows` that Spark itself has counted, None where it counts none.
    """

    records: Mapping[str, Any]
    ids: Mapping[str, Any]
    signals: Mapping[str, Any]
    rejects_path: str | None
    encrypted_for: str | None = None
    series: str
    fingerprints: list[Mapping[str, Any]] = field(default_factory=list)
    complete: bool = True
    left_out: list[Mapping[str, Any]] = field(default_factory=list)
    encodings: list[Mapping[str, Any]] = field(default_factory=list)
    changes: Mapping[str, int] | None = None
    foreseen: Mapping[str, Any] | None = None
    meanings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    examples: list[Mapping[str, Any]] = field(default_factory=list)
    skipped_examples: list[Mapping[str, Any]] = field(default_factory=list)
    first_lines: list[str] = field(default_factory=list)
    pace: list[Mapping[str, float]] = field(default_factory=list)
    spark: Mapping[str, int | None] | None = None

    def rejects(self) -> pl.DataFrame:
        """Return the rejects as a frame, a row for each: the columns of `converter.report.rejects`.

        Those that `report.rejects_file_rows` left out are not among them. Raises `InputError` where they are not there.
        """
        from converter.report.rejects import read_rejects  # here, since few programs need it

        if self.rejects_path is None:
            raise InputError("E-REJECTS-READ", "There are no rejects: the run ended before they were complete.")
        place, name = split_path(os.path.expandvars(self.rejects_path))
        settings = S3(**{key: _expanded(value) for key, value in self.job["s3"].items()})
        with contextlib.closing(run_files_at(place, settings, Patience(_PATIENCE))) as files:
            return read_rejects(files, name)


def records_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about rows."""
    records = {
        "read": ledger.read,
        "written": ledger.written,
        "rejected": dict(sorted(ledger.rejected.items())),
        "skipped": dict(sorted(ledger.skipped.items())),
    }
    others = {
        "users": ledger.users,
        "lines": ledger.lines if ledger.users else 0,
        "cleared": ledger.cleared,
        "line_breaks": ledger.line_breaks,
    }
    return records | {name: count for name, count in others.items() if count}


def rule_warnings(counts: Mapping[str, int], what: str = "rows") -> list[Finding]:
    """Return warnings for the counts of rows (or `what`), by rule, that were written although a rule applied."""
    return [
        Finding(f"W-{name.upper().replace('_', '-')}", f"{name}: {count:,} {what}.")
        for name, count in sorted(counts.items())
    ]


def ids_of(ledger: Ledger, found: StageResults) -> dict[str, Any]:
    """Return what the report says about the IDs of rows that were written: how many were changed, by step.

    Where the job asks for it, also their `types`, their `case_collisions`, and how many are `over_limit`, by rule.
    """
    data: dict[str, Any] = {"changed": dict(sorted(ledger.ids_changed.items()))}
    if ledger.id_types:
        data["types"] = dict(sorted(ledger.id_types.items()))
    if found.collisions:
        data["case_collisions"] = found.collisions._asdict()
    if found.over_limit:
        data["over_limit"] = found.over_limit
    return data


def signals_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about signals."""
    words = {"missing_words": dict(sorted(ledger.missing_words.items()))} if ledger.missing_words else {}
    return {
        "written": ledger.signals_written,
        "dropped": dict(sorted(ledger.signals_dropped.items())),
        "changed": dict(sorted(ledger.signals_changed.items())),
        **words,
    }


_Kind = TypeVar("_Kind", bound=SendReport)


def report_files(files: RunFiles, name: str, report: SendReport, *, page: bool) -> list[ArtifactFile]:
    """Return the files of a report, to be prepared and published: its page, if there is one, and the report."""
    file = ArtifactFile(files, name, report.to_json())
    return [PageFile(files, page_name(name), report.as_dict()), file] if page else [file]


def write_failed(
    files: RunFiles, name: str, report: _Kind, conceal_path: Callable[[str], str], *, page: bool = False
) -> _Kind:
    """Write the report of a run that has delivered nothing, or not all; return it with its path.

    `name` is that of the report of the run when it is done. No report is replaced: the first name that is free is used.
    """
    stem, number = name.removesuffix(REPORT_SUFFIX), 1
    while True:
        free = f"{stem}.failed-{number}{REPORT_SUFFIX}"
        report = replace(report, report_path=conceal_path(files.url(free)))
        try:
            if files.create(free, report.to_json()):
                break
        except FAILURES:
            return replace(report, report_path=None)
        number += 1
    if page:
        write_page(files, page_name(free), report.as_dict())
    return report


def _expanded(value: Any) -> Any:
    """Return a setting, or those of a bucket, with their variables expanded."""
    if isinstance(value, Mapping):
        return {key: _expanded(each) for key, each in value.items()}
    return os.path.expandvars(value) if isinstance(value, str) else value
