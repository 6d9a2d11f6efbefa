"""The job: what the user asks for, validated and frozen. The same for the file, the flags and the library."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from converter.document import (
    Document,
    Name,
    Section,
    as_list,
    flag_for,
    mask_password,
    no_truth,
    parse_size,
)
from converter.spec.environments import BETA_WARNING, FTP_WARNING, Environment, place
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES, ODC_TYPES, Case, type_of
from converter.spec.limits import (
    PART_BYTES,
    PART_BYTES_BEST,
    PART_RAW_BYTES,
    PART_RAW_BYTES_BEST,
    TIMESTAMP_DIGITS,
    Limit,
)
from converter.spec.names import Kind, Mode

Format = Literal["csv", "tsv", "parquet", "ndjson", "arrow"]

_USER = re.compile(r"://[^/]*@")
_SMALLEST_PART = 100
_SMALLEST_ENCRYPTED = 10_000  # the key of the message takes a part of it

RESERVED_KEYS = {"d_sid": "record.traits", "d_unsid": "record.removed_traits", "ic": "record.integration_codes"}
"""Signal keys that mean something else to Audience Manager (C2), and the setting to use instead."""


def _at_most(limit: Limit) -> Any:
    def check(size: int) -> int:
        if not _SMALLEST_PART <= size <= limit.value:
            raise ValueError(
                f"a part has at least {_SMALLEST_PART} and at most {limit.value:,} {limit.unit} "
                f"({limit.code}, {limit.page})"
            )
        return size

    return check


class Input(Section):
    """Where the rows come from."""

    path: Annotated[
        tuple[Name, ...], Field(min_length=1), BeforeValidator(as_list, json_schema_input_type=str | tuple[Name, ...])
    ]
    """A file, a list of files, a glob or a folder."""
    format: Format | None = None
    """Guessed from the suffix when left out."""
    separator: str | None = None
    """Between the fields of a text file, one ASCII character; guessed from the header when left out."""
    header: bool = True
    """Whether the first row of a text file names the columns; if not, `columns` does."""
    columns: tuple[str, ...] = ()
    """The names of the columns: of a text file without header; of NDJSON where a key comes late."""
    encoding: str = "utf-8"
    """Of text files. A byte order mark is recognised by itself."""
    null_values: Annotated[tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | tuple[str, ...])] = ()
    """Texts that mean a missing value, such as `NULL` or `\\N`; an empty field always does."""

    @field_validator("separator")
    @classmethod
    def _one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n\0'):
            raise ValueError("a separator is one ASCII character, no double quote and no line end")
        return separator

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)
        except (LookupError, ValueError):
            raise ValueError('an encoding is a name that Python knows, such as "utf-8", "cp1252" or "utf-16"') from None
        return encoding

    @model_validator(mode="after")
    def _columns_for_no_header(self) -> Self:
        if not self.header and not self.columns:
            raise ValueError(
                "input.columns is missing: where input.header is false it names the columns, in their order."
            )
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("input.columns names a column twice.")
        return self


IdTypeName = Literal["crm", "uuid", "gaid", "idfa", "rida", "maid", "tifa", "fire", "lgudid", "vizio", "hashed_email"]


class Id(Section):
    """The user ID of a row, and how it is brought into the form in which the web site sends it (C12).

    The steps are always taken in this order: decode, trim, unicode, cut_prefix, cut_suffix, remove, strip_zeros, pad,
    case, prefix, suffix, hash.
    """

    _name: ClassVar[str] = "id"

    column: Name
    """The column that holds it."""
    type: IdTypeName | Literal["auto"] = "crm"
    """What kind of ID it is: its form is checked, and device IDs take Adobe's case by themselves.

    `auto` tells each row's type from its form; `output.route` says where each type goes."""
    decode: bool = False
    """Whether percent-encoding, such as `%40`, is taken back, once."""
    trim: bool = True
    """Whether white space around the ID is removed, with characters without width and byte order marks."""
    unicode: Literal["preserve", "nfc"] = "preserve"
    """`nfc` writes characters that can be written in several ways in one: Unicode's normal form C."""
    cut_prefix: str = ""
    """A text to take away where the ID begins with it."""
    cut_suffix: str = ""
    """A text to take away where the ID ends in it."""
    remove: str = ""
    """Characters to take away wherever they are, such as `"- ."`."""
    strip_zeros: bool = False
    """Whether zeros at the start of an ID are taken away, but for the last character."""
    pad: Annotated[int, Field(ge=1, le=256), BeforeValidator(no_truth)] | None = None
    """How many characters the ID has at least: zeros are put before a shorter one."""
    case: Case = "preserve"
    """User IDs are case-sensitive and must be exactly what the web site sends (C12)."""
    prefix: str = ""
    """A text to put before the ID."""
    suffix: str = ""
    """A text to put behind the ID."""
    hash: Literal["sha256"] | None = None
    """Whether the ID is hashed: SHA-256, in lower-case hexadecimal. What is such a hash already stays.

    An ID of type `hashed_email` is an e-mail address then, trimmed and in lower case before it is hashed."""

    @model_validator(mode="after")
    def _adobes_case(self) -> Self:
        wanted = type_of(self.type).case
        if wanted and self.case not in ("preserve", wanted):
            raise ValueError(
                f"{self._name}.case is '{self.case}', but IDs of type {self.type} are always written in {wanted} case: "
                "leave it out."
            )
        return self

    @model_validator(mode="after")
    def _plain_for_auto(self) -> Self:
        given = [name for name in _NOT_FOR_AUTO if getattr(self, name)] if self.type == "auto" else []
        if given:
            raise ValueError(
                f"id.{given[0]} cannot be used where id.type is 'auto': it would change IDs of every type, those of "
                "devices among them."
            )
        return self

    @model_validator(mode="after")
    def _hash_for_some(self) -> Self:
        if self.hash and self.type not in ("crm", "hashed_email"):
            raise ValueError(
                f"{self._name}.hash cannot be used for IDs of type {self.type}: only those of type crm and "
                "hashed_email may be hashes."
            )
        return self

    @field_validator("prefix", "suffix")
    @classmethod
    def _may_be_in_an_id(cls, text: str) -> str:
        if re.search(r"[:\x00-\x20\x7f-\xa0\ufeff]|%3[Aa]", text):
            raise ValueError("no user ID holds a colon (or %3A), a space or a control character (I6)")
        return text


