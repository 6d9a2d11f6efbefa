"""The job: what the user asks for, validated and immutable; the same from a file, flags or a program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, Unpack

from pydantic import Field, model_validator

from converter.errors import Finding, JobError, redact
from converter.jobs.access import Access
from converter.jobs.buckets import unused_buckets
from converter.jobs.document import Document
from converter.jobs.examples import Example
from converter.jobs.identity import DIGITS, destination_of, identity, settings_in
from converter.jobs.messages import flag_for
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.delta import Delta
from converter.jobs.sections.ids import Id, Sync, UserId
from converter.jobs.sections.output import Output, Pgp, Target
from converter.jobs.sections.privacy import Privacy
from converter.jobs.sections.record import Record, Signal, Tokens
from converter.jobs.sections.report import ReportOptions
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp
from converter.jobs.sections.table import Input
from converter.spec.environments import BETA_WARNING, FTP_WARNING
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES, ODC_TYPES
from converter.spec.names import MOST_STEM_BYTES, Extension, FileName

if TYPE_CHECKING:
    from converter.jobs.keywords import JobKeys, TransferKeys

_EXTENSIONS: dict[str, Extension] = {"gzip": ".gz", "none": "", "pgp": ".gpg"}
_NOT_IN_DIGEST = {*Access._fields, "report", "run", "example"}  # sections that do not change what is written, or where
_OF_LINES = ("id", "record", "privacy")
_OF_ROWS = {"query", "table", "driver", "version", "at"}
_OF_FILES = {"path", "format", "member", "sheet", "empty", "suppress", "retry_seconds", *_OF_ROWS}  # of `input`
_KEY = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]+")  # that a trait rule can name (C16)
_MOST_KEYS = 5  # in a message
_SMALLEST_ENCRYPTED = 10_000  # including the key of the message


class Job(Document):
    """A job: what is read, what is made of it, and where it goes.

    `Job(input={…}, id={…}, …)`, `Job.load(path)` and the flags of the command line are equivalent. Raises `JobError`,
    with one sentence for each problem. Examples (`example`) are for `check_examples` alone.
    """

    literal = frozenset({"example"})

    input: Input = Field(default_factory=Input)
    id: UserId | None = None
    record: Record = Field(default_factory=Record)
    sync: Sync | None = None
    output: Output
    privacy: Privacy = Field(default_factory=Privacy)
    delta: Delta = Field(default_factory=Delta)
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    http: Http = Field(default_factory=Http)
    gs: Gs = Field(default_factory=Gs)
    az: Az = Field(default_factory=Az)
    pgp: Pgp = Field(default_factory=Pgp)
    report: ReportOptions = Field(default_factory=ReportOptions)
    run: RunOptions = Field(default_factory=RunOptions)
    example: tuple[Example, ...] = ()

    def __init__(self, /, **data: Unpack[JobKeys]) -> None:
        super().__init__(**data)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        """Check that the sections are those of the kind of file."""
        of_kind = _problems_of_sync(self) if self.output.kind.endswith("id-sync") else _problems_of_data(self)
        clearing = self.record.problems(self.output, self.report, self.delta)
        for problem in (*of_kind, *self.delta.problems(self.output), *clearing):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _types_fit_global_sources(self) -> Self:
        if not self.output.force:
            for source in _sources_of(self):
                if source.is_of_another_type:
                    raise ValueError(
                        f"{source.describe()} Correct one of them; output.force = true (--force) allows it."
                    )
        return self

    @model_validator(mode="after")
    def _no_removal_in_overwrite(self) -> Self:
        if self.record.removed_traits and self.output.mode == "overwrite":
            raise ValueError(
                "record.removed_traits cannot be used with output.mode 'overwrite': Audience Manager ignores "
                "d_unsid there, since it removes everything that is not in the file (C4)."
            )
        return self

    @model_validator(mode="after")
    def _key_for_pgp(self) -> Self:
        output = self.output
        if output.compression != "pgp" and self.pgp.key:
            raise ValueError(
                f"pgp.key is for output.compression 'pgp', but output.compression is '{output.compression}'."
            )
        if output.compression == "pgp" and not self.pgp.key:
            raise ValueError(
                "pgp.key is missing: output.compression 'pgp' needs the file with the public key of the recipient (N8)."
            )
        if output.compression == "pgp" and output.max_part_bytes < _SMALLEST_ENCRYPTED:
            raise ValueError(
                f"output.max_part_bytes is {output.max_part_bytes:,}; an encrypted part has at least "
                f"{_SMALLEST_ENCRYPTED:,} bytes, some of which are the key of the message."
            )
        return self

    @model_validator(mode="after")
    def _short_names(self) -> Self:
        for name in self.names(0):
            if len(name.stem) > MOST_STEM_BYTES:
                raise ValueError(
                    f"the names of the files would begin with {len(name.stem):,} bytes, for {len(self.dpids):,} data "
                    f"sources with the numbers given; {MOST_STEM_BYTES} is the most that leaves room for the rest of "
                    "a name in a folder. Send fewer columns in one file."
                )
        return self

    def names(self, timestamp: int) -> tuple[FileName, ...]:
        """Return the name of each set of files, without the number of a part. `timestamp` is UNIX seconds."""
        output = self.output
        sources = [((dpid,), target) for _, dpid, target in self.routes] if self.sync is None else [(self.dpids, None)]
        return tuple(
            FileName(output.kind, dpids, timestamp, output.mode, target, extension=_EXTENSIONS[output.compression])
            for dpids, target in sources
        )

    def check_path(self) -> None:
        """Raise `JobError` where the job names no input."""
        if not self.input.path:
            raise JobError("E-JOB-INVALID", f"input.path is missing{flag_for('input.path')}.")

    @property
    def threads(self) -> int:
        """The number of threads that convert, and of those that compress."""
        return self.run.threads or os.cpu_count() or 1

    @property
    def digest(self) -> str:
        """The identity of the job: a digest of the settings that decide what is written, and where.

        Settings with default values are left out, so that later versions, which have more settings, find the runs of
        this one. Paths are absolute, and passwords are removed.
        """
        return identity(self._deciding_settings())

    @property
    def series(self) -> str:
        """The identity of the job without its timestamp, `delta.full`, and digits in the paths of its input.

        So a job has the same one each day, although these have dates in them.
        """
        settings = self._deciding_settings()
        settings.get("output", {}).pop("timestamp", None)
        settings.get("delta", {}).pop("full", None)
        table = settings.get("input", {})
        for each in (table, table.get("suppress", {})):
            each |= {"path": [re.sub("[0-9]+", "0", path) for path in each.get("path", ())]}
        return identity(settings)[:DIGITS]

    def _deciding_settings(self) -> dict[str, Any]:
        """Return the settings that decide what is written, and where, as plain data."""
        known = {
            name: settings_in(getattr(self, name)) for name in type(self).model_fields if name not in _NOT_IN_DIGEST
        }
        known["input"].pop("retry_seconds", None)
        known["output"] = {key: value for key, value in known["output"].items() if key not in Target.model_fields}
        return {**{name: value for name, value in known.items() if value}, "place": self.destination_identity}

    @property
    def max_change(self) -> str:
        """`report.max_change`, or what it is by default."""
        return self.report.max_change or ("50%" if self.output.mode == "overwrite" else "off")

    @property
    def access(self) -> Access:
        """How inputs are read that are not on the local disk."""
        given = self.input.retry_seconds
        return Access.of(self, self.output.retry_seconds if given is None else given)

    @property
    def gathers(self) -> bool:
        """Whether what is written depends on all rows of a user."""
        return self.record.gathers or self.delta.state is not None

    @property
    def lines_digest(self) -> str:
        """A digest of the settings that decide which lines rows become, wherever the rows are from."""
        named = {name: settings_in(getattr(self, name)) for name in _OF_LINES}
        table = {key: value for key, value in settings_in(self.input).items() if key not in _OF_FILES}
        return identity({**named, "input": table, "mode": self.output.mode, "odc_type": self.output.odc_type})

    @property
    def destination_identity(self) -> list[str | None]:
        """The identity of the destination, without passwords."""
        return destination_of(self.output, self.s3)

    @property
    def place(self) -> str:
        """What identifies the destination in reports."""
        return identity(self.destination_identity)[:DIGITS]

    @property
    def ids(self) -> tuple[Id, ...]:
        """The settings of the IDs of a line, in their order."""
        return self.sync.columns if self.sync else (self.id,) if self.id else ()

    @property
    def dpids(self) -> tuple[int, ...]:
        """The data sources of the IDs, in the order of the file's name (N1, N6), or of the routes."""
        if self.sync:
            return tuple(column.source for column in self.sync.columns)
        return tuple(source for _, source, _ in self.routes)

    @property
    def routes(self) -> tuple[tuple[str, int, int | None], ...]:
        """The sets of files of a data job: the type of their IDs, their data source, and that of the traits."""
        output = self.output
        if not output.route:
            return ((self.ids[0].type if self.ids else "", output.dpid or 0, output.target),)
        return tuple(
            (name, route.dpid if route.dpid is not None else ID_TYPES[name].dpid or 0, route.target)
            for name, route in output.route.items()
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The input columns that the job uses, without duplicates, those of the IDs first."""
        items: tuple[Signal | Tokens, ...] = (
            *self.record.signals,
            *self.record.traits,
            *self.record.removed_traits,
            *self.record.integration_codes,
        )
        signals = (item.column for item in items if item.column is not None)
        date = [self.sync.date] if self.sync and self.sync.date else []
        others = filter(None, (self.record.key_column, self.record.value_column, self.record.order))
        return tuple(dict.fromkeys([*(id_.column for id_ in self.ids), *signals, *date, *others]))

    @property
    def warnings(self) -> list[Finding]:
        """Warnings about settings that are allowed but most likely not intended."""
        findings = []
        if self.output.environment == "beta":
            findings.append(Finding("W-BETA", BETA_WARNING))
        if self.output.url.lower().startswith(("ftp://", "ftps://")):
            findings.append(Finding("W-FTP", FTP_WARNING))
        findings += unused_buckets(self.s3.buckets, self, self.output.url)
        for source in _sources_of(self):
            findings += source.warnings(in_sync=self.sync is not None)
        if wrong := [signal.key for signal in self.record.signals if not _KEY.fullmatch(signal.key)]:
            shown = ", ".join(f"'{redact(key)}'" for key in wrong[:_MOST_KEYS]) + ", …" * (len(wrong) > _MOST_KEYS)
            findings.append(
                Finding(
                    "W-KEY-UNNAMEABLE",
                    f"No trait rule can name the keys {shown} (C16).",
                    "Use letters, digits, dashes and underscores, not digits alone, as in --signal COLUMN=KEY.",
                )
            )
        return findings


class _DataSource(NamedTuple):
    """The data source of IDs of a type, and the keys that set both."""

    key: str
    type_key: str
    type: str
    dpid: int

    @property
    def is_of_another_type(self) -> bool:
        """Whether it is the global data source of another type of ID."""
        owner = GLOBAL_DATA_SOURCES.get(self.dpid)
        return owner is not None and owner.name != self.type

    def warnings(self, *, in_sync: bool) -> Iterator[Finding]:
        """Yield warnings about it, in an ID synchronization file or in another one."""
        own = ID_TYPES[self.type].dpid
        if self.dpid == 0 and not (in_sync and own == 0):
            message = f"{self.key} is 0, which is Audience Manager's own, for uuid in ID synchronization files."
            yield Finding("W-SOURCE-ZERO", message, "Set it to your own data source for these IDs.")
        elif own is not None and self.dpid != own and (own or in_sync):
            message = f"IDs of type {self.type} belong to the data source {own}, but {self.key} is {self.dpid}."
            yield Finding("W-ID-TYPE-SOURCE", message)
        if self.is_of_another_type:
            yield Finding("W-SOURCE-ID-TYPE", self.describe())

    def describe(self) -> str:
        """Return the sentence that it is that of another type."""
        owner = GLOBAL_DATA_SOURCES[self.dpid].name
        return f"{self.key} is {self.dpid}, the data source of IDs of type {owner}, but {self.type_key} is {self.type}."


def _sources_of(job: Job) -> list[_DataSource]:
    """Return the data sources of the IDs of a job, whose types are known."""
    if job.sync:
        keys = [f"sync.columns[{number}]" for number in range(len(job.sync.columns))]
        named = [(f"{key}.dpid", f"{key}.type", id_.type) for key, id_ in zip(keys, job.ids, strict=True)]
    elif job.output.route:
        named = [(f"output.route.{name}.dpid", "the route", name) for name in job.output.route]
    else:
        named = [("output.dpid", "id.type", id_.type) for id_ in job.ids if id_.type != "auto"]
    return [_DataSource(*each, dpid) for each, dpid in zip(named, job.dpids, strict=False)]


def _problems_of_data(job: Job) -> Iterator[str]:
    """Yield what is wrong with a job for a data file, in sentences."""
    kind, output = job.output.kind, job.output
    if job.sync:
        yield f"[sync] is for output.kind 'id-sync' and 'c2c-id-sync', but output.kind is '{kind}'."
    if job.id is None:
        yield f"id is missing{flag_for('id')}."
    elif kind == "odc" and job.id.type not in ODC_TYPES:
        yield f"id.type is '{job.id.type}'; files for Oracle Data Cloud hold IDs of type idfa or gaid (C13)."
    if output.route:
        yield from _problems_of_routes(job)
    elif output.dpid is None:
        yield f"output.dpid is missing{flag_for('output.dpid')}."
    elif job.id and job.id.type == "auto" and output.publish == "each":
        yield (
            "output.publish is 'each', but with id.type 'auto' only the whole input shows whether all IDs are of one "
            "type: set output.route, or output.publish = 'end'."
        )
    if output.odc_type and kind != "odc":
        yield f"output.odc_type is for output.kind 'odc', but output.kind is '{kind}'."
    if "record" not in job.model_fields_set:
        yield f"record is missing{flag_for('record')}."
    yield from _problems_of_users(job.record)
    if job.record.is_empty:
        yield (
            "record has no signals and no traits, so there is nothing to send: "
            "set record.signals or record.traits (--signal COLUMN, --trait COLUMN or a trait ID)."
        )


def _problems_of_users(record: Record) -> Iterator[str]:
    """Yield what is wrong with what a job says about all rows of a user, in sentences."""
    of_others = {
        "user": ("key_column", "value_column", "order", "order_format", "many_values"),
        "signal": ("user_lines", "repeated"),
    }[record.rows]
    for name in of_others:
        if getattr(record, name) != Record.model_fields[name].default:
            other = "user" if record.rows == "signal" else "signal"
            yield f"record.{name} is for record.rows '{other}', but record.rows is '{record.rows}'."

    if (record.key_column is None) != (record.value_column is None):
        yield "record.key_column and record.value_column belong together: one names the key of a pair, one its value."
    if record.order_format and not record.order:
        yield "record.order_format is the format of record.order, which is not set."
    if record.order and record.many_values == "reject":
        yield "record.many_values is for rows without record.order: with it, the latest value of a key is sent."


def _problems_of_routes(job: Job) -> Iterator[str]:
    """Yield what is wrong with the routes of a job, in sentences."""
    if job.id and job.id.type != "auto":
        yield f"output.route is for id.type 'auto', but id.type is '{job.id.type}'."
    for given, key in ((job.output.dpid, "dpid"), (job.output.target, "target")):
        if given is not None:
            yield f"output.{key} cannot be used with output.route, which names the data sources."
    for (name, route), dpid in zip(job.output.route.items(), job.dpids, strict=True):
        if route.dpid is None and ID_TYPES[name].dpid is None:
            yield f"output.route.{name} needs a dpid: IDs of type {name} belong to no global data source."
        elif dpid in GLOBAL_DATA_SOURCES and route.target is None:
            yield (
                f"output.route.{name}.target is missing: {dpid} is a global data source, so the file must name the "
                "data source that the traits belong to (N4)."
            )
    if len(set(job.dpids)) < len(job.dpids):
        yield "output.route names a data source twice: a file holds IDs of one type (I1)."


def _problems_of_sync(job: Job) -> Iterator[str]:
    """Yield what is wrong with a job for an ID synchronization file, in sentences."""
    kind, output = job.output.kind, job.output
    if job.id is not None or not job.record.is_empty:
        yield f"[id] and [record] cannot be used with output.kind '{kind}': [sync] says what its columns are (N6)."
    if job.sync is None:
        yield (
            f"sync.columns is missing: output.kind '{kind}' needs the columns of the file, such as "
            'columns = [{ column = "aam_uuid", type = "uuid" }, { column = "crm_id", type = "crm", dpid = 1234 }].'
        )
        return
    for given, key in ((output.dpid, "dpid"), (output.target, "target")):
        if given is not None:
            yield f"output.{key} cannot be used with output.kind '{kind}': its data sources are those of sync.columns."
    if output.mode != "sync":
        yield f"output.mode is '{output.mode}', but synchronization files are always 'sync' (N6)."
    if output.odc_type:
        yield f"output.odc_type is for output.kind 'odc', but output.kind is '{kind}'."
    types = [ID_TYPES[column.type] for column in job.sync.columns]
    if kind == "c2c-id-sync" and [type_.name for type_ in types] != ["crm", "hashed_email"]:
        yield (
            "sync.columns of a c2c-id-sync file are two, of type crm and of type hashed_email (N6), but they are of "
            f"type {', '.join(type_.name for type_ in types)}."
        )
    if kind == "id-sync" and not types[0].of_device and not job.sync.allow_customer_master:
        yield (
            f"sync.columns[0] is of type {types[0].name}, but the first column holds device IDs, else synchronization "
            "may go wrong (C14): change the order, or set sync.allow_customer_master = true."
        )
    if kind == "id-sync" and job.sync.date:
        yield "sync.date is for output.kind 'c2c-id-sync', whose rows are gathered."
    if job.sync.date_format and not job.sync.date:
        yield "sync.date_format is the format of sync.date, which is not set."
    names = [column.column for column in job.sync.columns]
    if len(set(names)) < len(names):
        yield f"sync.columns names the column '{next(name for name in names if names.count(name) > 1)}' twice."
    sources = list(job.dpids)
    if len(set(sources)) < len(sources):
        yield f"sync.columns has the data source {next(d for d in sources if sources.count(d) > 1)} twice."


_OF_JOBS = set(Job.model_fields) - {"output", "s3", "ftp", "sftp", "report", "run"}


class Transfer(Document):
    """How files that exist are sent: the sections of a job file about the destination."""

    output: Target
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    report: ReportOptions = Field(default_factory=ReportOptions)
    run: RunOptions = Field(default_factory=RunOptions)

    def __init__(self, /, **data: Unpack[TransferKeys]) -> None:
        super().__init__(**data)

    @property
    def destination_identity(self) -> list[str | None]:
        """The identity of the destination, without passwords."""
        return destination_of(self.output, self.s3)

    @property
    def place(self) -> str:
        """What identifies the destination in reports."""
        return identity(self.destination_identity)[:DIGITS]

    @classmethod
    def _select(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data without the sections about the input and the content of files."""
        of_jobs = set(Output.model_fields) - set(Target.model_fields)
        known = {key: value for key, value in data.items() if key not in _OF_JOBS}
        if isinstance(output := known.get("output"), Mapping):
            known["output"] = {key: value for key, value in output.items() if key not in of_jobs}
        return known
