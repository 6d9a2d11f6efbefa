"""User IDs: what they are, and how they are brought into the form in which the web site sends them."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from converter.jobs.document import Section
from converter.jobs.values import Name, reject_bool
from converter.spec.ids import ID_TYPES, Case, type_of

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
    pad: Annotated[int, Field(ge=1, le=256), BeforeValidator(reject_bool)] | None = None
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
    """A column of an ID synchronization file: the IDs of a data source."""

    _name: ClassVar[str] = "sync.columns"

    type: IdTypeName = "crm"
    """What kind of ID it is: its form is checked, and device IDs take Adobe's case by themselves."""
    dpid: Annotated[int, Field(ge=0), BeforeValidator(reject_bool)] | None = None
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
    """The columns of an ID synchronization file (N6, C14), in place of an ID and what is known of it."""

    columns: Annotated[tuple[SyncColumn, ...], Field(min_length=2)]
    """The columns in their order, each `{ column, type, dpid }` and with the settings of an ID; the first is the
    master."""
    date: Name | None = None
    """For `c2c-id-sync`: the column that says from when a row is, in ISO 8601 or seconds of UNIX; the newest ten
    addresses of a customer are kept. The last ones of the input, when left out."""
    allow_customer_master: bool = False
    """Whether IDs of customers may stand in the first column of an `id-sync` file, where device IDs belong."""