_NOT_FOR_AUTO = ("cut_prefix", "cut_suffix", "remove", "strip_zeros", "pad", "prefix", "suffix", "hash")


class UserId(Id):
    """The user ID of a data file."""

    case_collisions: Literal["off", "report", "reject"] = "off"
    """IDs that differ by nothing but case: whether they are counted, or their rows rejected (C12)."""


class SyncColumn(Id):
    """A column of an ID synchronisation file: the IDs of a data source."""

    _name: ClassVar[str] = "sync.columns"

    type: IdTypeName = "crm"
    """What kind of ID it is: its form is checked, and device IDs take Adobe's case by themselves."""
    dpid: Annotated[int, Field(ge=0), BeforeValidator(no_truth)] | None = None
    """The data source of these IDs; that of the type, when left out."""

    @model_validator(mode="after")
    def _some_data_source(self) -> Self:
        if self.dpid is None and ID_TYPES[self.type].dpid is None:
            raise ValueError(
                f"sync.columns needs a dpid for the column '{self.column}': IDs of type {self.type} belong to no "
                "global data source."
            )
        return self

    @property
    def source(self) -> int:
        """The data source of these IDs."""
        return self.dpid if self.dpid is not None else ID_TYPES[self.type].dpid or 0


class Sync(Section):
    """The columns of an ID synchronisation file (N6, C14), in place of an ID and what is known of it."""

    columns: Annotated[tuple[SyncColumn, ...], Field(min_length=2)]
    """The columns in their order, each `{ column, type, dpid }` and with the settings of an ID; the first is the
    master."""
    date: Name | None = None
    """For `c2c-id-sync`: the column that says from when a row is, in ISO 8601 or seconds of UNIX; the newest ten
    addresses of a customer are kept. The last ones of the input, when left out."""
    allow_customer_master: bool = False
    """Whether IDs of customers may stand in the first column of an `id-sync` file, where device IDs belong."""


class Privacy(Section):
    """What is done about personal data."""

    signals: Literal["block", "drop", "allow"] = "block"
    """For a value that is an e-mail address, a phone, card, account or social security number or an IP address:
    reject the row, drop the pair, or write it all the same."""
    allow: Annotated[tuple[Name, ...], BeforeValidator(as_list, json_schema_input_type=str | tuple[Name, ...])] = ()
    """Columns that are not looked at, whatever their names and values say."""


