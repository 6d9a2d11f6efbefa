"""The keys of jobs as dictionaries, for type checkers and editors: `Job(input={"path": "crm.csv"}, …)`.

Made from the sections of the job file: `make tables` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, Required, TypedDict

from converter.jobs.examples import Example
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.delta import Delta
from converter.jobs.sections.ids import Sync, SyncColumn, UserId
from converter.jobs.sections.output import Output, Pgp, Route
from converter.jobs.sections.privacy import Privacy
from converter.jobs.sections.record import Codes, Record, Signal, Traits
from converter.jobs.sections.report import ReportOptions
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, BucketOptions, Ftp, Http, Sftp
from converter.jobs.sections.table import Computed, Input, Suppress


class AzKeys(TypedDict, total=False):
    """The keys of `Az`."""

    account: str | None
    account_key: str | None
    account_key_file: str | PathLike[str] | None
    account_key_command: str | Sequence[str]
    sas_token: str | None
    sas_token_file: str | PathLike[str] | None
    sas_token_command: str | Sequence[str]
    anonymous: bool
    endpoint_url: str | None
    timeout: float


class BucketOptionsKeys(TypedDict, total=False):
    """The keys of `BucketOptions`."""

    acl: (
        Literal[
            "bucket-owner-full-control",
            "bucket-owner-read",
            "private",
            "authenticated-read",
            "aws-exec-read",
            "public-read",
            "public-read-write",
        ]
        | None
    )
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None
    kms_key_id: str | None
    storage_class: str | None
    endpoint_url: str | None
    region: str | None
    addressing_style: Literal["auto", "path", "virtual"]
    profile: str | None
    role_arn: str | None
    anonymous: bool
    requester_pays: bool
    part_size: int | str
    timeout: float


class CodesKeys(TypedDict, total=False):
    """The keys of `Codes`."""

    column: str | None
    separator: str
    value: str | None


class ComputedKeys(TypedDict, total=False):
    """The keys of `Computed`."""

    name: Required[str]
    sql: Required[str]


class DeltaKeys(TypedDict, total=False):
    """The keys of `Delta`."""

    state: str | PathLike[str] | None
    removals: bool
    gone: Literal["count", "remove"]
    refresh_days: int
    full: bool


class ExampleKeys(TypedDict, total=False):
    """The keys of `Example`."""

    row: Required[Mapping[str, str | bool | int | float | Sequence[str | bool | int | float]]]
    line: str | None
    reject: str | None
    skip: str | None
    dpid: int | None


class FtpKeys(TypedDict, total=False):
    """The keys of `Ftp`."""

    timeout: float
    password: str | None
    password_file: str | PathLike[str] | None
    password_command: str | Sequence[str]
    partial_suffix: str
    passive: bool
    tls_ca_file: str | PathLike[str] | None
    read_back: bool


class GsKeys(TypedDict, total=False):
    """The keys of `Gs`."""

    credentials_file: str | PathLike[str] | None
    anonymous: bool
    endpoint_url: str | None
    timeout: float


class HttpKeys(TypedDict, total=False):
    """The keys of `Http`."""

    timeout: float
    tls_ca_file: str | PathLike[str] | None


class InputKeys(TypedDict, total=False):
    """The keys of `Input`."""

    path: str | PathLike[str] | Sequence[str | PathLike[str]]
    format: Literal["csv", "tsv", "parquet", "ndjson", "json", "arrow", "excel", "delta"] | None
    member: str | None
    empty: Literal["skip", "error"]
    query: str | None
    table: str | None
    driver: str | None
    password: str | None
    password_file: str | PathLike[str] | None
    password_command: str | Sequence[str]
    version: int | None
    at: str | None
    sheet: str | int | None
    separator: str | None
    quote: Literal['"', "'", "none"] | None
    escape: Literal["double", "backslash"]
    dialect: Literal["excel", "mysql", "postgres", "redshift", "snowflake", "hive", "bigquery"] | None
    skip_lines: int
    comment: str | None
    skip_spaces: bool | None
    header: bool
    columns: Sequence[str]
    encoding: str
    null_values: str | Sequence[str]
    filter: str | None
    computed: Computed | ComputedKeys | Sequence[Computed | ComputedKeys]
    retry_seconds: float | None
    rejects_of: str | PathLike[str] | None
    suppress: Suppress | SuppressKeys | None


class OutputKeys(TypedDict, total=False):
    """The keys of `Output`."""

    to: str | PathLike[str]
    environment: Literal["production", "beta"] | None
    partner: str
    uploads: int
    bandwidth: int | str | None
    retry_seconds: float
    publish: Literal["end", "each"]
    allow_both_modes: bool
    dpid: int | None
    kind: Literal["data", "id-sync", "c2c-id-sync", "odc"]
    odc_type: str
    mode: Literal["sync", "overwrite"]
    target: int | None
    route: Mapping[str, int | Route | RouteKeys]
    force: bool
    timestamp: int | None
    compression: Literal["gzip", "none", "pgp"]
    compression_level: Literal["fast", "balanced", "small"]
    max_part_bytes: int | str
    max_part_raw_bytes: int | str


class PgpKeys(TypedDict, total=False):
    """The keys of `Pgp`."""

    key: str | PathLike[str] | None


class PrivacyKeys(TypedDict, total=False):
    """The keys of `Privacy`."""

    signals: Literal["block", "drop", "allow"]
    allow: str | Sequence[str]


class RecordKeys(TypedDict, total=False):
    """The keys of `Record`."""

    signals: Sequence[str | Signal | SignalKeys]
    traits: str | int | Traits | TraitsKeys | Sequence[str | int | Traits | TraitsKeys]
    removed_traits: str | int | Traits | TraitsKeys | Sequence[str | int | Traits | TraitsKeys]
    integration_codes: str | int | Codes | CodesKeys | Sequence[str | int | Codes | CodesKeys]
    rows: Literal["user", "signal"]
    key_column: str | None
    value_column: str | None
    order: str | None
    order_format: str
    many_values: Literal["keep", "reject"]
    user_lines: Literal["off", "count", "enforce"]
    repeated: Literal["keep", "drop"]
    empty: Literal["skip", "clear"]
    on_bad_value: Literal["clean", "drop", "reject"]
    comma: str


class ReportOptionsKeys(TypedDict, total=False):
    """The keys of `ReportOptions`."""

    dir: str | PathLike[str]
    lease_seconds: float
    max_rejects: int | str
    max_change: str | None
    max_cleared: int | str
    rejects_file_rows: int
    traits: str | PathLike[str] | None
    show_rows: bool
    page: bool
    keep: str | None
    metrics: str | PathLike[str] | None


class RouteKeys(TypedDict, total=False):
    """The keys of `Route`."""

    dpid: int | None
    target: int | None


class RunOptionsKeys(TypedDict, total=False):
    """The keys of `RunOptions`."""

    threads: int | None
    spill_dir: str | PathLike[str] | None
    memory: int | str


class S3Keys(TypedDict, total=False):
    """The keys of `S3`."""

    acl: (
        Literal[
            "bucket-owner-full-control",
            "bucket-owner-read",
            "private",
            "authenticated-read",
            "aws-exec-read",
            "public-read",
            "public-read-write",
        ]
        | None
    )
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None
    kms_key_id: str | None
    storage_class: str | None
    endpoint_url: str | None
    region: str | None
    addressing_style: Literal["auto", "path", "virtual"]
    profile: str | None
    role_arn: str | None
    anonymous: bool
    requester_pays: bool
    part_size: int | str
    timeout: float
    buckets: Mapping[str, BucketOptions | BucketOptionsKeys]


class SftpKeys(TypedDict, total=False):
    """The keys of `Sftp`."""

    timeout: float
    password: str | None
    password_file: str | PathLike[str] | None
    password_command: str | Sequence[str]
    partial_suffix: str
    key_file: str | PathLike[str] | None
    key_passphrase: str | None
    known_hosts: str | PathLike[str] | None
    host_key_fingerprint: str | None


class SignalKeys(TypedDict, total=False):
    """The keys of `Signal`."""

    column: str | None
    key: str
    value: str | None
    separator: str | None


class SuppressKeys(TypedDict, total=False):
    """The keys of `Suppress`."""

    path: Required[str | PathLike[str] | Sequence[str | PathLike[str]]]
    format: Literal["csv", "tsv", "parquet", "ndjson", "json", "arrow", "excel", "delta"] | None
    member: str | None
    empty: Literal["skip", "error"]
    query: str | None
    table: str | None
    driver: str | None
    password: str | None
    password_file: str | PathLike[str] | None
    password_command: str | Sequence[str]
    version: int | None
    at: str | None
    sheet: str | int | None
    separator: str | None
    quote: Literal['"', "'", "none"] | None
    escape: Literal["double", "backslash"]
    dialect: Literal["excel", "mysql", "postgres", "redshift", "snowflake", "hive", "bigquery"] | None
    skip_lines: int
    comment: str | None
    skip_spaces: bool | None
    header: bool
    columns: Sequence[str]
    encoding: str
    null_values: str | Sequence[str]
    filter: str | None
    computed: Computed | ComputedKeys | Sequence[Computed | ComputedKeys]
    column: Required[str]
    sync_column: str


class SyncKeys(TypedDict, total=False):
    """The keys of `Sync`."""

    columns: Required[Sequence[SyncColumn | SyncColumnKeys]]
    date: str | None
    date_format: str
    allow_customer_master: bool


class SyncColumnKeys(TypedDict, total=False):
    """The keys of `SyncColumn`."""

    column: Required[str]
    type: Literal[
        "crm", "uuid", "ecid", "gaid", "idfa", "rida", "maid", "tifa", "fire", "lgudid", "vizio", "hashed_email"
    ]
    decode: bool
    trim: bool
    unicode: Literal["preserve", "nfc"]
    cut_prefix: str
    cut_suffix: str
    remove: str
    strip_zeros: bool
    pad: int | None
    case: Literal["preserve", "lower", "upper"]
    prefix: str
    suffix: str
    hash: Literal["sha256"] | None
    implausible: Literal["reject", "warn", "allow"]
    dpid: int | None


class TraitsKeys(TypedDict, total=False):
    """The keys of `Traits`."""

    column: str | None
    separator: str
    value: str | None


class UserIdKeys(TypedDict, total=False):
    """The keys of `UserId`."""

    column: Required[str]
    type: Literal[
        "crm", "uuid", "ecid", "gaid", "idfa", "rida", "maid", "tifa", "fire", "lgudid", "vizio", "hashed_email", "auto"
    ]
    decode: bool
    trim: bool
    unicode: Literal["preserve", "nfc"]
    cut_prefix: str
    cut_suffix: str
    remove: str
    strip_zeros: bool
    pad: int | None
    case: Literal["preserve", "lower", "upper"]
    prefix: str
    suffix: str
    hash: Literal["sha256"] | None
    implausible: Literal["reject", "warn", "allow"]
    case_collisions: Literal["off", "report", "reject"]


class JobKeys(TypedDict, total=False):
    """The keys of `Job`."""

    input: Input | InputKeys
    id: UserId | UserIdKeys | None
    record: Record | RecordKeys
    sync: Sync | SyncKeys | None
    output: Required[Output | OutputKeys]
    privacy: Privacy | PrivacyKeys
    delta: Delta | DeltaKeys
    s3: S3 | S3Keys
    ftp: Ftp | FtpKeys
    sftp: Sftp | SftpKeys
    http: Http | HttpKeys
    gs: Gs | GsKeys
    az: Az | AzKeys
    pgp: Pgp | PgpKeys
    report: ReportOptions | ReportOptionsKeys
    run: RunOptions | RunOptionsKeys
    example: Sequence[Example | ExampleKeys]


class TransferKeys(TypedDict, total=False):
    """The keys of `Transfer`."""

    output: Required[Output | OutputKeys]
    s3: S3 | S3Keys
    ftp: Ftp | FtpKeys
    sftp: Sftp | SftpKeys
    report: ReportOptions | ReportOptionsKeys
    run: RunOptions | RunOptionsKeys
