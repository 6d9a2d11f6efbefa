"""The input."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey, is_url
from converter.jobs.values import Command, Name, PathText, as_list, check_one_password

_Path = Annotated[PathText, Field(min_length=1)]
Format = Literal["csv", "tsv", "parquet", "ndjson", "json", "arrow", "excel", "delta"]
AUTO = "auto"
"""The encoding that is found by file."""
Quote = Literal['"', "'", "none"]
Escape = Literal["double", "backslash"]
Dialect = Literal["excel", "mysql", "postgres", "redshift", "snowflake", "hive", "bigquery"]
DIALECTS: dict[str, dict[str, object]] = {
    "excel": {
        "quote": '"',
        "null_values": ["#N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!"],
    },
    "mysql": {"separator": "\t", "quote": "none", "escape": "backslash"},
    "postgres": {"separator": "\t", "quote": "none", "escape": "backslash"},
    "redshift": {"separator": "|", "quote": '"', "escape": "backslash"},
    "snowflake": {"separator": ",", "quote": '"', "null_values": ["\\N"]},
    "hive": {"separator": "\x01", "quote": "none", "escape": "backslash"},
    "bigquery": {"separator": ",", "quote": '"'},
}
"""The keys that each dialect sets, unless they are given."""


class Computed(Section):
    """A column that is computed from others."""

    name: Name
    """The name of the column."""
    sql: Name
    """Its value, in SQL."""


class Table(Section):
    """A table: where it is, how it is read, and which of its rows are taken."""

    path: Annotated[
        tuple[_Path, ...],
        Field(min_length=1),
        BeforeValidator(as_list, json_schema_input_type=str | tuple[_Path, ...]),
        PathKey(globs=True, stays=lambda text: text == "-" or is_url(text)),
    ]
    """A file, a list of files, a glob or a folder, also on a server (docs/places.md), or the URL of a database; `-` is
    standard input."""
    format: Format | None = None
    """`csv`, `tsv`, `parquet`, `ndjson`, `json`, `arrow`, `excel` or `delta`; by default from the suffix. Text formats
    may be compressed as gzip, zstd, bzip2, xz or lz4, or be in a zip archive."""
    member: str | None = None
    """The file to read in a zip archive that has several: its name, or a glob such as `"crm-*.csv"`."""
    empty: Literal["skip", "error"] = "skip"
    """What becomes of empty files beside others that are not: `skip` or `error`. If all are empty, it is an error."""
    query: Name | None = None
    """The rows of a database: a query in its SQL. See docs/databases.md."""
    table: Name | None = None
    """The rows of a database: a table by its name, such as `"crm"` or `"sales.crm"`, instead of `query`."""
    driver: Name | None = None
    """The ADBC driver of a database that is not PostgreSQL, SQLite or DuckDB: the name of its Python package, or the
    name or path of its library. It gets `path` as its URI."""
    password: str | None = None
    """The password of the user in the URL of a database, such as `${PASSWORD}`."""
    password_file: Annotated[PathText | None, PathKey()] = None
    """A file whose first line is this password."""
    password_command: Command = ()
    """A program that prints this password, with its arguments, such as `"pass show crm"`. It is run as
    `sftp.password_command` is."""
    version: Annotated[int, Field(ge=0)] | None = None
    """The version of a Delta table; by default the newest one."""
    at: str | None = None
    """A time, such as `2024-05-01T06:00:00+02:00`, whose version of a Delta table is read, instead of `version`."""
    sheet: str | int | None = None
    """The sheet of an Excel workbook: its name, or its number from 1; by default the first one that is not hidden."""
    separator: str | None = None
    """The separator of a text file: one ASCII character; by default detected in the header."""
    quote: Quote | None = None
    """What is around values with separators or line breaks: `"`, `'` or `none`; by default `"`, but `none` for
    `tsv` whose header has no quotes."""
    escape: Escape = "double"
    """How a quote inside a quoted value is written: `double`, as two quotes, or `backslash`, after one. Without
    quotes, separators and line breaks are after a backslash. See docs/dialects.md."""
    dialect: Dialect | None = None
    """The program that wrote a text file: `excel`, `mysql`, `postgres`, `redshift`, `snowflake`, `hive` or `bigquery`.
    It sets other keys, unless they are given; see docs/dialects.md."""
    skip_lines: Annotated[int, Field(ge=0)] = 0
    """The number of lines before the header of a text file, such as titles."""
    comment: str | None = None
    """The character that begins lines that are no rows of a text file, such as `"#"`."""
    skip_spaces: bool | None = None
    """Whether spaces before values, and around quotes, are removed; by default where the header has one after each
    separator."""
    header: bool = True
    """Whether the first row of a text file names the columns; otherwise `columns` does."""
    columns: tuple[str, ...] = ()
    """The names of the columns: of a text file without a header, or of keys that appear only after the first 1,000 rows
    of JSON."""
    encoding: str = "utf-8"
    """The encoding of text files, such as `cp1252` or `utf-16`; `auto` finds that of each file. A byte order mark is
    detected."""
    null_values: Annotated[tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | tuple[str, ...])] = ()
    """Texts that mean a missing value, such as `["NULL", "\\\\N"]`; an empty field always is one."""

    filter: Name | None = None
    """The rows to convert: an SQL condition, such as `"consent = 'yes' AND country IN ('AT', 'DE')"`; others are
    skipped. See docs/rows.md."""
    computed: Annotated[
        tuple[Computed, ...], BeforeValidator(as_list, json_schema_input_type=Computed | tuple[Computed, ...])
    ] = ()
    """Columns that are computed in SQL: a list of `{ name, sql }`, such as `{ name = "tier", sql = "upper(tier)" }`.
    They are used like columns of the input, and replace those of the same name. See docs/rows.md."""

    @model_validator(mode="before")
    @classmethod
    def _of_dialect(cls, given: object) -> object:
        if isinstance(given, dict) and isinstance(dialect := given.get("dialect"), str):
            return {**DIALECTS.get(dialect, {}), **given}
        return given

    @field_validator("separator")
    @classmethod
    def _one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n\0'):
            raise ValueError("a separator is one ASCII character, but no double quote or line ending")
        return separator

    @field_validator("comment")
    @classmethod
    def _one_mark(cls, comment: str | None) -> str | None:
        if comment is not None and (len(comment) != 1 or not comment.isascii() or comment in "\"'\r\n\0"):
            raise ValueError("a comment begins with one ASCII character, but no quote or line ending")
        return comment

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        check_one_password(self, "input")
        return self

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        if self.version is not None and self.at is not None:
            raise ValueError("Only one of input.version and input.at can be set.")
        return self

    @model_validator(mode="after")
    def _different_characters(self) -> Self:
        others = [self.quote, self.comment, "\\" if self.escape == "backslash" else None]
        if self.separator and (self.separator in others or (self.skip_spaces and self.separator == " ")):
            raise ValueError("input.separator has another meaning, too, by the other keys of [input].")
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        if encoding == AUTO:
            return encoding
        try:
            "a".encode(encoding)
        except (LookupError, ValueError) as error:
            raise ValueError(
                'an encoding has a name that Python knows, such as "utf-8", "cp1252" or "utf-16"'
            ) from error
        return encoding

    @model_validator(mode="after")
    def _columns_for_no_header(self) -> Self:
        if not self.header and not self.columns:
            raise ValueError("input.columns is missing: with input.header = false it names the columns in their order.")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("input.columns names a column twice.")
        return self

    @field_validator("computed")
    @classmethod
    def _each_once(cls, computed: tuple[Computed, ...]) -> tuple[Computed, ...]:
        names = [each.name for each in computed]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"input.computed has the column '{repeated[0]}' twice: remove one of them.")
        return computed


class Suppress(Table):
    """A list of user IDs whose rows are skipped, such as of users who have opted out."""

    column: Name
    """The column with the user IDs, which are normalized as those of the job."""
    sync_column: str = ""
    """Where the job has `[sync]`: the column of `sync.columns` that they are compared with; by default the first."""


class Input(Table):
    """Where rows come from."""

    path: Annotated[
        tuple[_Path, ...],
        Field(min_length=1),
        BeforeValidator(as_list, json_schema_input_type=str | tuple[_Path, ...]),
        PathKey(globs=True, stays=lambda text: text == "-" or is_url(text)),
    ] = ()
    """A file, a list of files, a glob or a folder, also on a server (docs/places.md), or the URL of a database; `-` is
    standard input. In Python, a frame may be given instead."""
    retry_seconds: Annotated[float, Field(ge=0)] | None = None
    """The total time to wait, in seconds, while temporary failures of a server are retried; by default
    `output.retry_seconds`."""
    rejects_of: Annotated[PathText | None, PathKey(stays=is_url)] = None
    """The report of an earlier run of this job, with the same input: only the rows that it rejected are converted, the
    others are skipped (`--rejects-of`). See docs/rows.md."""
    suppress: Suppress | None = None
    """A list of user IDs whose rows are skipped: `{ path, column }`, and the other keys of `[input]`. The IDs are
    normalized as those of the job. See docs/rows.md."""