class Signal(Section):
    """A key-value pair of a row, `"key"="value"`: the value from a column, or the same for every row."""

    column: str | None = None
    """The column that holds the value."""
    key: str = ""
    """The key; the column's name, when left out."""
    value: str | None = None
    """The same value for every row, in place of a column."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(core, handler)
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(described)]}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        if isinstance(data, str):
            return {"column": data, "key": data}
        if isinstance(data, Mapping) and "key" not in data and isinstance(data.get("column"), str):
            return {**data, "key": data["column"]}
        return data

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError(
                'a signal is a column name, { column = "…", key = "…" }, or a constant { key = "…", value = "…" }'
            )
        if self.key.strip().casefold() in RESERVED_KEYS:
            raise ValueError(
                f"the key '{self.key}' means something else to Audience Manager (C2): "
                f"use {RESERVED_KEYS[self.key.strip().casefold()]} instead"
            )
        instead = (
            f'give it a key of its own: {{ column = "{self.column}", key = "…" }}'
            if self.column
            else "choose another key"
        )
        if not self.key.strip():
            raise ValueError(f"the key of a signal is empty (C2): {instead}")
        if self.key.lstrip().startswith("-"):
            raise ValueError(f"the key '{self.key}' starts with a dash, which Audience Manager ignores (C5): {instead}")
        if re.search(r'["=,\x00-\x1f\x7f]', self.key):
            raise ValueError(
                f"the key {self.key!r} holds a double quote, '=', a comma, a tab or a newline (C2, C6): {instead}"
            )
        if self.value is not None and (not self.value or re.search(r'["\x00-\x1f\x7f]', self.value)):
            raise ValueError(
                f"the value of the constant signal '{self.key}' is empty or holds a double quote, tab or newline (C6)"
            )
        return self


class Tokens(Section):
    """A list of trait IDs or integration codes: from a column, or the same for every row."""

    column: str | None = None
    """The column that holds the list."""
    separator: str = "|"
    """Between the items in the column's text; a Parquet list column needs none."""
    value: str | None = None
    """A constant item."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(core, handler)
        return {"anyOf": [{"type": ["string", "integer"]}, handler.resolve_ref_schema(described)]}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        if isinstance(data, str):
            return {"column": data}
        if isinstance(data, int) and not isinstance(data, bool):
            return {"value": str(data)}
        return data

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError('an item is a column name, { column = "…", separator = "|" } or a constant')
        if (
            len(self.separator) != 1
            or not self.separator.isascii()
            or self.separator.isalnum()
            or self.separator in '"\r\n'
        ):
            raise ValueError(
                "a separator is one ASCII character, neither letter nor digit nor double quote nor line end"
            )
        return self


class Traits(Tokens):
    """Trait IDs: digits only (C3)."""

    @model_validator(mode="after")
    def _digits(self) -> Self:
        if self.value is not None and not re.fullmatch("[0-9]+", self.value):
            raise ValueError(f"the trait ID '{self.value}' is not digits only (C3)")
        return self


class Codes(Tokens):
    """Integration codes: text without comma, quotes and control characters."""

    @model_validator(mode="after")
    def _clean(self) -> Self:
        if self.value is not None and not re.fullmatch(r'[^",\x00-\x1f\x7f]+', self.value):
            raise ValueError("an integration code has no comma, no double quote, no tab and no newline (C2)")
        return self


class Record(Section):
    """What a row says about its user."""

    signals: tuple[Signal, ...] = ()
    """Key-value pairs: a column name, `{ column, key }`, or a constant `{ key, value }`."""
    traits: Annotated[
        tuple[Traits, ...], BeforeValidator(as_list, json_schema_input_type=Traits | tuple[Traits, ...])
    ] = ()
    """Traits to add, `d_sid=…`: a column name, `{ column, separator }`, or a number for every row."""
    removed_traits: Annotated[
        tuple[Traits, ...], BeforeValidator(as_list, json_schema_input_type=Traits | tuple[Traits, ...])
    ] = ()
    """Traits to remove, `d_unsid=…`; Audience Manager ignores them in overwrite mode (C4)."""
    integration_codes: Annotated[
        tuple[Codes, ...], BeforeValidator(as_list, json_schema_input_type=Codes | tuple[Codes, ...])
    ] = ()
    """Traits by integration code, `ic=…`."""
    rows: Literal["user"] = "user"
    """A row is a user."""
    on_bad_value: Literal["clean", "drop", "reject"] = "clean"
    """For a value with a tab, newline, other control character or double quote: make each run of control
    characters one space and each double quote a single quote; drop the pair; or reject the row."""
    comma: str = "keep"
    """A comma inside a value: `keep` it, within its quotes, or replace it by this text."""

    @field_validator("comma")
    @classmethod
    def _clean_comma(cls, comma: str) -> str:
        if comma != "keep" and re.search(r'[",\x00-\x1f\x7f]', comma):
            raise ValueError("what replaces a comma holds no comma, double quote, tab or newline")
        return comma

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said at all."""
        return not (self.signals or self.traits or self.removed_traits or self.integration_codes)


