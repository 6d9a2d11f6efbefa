"""What the files of a run hold, as models of which JSON schemas and the documentation are made.

Reports are written as they are (`converter.report`); the models describe them for other programs, and tests hold both
equal. A key that may be missing has a default here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from converter.jobs.document import descriptions


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FindingModel(_Model):
    """A warning, or the error that ended a run."""

    code: str
    message: str
    hint: str
    level: Literal["ok", "warning", "error"] | None = None


class PartModel(_Model):
    """A file that was delivered."""

    name: str
    url: str
    lines: int
    raw_bytes: int
    bytes: int
    crc32: str
    sha256: str


class InputModel(_Model):
    """A file of the input, and the bytes that were read of it."""

    path: str
    bytes: int | None


class RecordsModel(_Model):
    """Counts of rows."""

    read: int
    written: int
    rejected: dict[str, int]
    skipped: dict[str, int]
    users: int | None = None
    lines: int | None = None
    cleared: int | None = None
    line_breaks: int | None = None


class IdsModel(_Model):
    """Counts of IDs."""

    changed: dict[str, int]
    types: dict[str, int] | None = None
    case_collisions: dict[str, Any] | None = None
    over_limit: dict[str, int] | None = None


class SignalsModel(_Model):
    """Counts of signals."""

    written: int
    dropped: dict[str, int]
    changed: dict[str, int]
    missing_words: dict[str, int] | None = None


class _RowModel(_Model):
    """Where a row is."""

    file: str
    """The file of the input."""
    row: int
    """The number of the row in it, from 1, in what `unit` says."""
    unit: Literal["line", "row"]
    """`line` of a text, with its header and blank lines; `row` of a table, or the number of an item of JSON."""


class RejectModel(_RowModel):
    """A rejected row, a line of the file of rejects."""

    rule: str
    """The rule that the row breaks."""
    code: str
    """The code of the rule."""
    columns: dict[str, str | None] | None = None
    """The columns of the job, masked; not of rows that could not be parsed."""
    length: int | None = None
    """The bytes of a row that could not be parsed."""
    lines: int | None = None
    """The lines of a row that could not be parsed."""
    text: str | None = None
    """The text of a row that could not be parsed, with `report.show_rows` alone."""


class SkippedModel(_RowModel):
    """A row that is skipped, as an example."""

    rule: str
    """The rule by which it is skipped."""
    code: str
    """The code of the rule."""
    columns: dict[str, str | None] | None = None
    """The columns of IDs, masked; not of rows that are suppressed or could not be parsed."""


class LeftOutModel(_Model):
    """The last line of a file of rejects that was cut short by `report.rejects_file_rows`."""

    left_out: dict[str, int]
    """How many rejects are not in the file, by rule."""
    kept: int
    """How many are in it."""


class SendModel(_Model):
    """The report of a run of `send`, and what that of any run has."""

    schema_version: Literal[5]
    """A new number means that keys have changed."""
    version: str
    """The version of this program."""
    name: str
    """The name of the run, with which the names of its files begin."""
    outcome: Literal["done", "nothing to do", "refused", "failed", "stopped"]
    """`done`, `refused` by a guard (exit code 3), `failed`, or `stopped` by a signal."""
    exit_code: int
    """That of the command."""
    error: FindingModel | None
    """`null`, or the `code`, `message` and `hint` of the error that ended the run."""
    job: dict[str, Any]
    """The settings of the job, without secrets."""
    job_path: str | None
    """The path of the job file."""
    host: str
    """The name of the machine."""
    place: str
    """What identifies the destination."""
    sent: str | None
    """The day of sending, in UTC."""
    started: str
    """When the command began, with the time zone."""
    ended: str
    """When it ended."""
    seconds: float
    """The time between."""
    input: list[InputModel]
    """The `path` of each file, and the `bytes` that were read of it."""
    bytes_per_second: int
    """How many bytes of the input a second."""
    parts: list[PartModel]
    """What is visible at the destination: `name`, `url`, `lines`, `bytes` and `raw_bytes` (before compression), and the
    checksums `crc32` and `sha256` of each part; `lines` and `raw_bytes` are 0 where `send` did not read them."""
    hidden_parts: int
    """How many parts have arrived, are not visible, and are kept for `--resume`."""
    retries: dict[str, int]
    """How often something was tried again, by the code of the error; single requests to S3 included."""
    report_path: str | None
    """Where the report is."""
    warnings: list[FindingModel]
    """`level`, `code`, `message` and `hint` of each."""


class ReportModel(SendModel):
    """The report of a run of `convert`."""

    records: RecordsModel
    """How many rows were `read`, `written`, `rejected` and `skipped`, the latter two by rule; with gathered rows how
    many `users` and `lines` are written; how many rows clear their users (`cleared`), and how many values hold
    `line_breaks`."""
    ids: IdsModel
    """How many IDs were `changed`, by step; where they are recognized, how many there are of each of the `types`."""
    signals: SignalsModel
    """How many signals were `written`, and how many `dropped` or `changed`, by rule; `missing_words`, by column."""
    rejects_path: str | None
    """Where the rejects are; `null` if there is no such file."""
    encrypted_for: str | None
    """The fingerprint of the PGP key."""
    series: str
    """The same for all runs of a job: [guards](guards.md) compare them."""
    fingerprints: list[dict[str, Any]]
    """Whether the files of the input change: their `path`, `size` and time of change; those of `input.suppress` are
    marked as `list`."""
    complete: bool
    """`false` if the run ended before the end of its input: then the counts are those until then."""
    left_out: list[dict[str, Any]]
    """The files of folders and globs that are not read: a `reason`, such as `empty`, how many `files`, and their first
    `paths`; see [Files of the input](inputs.md#files)."""
    encodings: list[dict[str, Any]]
    """What `input.encoding = "auto"` found: an `encoding`, its `certainty`, how many `files`, their first `paths`."""
    changes: dict[str, int] | None
    """The counts of users where [changes only](changes.md) are sent."""
    foreseen: dict[str, Any] | None
    """The numbers of the [receipt](traits.md) that can be known before, as `figures`, and what the signals become where
    the job names a list of traits; `null` for synchronization files, and where the run is not done."""
    meanings: dict[str, dict[str, str]]
    """The `code` and `text` of each rule and step that is counted."""
    examples: list[RejectModel]
    """The first 10 rejected rows of each rule, 200 in all, with 8 columns each: as in the rejects, without `text`."""
    skipped_examples: list[SkippedModel]
    """The first 10 rows that each rule skips, with the masked ID: that of the line where later rows or lines decide
    (`row_superseded`, `row_repeated`), none where it is suppressed. There are none of the rule `unchanged`."""
    first_lines: list[str]
    """What the first 10 lines look like: `a` stands for a letter, `0` for a digit."""
    pace: list[dict[str, float]]
    """How far the run was: `rows`, `bytes_read` and `bytes_sent` after so many `seconds`, at most 61 times."""
    spark: dict[str, int | None] | None
    """With [`--engine spark`](spark.md): the `rows` that Spark itself has counted, equal to `read`; `null` where it
    counts none, since tasks read the files, or a `save()` gives them the rows."""


MODELS: dict[str, tuple[type[_Model], ...]] = {
    "report": (ReportModel,),
    "send-report": (SendModel,),
    "rejects": (RejectModel, LeftOutModel),
}
"""The files that have a schema; each line of the rejects is one of two objects."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON schema of `report`, `send-report` or `rejects` (of each of its lines)."""
    first, *others = (_described(model) for model in MODELS[name])
    return {"anyOf": [first, *others]} if others else first


def keys_of(model: type[_Model]) -> dict[str, str]:
    """Return what the keys of a model mean, in their order, without those of its base."""
    inherited = {key for base in model.__bases__ if issubclass(base, _Model) for key in base.model_fields}
    return {key: meaning for key, meaning in descriptions(model).items() if key not in inherited}


def _described(model: type[_Model]) -> dict[str, Any]:
    schema = model.model_json_schema()
    for key, meaning in descriptions(model).items():
        schema["properties"][key]["description"] = " ".join(meaning.split())
    return schema
