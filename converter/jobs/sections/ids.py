"""User IDs, and how they are normalized to the form that the web site sends."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from converter.jobs.document import Section
from converter.jobs.values import Dpid, Name, Number
from converter.spec.ids import ID_TYPES, Case, type_of

IdTypeName = Literal[
    "crm", "uuid", "ecid", "gaid", "idfa", "rida", "maid", "tifa", "fire", "lgudid", "vizio", "hashed_email"
]


class Id(Section):
    """The user ID of a row, and how it is normalized to the form that the web site sends (C12).

    The steps always have this order: decode, trim, unicode, cut_prefix, cut_suffix, remove, strip_zeros, pad,
    case, prefix, suffix, hash.
    """

    _name: ClassVar[str] = "id"

    column: Name
    """The column with the user IDs."""
    type: Literal[IdTypeName, "auto"] = "crm"
    """The type of the ID, whose form is checked: `crm`, `uuid`, `ecid`, `gaid`, `idfa`, `rida`, `maid`, `tifa`, `fire`,
    `lgudid`, `vizio` or `hashed_email`. Device IDs are written in the case that Adobe requires. `auto` detects the
    type of each row; `output.route` says where each type goes."""
    decode: bool = False
    """Whether to decode percent-encoding such as `%40`, once."""
    trim: bool = True
    """Whether to remove white space around the ID, including zero-width characters and byte order marks."""
    unicode: Literal["preserve", "nfc"] = "preserve"
    """Unicode normalization: `nfc` is normal form C."""
    cut_prefix: str = ""
    """A text to remove from the start of the ID."""
    cut_suffix: str = ""
    """A text to remove from the end of the ID."""
    remove: str = ""
    """Characters to remove anywhere in the ID, such as `"- ."`."""
    strip_zeros: bool = False
    """Whether to remove leading zeros; the last character always stays."""
    pad: Annotated[Number, Field(ge=1, le=256)] | None = None
    """The minimum number of characters; shorter IDs get leading zeros."""
    case: Case = "preserve"
    """`preserve`, `lower` or `upper`. IDs are case-sensitive: they must be exactly what the web site sends (C12)."""
    prefix: str = ""
    """A text to add before the ID."""
    suffix: str = ""
    """A text to add after the ID."""
    hash: Literal["sha256"] | None = None
    """`sha256`: replace the ID by its SHA-256 in lower-case hexadecimal; an ID that is such a hash stays. With the
    type `hashed_email` the ID is an e-mail address, which is trimmed and put in lower case before."""

    implausible: Literal["reject", "warn", "allow"] = "reject"
    """What happens to IDs that no web site sends: words for missing values (`NULL`), the name of the column, decimals
    (`1001.0`), numbers that a spreadsheet has rounded (`1.23457E+15`), formulas, templates (`{{id}}`). `reject` rejects
    their rows, `warn` counts them, `allow` does not look for them."""

    @model_validator(mode="after")
    def _required_case(self) -> Self:
        wanted = type_of(self.type).case
        if wanted and self.case not in ("preserve", wanted):
            raise ValueError(
                f"{self._name}.case is '{self.case}', but IDs of type {self.type} are always written in {wanted} case: "
                "remove the key."
            )
        return self

    @model_validator(mode="after")
    def _no_changes_for_auto(self) -> Self:
        given = [name for name in _NOT_FOR_AUTO if getattr(self, name)] if self.type == "auto" else []
        if given:
            raise ValueError(
                f"id.{given[0]} cannot be used where id.type is 'auto': it would change IDs of every type, those of "
                "devices among them."
            )
        return self

    @model_validator(mode="after")
    def _type_may_be_hashed(self) -> Self:
        if self.hash and self.type not in ("crm", "hashed_email"):
            raise ValueError(
                f"{self._name}.hash cannot be used for IDs of type {self.type}: only those of type crm and "
                "hashed_email may be hashes."
            )
        return self

    @field_validator("prefix", "suffix")
    @classmethod
    def _allowed_in_ids(cls, text: str) -> str:
        if re.search(r"[:\x00-\x20\x7f-\xa0\ufeff]|%3[Aa]", text):
            raise ValueError("user IDs contain no colon (or %3A), no space and no control character (I6)")
        return text


_NOT_FOR_AUTO = ("cut_prefix", "cut_suffix", "remove", "strip_zeros", "pad", "prefix", "suffix", "hash")


class UserId(Id):
    """The user ID of a data file."""

    case_collisions: Literal["off", "report", "reject"] = "off"
    """IDs that differ from each other only by case (C12): `report` counts them; `reject` rejects their rows, which
    reads the input twice."""


class SyncColumn(Id):
    """A column of an ID synchronization file: the IDs of one data source."""

    _name: ClassVar[str] = "sync.columns"

    type: IdTypeName = "crm"
    """The type of the ID, whose form is checked. Device IDs are written in the case that Adobe requires."""
    dpid: Dpid | None = None
    """The data source of these IDs; by default that of the type."""

    @model_validator(mode="after")
    def _has_data_source(self) -> Self:
        if self.dpid is None and ID_TYPES[self.type].dpid is None:
            raise ValueError(
                f"sync.columns needs a dpid for the column '{self.column}': IDs of type {self.type} have no "
                "global data source."
            )
        return self

    @property
    def source(self) -> int:
        """The data source of these IDs."""
        return self.dpid if self.dpid is not None else ID_TYPES[self.type].dpid or 0


class Sync(Section):
    """The columns of an ID synchronization file (N6, C14), instead of `[id]` and `[record]`."""

    columns: Annotated[tuple[SyncColumn, ...], Field(min_length=2)]
    """The columns in their order, instead of `[id]` and `[record]`: `{ column, type, dpid }` and the settings of
    `[id]`. The first is the master (N6). The file name limits their number: to 40 if the data sources have 3 digits."""
    date: Name | None = None
    """For `c2c-id-sync`: the column with the date of the row, in ISO 8601 (`2024-01-31`, `2024-01-31T13:05:00+02:00`,
    `20240131`; without an offset in UTC), in UNIX seconds or milliseconds, or as `31.01.2024`. The ten newest addresses
    of a customer are kept; by default the last ones of the input. An empty date is the oldest; a row whose date cannot
    be read is rejected."""
    date_format: str = ""
    """The format of `sync.date` where it is another one, such as `"%m/%d/%Y"`: that of
    [strftime](https://docs.rs/chrono/latest/chrono/format/strftime/)."""
    allow_customer_master: bool = False
    """Whether the first column of an `id-sync` file may hold customer IDs, where device IDs belong (C14)."""