class Where(Section):
    """Where files go, and how they get there."""

    to: str = ""
    """A folder, or `s3://BUCKET/PREFIX`, `ftp://`, `ftps://` or `sftp://USER@HOST/FOLDER`.

    With `environment`, the scheme alone (`s3://`, `sftp://USER@`); S3, when left out."""
    environment: Environment | None = None
    """`production` or `beta`: Adobe's own buckets and hosts. Needs `partner`."""
    partner: str = ""
    """The name that Adobe gave you: on S3, what keys begin with (N5)."""
    uploads: Annotated[int, Field(ge=1, le=64), BeforeValidator(no_truth)] = 2
    """How many parts may be made or on their way at once. Each may take `max_part_bytes` of disk until it arrived."""
    bandwidth: Annotated[
        int | None,
        BeforeValidator(parse_size, json_schema_input_type=int | str | None),
        BeforeValidator(no_truth),
        Field(ge=1000),
    ] = None
    """The most bytes a second that are sent, such as `"10MB"`, in all; no limit, when left out."""
    retry_seconds: Annotated[float, Field(ge=0)] = 600
    """For how long, in seconds of waiting, what may pass is tried again."""
    publish: Literal["end", "each"] = "end"
    """`end`: all parts become visible together, once every row is accounted for; `each`: each when it is whole."""

    @field_validator("partner")
    @classmethod
    def _one_segment(cls, partner: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9!_.*'() -]*", partner):
            raise ValueError("a partner's name is part of a key: letters, digits and - _ . only")
        return partner

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        scheme, _, rest = self.to.partition("://")
        if self.environment is None:
            if not self.to:
                raise ValueError(f"output.to is missing{flag_for('output.to')}.")
            return self
        if not self.partner:
            raise ValueError("output.partner is missing: output.environment needs the name that Adobe gave you (N5).")
        if self.to and (rest.rpartition("@")[2].strip("/") or not place(self.environment, scheme.lower())):
            raise ValueError(
                f"output.to is '{mask_password(self.to)}', but output.environment says where to: leave output.to out "
                f"for S3, or give the scheme alone, such as {_places(self.environment)}."
            )
        return self

    @property
    def url(self) -> str:
        """Where to, whole: with the bucket or the host of the environment."""
        if self.environment is None:
            return self.to
        scheme, _, rest = (self.to or "s3://").partition("://")
        user, at, _ = rest.rpartition("@")
        return f"{scheme}://{user}{at}{place(self.environment, scheme.lower())}"


class Route(Section):
    """Where IDs of a type go: the data sources in the names of their files."""

    dpid: Annotated[int, Field(ge=0), BeforeValidator(no_truth)] | None = None
    """The data source of these IDs; that of the type, when left out."""
    target: Annotated[int, Field(ge=0), BeforeValidator(no_truth)] | None = None
    """The data source that the traits belong to; needed where `dpid` is a global data source (N4)."""

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: object) -> object:
        return {"dpid": data} if isinstance(data, int) and not isinstance(data, bool) else data


class Output(Where):
    """What is written, and where to."""

    dpid: Annotated[int, Field(ge=0), BeforeValidator(no_truth)] | None = None
    """The data source whose IDs are in the file (N1); synchronisation files have several, in `sync.columns`."""
    kind: Kind = "data"
    """The kind of inbound file: `data`; `id-sync` or `c2c-id-sync`, which need `[sync]`; `odc` for Oracle Data
    Cloud."""
    odc_type: Annotated[str, Field(pattern=r"^[a-z0-9_]*$")] = ""
    """What lines of an `odc` file begin with (C13): `idfa` or `gaid` by the type of the IDs, when left out."""
    mode: Mode = "sync"
    """`sync` adds to what Audience Manager knows, `overwrite` replaces it."""
    target: Annotated[int, Field(ge=0), BeforeValidator(no_truth)] | None = None
    """The data source that the traits belong to; needed where `dpid` is a global data source (N4)."""
    route: dict[Literal["uuid", "gaid", "idfa", "hashed_email", "crm"], Route] = Field(default_factory=dict)
    """Where IDs of each type go, for `id.type = "auto"`: `crm = { dpid = 1234 }`. Each gets files of its own."""
    timestamp: Annotated[int, BeforeValidator(no_truth)] | None = None
    """UNIX seconds, UTC, 10 digits (N2); now, when left out."""
    compression: Literal["gzip", "none", "pgp"] = "gzip"
    """`gzip` (Z1), `none`, or `pgp`: compressed and encrypted (N8, Z2) for the key that `pgp.key` names."""
    compression_level: Literal["fast", "balanced", "small"] = "balanced"
    """How much work compression takes upon itself: the README has the speed and the size of each."""
    max_part_bytes: Annotated[
        int, BeforeValidator(parse_size, json_schema_input_type=int | str), BeforeValidator(no_truth)
    ] = PART_BYTES_BEST.value
    """The most that a part may have as sent; at most 1 GB."""
    max_part_raw_bytes: Annotated[
        int, BeforeValidator(parse_size, json_schema_input_type=int | str), BeforeValidator(no_truth)
    ] = PART_RAW_BYTES_BEST.value
    """The most that a part may have before compression; at most 5 GB."""

    _check_bytes = field_validator("max_part_bytes")(_at_most(PART_BYTES))
    _check_raw_bytes = field_validator("max_part_raw_bytes")(_at_most(PART_RAW_BYTES))

    @field_validator("timestamp")
    @classmethod
    def _ten_digits(cls, timestamp: int | None) -> int | None:
        if timestamp is not None and not 10 ** (TIMESTAMP_DIGITS.value - 1) <= timestamp < 10**TIMESTAMP_DIGITS.value:
            raise ValueError("a timestamp is UNIX seconds with 10 digits, such as 1366545717 (N2)")
        return timestamp

    @model_validator(mode="after")
    def _target_for_global(self) -> Self:
        if self.dpid is not None and self.dpid in GLOBAL_DATA_SOURCES and self.target is None:
            type_ = GLOBAL_DATA_SOURCES[self.dpid]
            raise ValueError(
                f"output.target is missing: {self.dpid} is the global data source of IDs of type {type_.name}, "
                "so the file must name the data source that the traits belong to (N4)."
            )
        return self


class S3(Section):
    """How parts are written to S3."""

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
    ) = None
    """A canned ACL. From one's own AWS account to Adobe's bucket: `bucket-owner-full-control` (Z4)."""
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Encryption at rest; what the bucket does by itself, when left out."""
    kms_key_id: str | None = None
    """The KMS key for `sse = "aws:kms"`."""
    storage_class: str | None = None
    """Such as `STANDARD_IA`; the bucket's own, when left out."""
    endpoint_url: str | None = None
    """Of another service that speaks S3; the variable `AWS_ENDPOINT_URL` works too."""
    region: str | None = None
    """The bucket's region; by the usual settings of AWS, when left out."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket's name is in the path or in the host name."""
    role_arn: str | None = None
    """A role to take on, with the credentials that the usual settings of AWS give."""
    part_size: Annotated[
        int, BeforeValidator(parse_size, json_schema_input_type=int | str), BeforeValidator(no_truth)
    ] = 8 << 20
    """How much is sent at once, in bytes; at least 5 MiB. More where a file would have over 10,000 such parts."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection, and for the server to go on."""

    @field_validator("part_size")
    @classmethod
    def _parts_of_s3(cls, size: int) -> int:
        if not 5 << 20 <= size <= 5 << 30:
            raise ValueError("S3 takes parts of 5 MiB to 5 GiB")
        return size

    @model_validator(mode="after")
    def _key_for_kms(self) -> Self:
        if self.kms_key_id and self.sse not in ("aws:kms", "aws:kms:dsse"):
            raise ValueError("s3.kms_key_id needs s3.sse = 'aws:kms'.")
        return self


class FileServer(Section):
    """How parts are written to a server that knows files by name."""

    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection, and for the server to go on."""
    partial_suffix: Name = ".partial"
    """What names end in until all parts are published. Some servers act on any name: choose one that yours leaves."""

    @field_validator("partial_suffix")
    @classmethod
    def _harmless_suffix(cls, suffix: str) -> str:
        if "/" in suffix or not suffix.isprintable() or re.fullmatch(r"\.(gz|gpg|pgp|sync|overwrite)|\.[0-9]+", suffix):
            raise ValueError("a suffix has no slash, and is none that an inbound file may end in")
        return suffix


class Ftp(FileServer):
    """How parts are written by FTP and FTPS."""

    passive: bool = True
    """Whether the server says where data goes; if not, it connects back to this machine."""
    tls_ca_file: str | None = None
    """A file with the certificates to trust, in place of the system's."""
    read_back: bool = True
    """Whether a part sent by plain FTP, which notices no damage, is read again and compared."""


class Sftp(FileServer):
    """How parts are written by SFTP."""

    key_file: str | None = None
    """The private key; else those of the SSH agent, and then `~/.ssh/id_*`."""
    key_passphrase: str | None = None
    """The passphrase of the key, such as `${KEY_PASSPHRASE}`."""
    known_hosts: str | None = None
    """The file of known host keys; `~/.ssh/known_hosts`, when left out."""
    host_key_fingerprint: str | None = None
    """The host key to accept, as `ssh-keygen -l` shows it: `SHA256:…`. No file of known hosts is needed then."""

    @field_validator("host_key_fingerprint")
    @classmethod
    def _sha256_fingerprint(cls, fingerprint: str | None) -> str | None:
        if fingerprint is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", fingerprint):
            raise ValueError("a fingerprint is as `ssh-keygen -l` shows it, SHA256: and 43 characters")
        return fingerprint


class Pgp(Section):
    """How parts are encrypted, with `output.compression = "pgp"`."""

    key: str | None = None
    """The file with the public key of the recipient, in ASCII armour or binary: Adobe's, as a rule."""


class Report(Section):
    """What is told about the run."""

    dir: str = "reports"
    """The folder for the report and the rejects."""
    max_rejects: str = "10%"
    """The most rows, as a number or in per cent, that may be rejected; more, and nothing is published."""
    show_rows: bool = False
    """Whether the rejects hold the text of rows that could not be taken apart; the file is then private."""

    @field_validator("max_rejects", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number_or_percent(cls, most: object) -> object:
        text = str(most).strip()
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%|[0-9]+", text)
        if not match or (match[1] and float(match[1]) > 100):
            raise ValueError('a number of rows, such as 1000, or a share of them, such as "10%"')
        return text

    def allows(self, rejected: int, read: int) -> bool:
        """Whether a run may go out with so many rows rejected of those read."""
        if self.max_rejects.endswith("%"):
            return rejected * 100 <= Decimal(self.max_rejects[:-1]) * read
        return rejected <= int(self.max_rejects)


class Run(Section):
    """How the machine is used."""

    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(no_truth)] | None = None
    """Threads for compression and conversion; one a core, when left out. The bytes are the same."""
    spill_dir: str | None = None
    """The folder for temporary files, such as parts that are on their way; the system's, when left out."""
    memory: Annotated[
        int,
        BeforeValidator(parse_size, json_schema_input_type=int | str),
        BeforeValidator(no_truth),
        Field(ge=10**6),
    ] = 512 * 10**6
    """For what must see all rows of a user at once: beyond so many bytes rows wait in `spill_dir`."""


class Job(Document):
    """A job, whole: what is read, what is made of it, where it goes.

    `Job(input={…}, id={…}, …)`, `Job.load(path)` and the flags of the command line make the same. Raises
    `JobError`, with one sentence for each thing that is wrong.
    """

    input: Input
    id: UserId | None = None
    record: Record = Field(default_factory=Record)
    sync: Sync | None = None
    output: Output
    privacy: Privacy = Field(default_factory=Privacy)
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    pgp: Pgp = Field(default_factory=Pgp)
    report: Report = Field(default_factory=Report)
    run: Run = Field(default_factory=Run)

    def __init__(self, /, **data: Any) -> None:  # said again for type checkers, who would make one of the fields
        super().__init__(**data)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        """See that the sections are those of the kind of file."""
        for problem in _of_sync(self) if self.output.kind.endswith("id-sync") else _of_data(self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _no_removal_in_overwrite(self) -> Self:
        if self.record.removed_traits and self.output.mode == "overwrite":
            raise ValueError(
                "record.removed_traits cannot be used with output.mode 'overwrite': Audience Manager ignores "
                "d_unsid there, since what is not in the file is removed anyway (C4)."
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

    @property
    def threads(self) -> int:
        """How many threads convert, and how many compress."""
        return self.run.threads or os.cpu_count() or 1

    @property
    def digest(self) -> str:
        """What tells one job from another: a digest of what decides which bytes go where, and of no secret."""
        known = self.model_dump(mode="json", include={"input", "id", "record", "sync", "privacy", "pgp"})
        known["output"] = self.output.model_dump(mode="json", exclude=set(Where.model_fields))
        known["place"] = _place(self.output, self.s3)
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def ids(self) -> tuple[Id, ...]:
        """The IDs of a line, in their order."""
        return self.sync.columns if self.sync else (self.id,) if self.id else ()

    @property
    def dpids(self) -> tuple[int, ...]:
        """The data sources of the IDs, in the order of the file's name (N1, N6), or of the routes."""
        if self.sync:
            return tuple(column.source for column in self.sync.columns)
        return tuple(source for _, source, _ in self.routes)

    @property
    def needs_users(self) -> bool:
        """Whether something must see all rows of a user: lines that gather them, or counts."""
        collisions = self.id is not None and self.id.case_collisions != "off"
        return collisions or self.sync is not None

    @property
    def routes(self) -> tuple[tuple[str, int, int | None], ...]:
        """The sets of files that a data job makes: the type of their IDs, their data source, and that of the traits."""
        output = self.output
        if not output.route:
            return ((self.ids[0].type if self.ids else "", output.dpid or 0, output.target),)
        return tuple(
            (name, route.dpid if route.dpid is not None else ID_TYPES[name].dpid or 0, route.target)
            for name, route in output.route.items()
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The input columns that the job uses, the IDs' first, each once."""
        items: tuple[Signal | Tokens, ...] = (
            *self.record.signals,
            *self.record.traits,
            *self.record.removed_traits,
            *self.record.integration_codes,
        )
        signals = (item.column for item in items if item.column is not None)
        date = [self.sync.date] if self.sync and self.sync.date else []
        return tuple(dict.fromkeys([*(id_.column for id_ in self.ids), *signals, *date]))

    @property
    def warnings(self) -> list[str]:
        """What is allowed but most likely not meant, in sentences."""
        found = []
        if self.output.environment == "beta":
            found.append(BETA_WARNING)
        if self.output.url.lower().startswith(("ftp://", "ftps://")):
            found.append(FTP_WARNING)
        if self.sync:
            keys = [f"sync.columns[{number}]" for number in range(len(self.sync.columns))]
            sources = [(f"{key}.dpid", f"{key}.type", id_.type) for key, id_ in zip(keys, self.ids, strict=True)]
        elif self.output.route:
            sources = [(f"output.route.{name}.dpid", "the route", name) for name in self.output.route]
        else:
            sources = [("output.dpid", "id.type", id_.type) for id_ in self.ids if id_.type != "auto"]
        for (key, type_key, name), dpid in zip(sources, self.dpids, strict=False):
            type_ = ID_TYPES[name]
            if type_.dpid is not None and dpid != type_.dpid:
                found.append(f"IDs of type {type_.name} belong to the data source {type_.dpid}, but {key} is {dpid}.")
            owner = GLOBAL_DATA_SOURCES.get(dpid)
            if owner and owner.name != type_.name:
                found.append(f"The data source {dpid} is for IDs of type {owner.name}, but {type_key} is {type_.name}.")
        return found


def _of_data(job: Job) -> Iterator[str]:
    """Say what is wrong with a job for a file of users and what is known of them."""
    kind, output = job.output.kind, job.output
    if job.sync:
        yield f"[sync] is for output.kind 'id-sync' and 'c2c-id-sync', but output.kind is '{kind}'."
    if job.id is None:
        yield f"id is missing{flag_for('id')}."
    elif kind == "odc" and job.id.type not in ODC_TYPES:
        yield f"id.type is '{job.id.type}'; files for Oracle Data Cloud hold IDs of type idfa or gaid (C13)."
    if output.route:
        yield from _of_routes(job)
    elif output.dpid is None:
        yield f"output.dpid is missing{flag_for('output.dpid')}."
    elif job.id and job.id.type == "auto" and output.publish == "each":
        yield (
            "output.publish is 'each', but where id.type is 'auto' only the end shows whether all IDs are of one type: "
            "give output.route, or publish at the end."
        )
    if output.odc_type and kind != "odc":
        yield f"output.odc_type is for output.kind 'odc', but output.kind is '{kind}'."
    if "record" not in job.model_fields_set:
        yield f"record is missing{flag_for('record')}."
    if job.record.is_empty:
        yield (
            "record names no signals and no traits, so there is nothing to send: "
            "give record.signals or record.traits (--signal COLUMN, --trait COLUMN or a trait ID)."
        )


def _of_routes(job: Job) -> Iterator[str]:
    """Say what is wrong with the routes of a job."""
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


def _of_sync(job: Job) -> Iterator[str]:
    """Say what is wrong with a job for an ID synchronisation file."""
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
        yield f"output.mode is '{output.mode}', but synchronisation files are always 'sync' (N6)."
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
            f"sync.columns[0] is of type {types[0].name}, but the first column holds device IDs, else synchronisation "
            "may go wrong (C14): change the order, or set sync.allow_customer_master = true."
        )
    if kind == "id-sync" and job.sync.date:
        yield "sync.date is for output.kind 'c2c-id-sync', whose rows are gathered."
    names = [column.column for column in job.sync.columns]
    if len(set(names)) < len(names):
        yield f"sync.columns names the column '{next(name for name in names if names.count(name) > 1)}' twice."
    sources = list(job.dpids)
    if len(set(sources)) < len(sources):
        yield f"sync.columns has the data source {next(d for d in sources if sources.count(d) > 1)} twice."


def _place(where: Where, s3: S3) -> list[str | None]:
    """Return what tells one place from another, without user and password."""
    return [_USER.sub("://", where.url), where.partner, s3.endpoint_url]


_OF_JOBS = set(Job.model_fields) - {"output", "s3", "ftp", "sftp", "report", "run"}


class Transfer(Document):
    """How files that exist already are sent: the part of a job file that says where to and how."""

    output: Where
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    report: Report = Field(default_factory=Report)
    run: Run = Field(default_factory=Run)

    def __init__(self, /, **data: Any) -> None:  # said again for type checkers, as above
        super().__init__(**data)

    @property
    def place(self) -> list[str | None]:
        """What tells one place from another, without user and password."""
        return _place(self.output, self.s3)

    @classmethod
    def _of_it(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Leave out what a job file says of the input and of what is made of it."""
        of_jobs = set(Output.model_fields) - set(Where.model_fields)
        known = {key: value for key, value in data.items() if key not in _OF_JOBS}
        if isinstance(output := known.get("output"), Mapping):
            known["output"] = {key: value for key, value in output.items() if key not in of_jobs}
        return known


_OF_IDS = {"input", "id", "output", "privacy", "report", "run"}


class SyncJob(Job):
    """The IDs of a job, for what is made of them but a file: the input, the ID, its data source, what may be rejected.

    What else a job says is left out, so that its file can be used as it is.
    """

    def __init__(self, /, **data: Any) -> None:
        known = {key: value for key, value in data.items() if key in _OF_IDS or key not in Job.model_fields}
        output = known.get("output", {})
        if isinstance(output, Output):
            output = output.model_dump(include={"dpid"})
        if isinstance(output, Mapping):
            kept = {key: value for key, value in output.items() if key == "dpid" or key not in Output.model_fields}
            # Nothing is sent; a target is what names of files need where the data source is a global one (N4).
            known["output"] = {**kept, "to": "-", "target": 0}
        known["record"] = {"signals": [{"key": "synchronised", "value": "by HTTP"}]}
        super().__init__(**known)


class Comparison(Document):
    """Whose IDs are compared: `input` is the CRM's, as in a job, and `site` the web site's; of which type they are."""

    input: Input
    site: Input
    id_type: IdTypeName = "crm"
    run: Run = Field(default_factory=Run)

    def __init__(self, /, **data: Any) -> None:  # said again for type checkers, as above
        super().__init__(**data)


def _places(environment: Environment) -> str:
    return " or ".join(f"'{scheme}://'" for scheme in ("s3", "ftp", "sftp") if place(environment, scheme))
