"""What is written, and where."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from converter.errors import JobError
from converter.jobs.document import Section
from converter.jobs.messages import flag_for
from converter.jobs.paths import PathKey, expand_home, is_url, why_malformed
from converter.jobs.secrets import mask_password
from converter.jobs.values import Dpid, Number, PathText, Size
from converter.spec.environments import Environment, server
from converter.spec.ids import GLOBAL_DATA_SOURCES
from converter.spec.limits import (
    PART_BYTES,
    PART_BYTES_BEST,
    PART_RAW_BYTES,
    PART_RAW_BYTES_BEST,
    TIMESTAMP_DIGITS,
    Limit,
)
from converter.spec.names import Kind, Mode

_SMALLEST_PART = 100


def _at_most(limit: Limit) -> Any:
    def check(size: int) -> int:
        if not _SMALLEST_PART <= size <= limit.value:
            raise ValueError(
                f"a part has at least {_SMALLEST_PART} and at most {limit.value:,} {limit.unit} "
                f"({limit.code}, {limit.page})"
            )
        return size

    return check


class Target(Section):
    """Where files go, and how they are delivered."""

    to: Annotated[str, PathKey(stays=lambda text: is_url(text) or bool(why_malformed(text)))] = ""
    """A folder, or `s3://BUCKET/PREFIX`, `ftp://`, `ftps://` or `sftp://USER@HOST/FOLDER`; see
    docs/delivery.md. With `output.environment`, only a scheme (`sftp://USER@`); by default `s3://`."""
    environment: Environment | None = None
    """`production` or `beta`: the buckets and hosts of Adobe. Needs `output.partner`."""
    partner: str = ""
    """Your partner name at Adobe, with which keys on S3 begin (N5)."""
    uploads: Annotated[Number, Field(ge=1, le=64)] = 2
    """The number of parts that may be made or uploaded at the same time, over as many connections. Each may need
    `output.max_part_bytes` of disk space until it is uploaded. To S3, as many pieces are sent at the same time, also of
    one part."""
    bandwidth: Annotated[Size, Field(ge=1000)] | None = None
    """The maximum total upload rate in bytes per second, such as `"10MB"`; by default unlimited."""
    retry_seconds: Annotated[float, Field(ge=0)] = 600
    """The total time to wait, in seconds, while temporary failures are retried."""
    publish: Literal["end", "each"] = "end"
    """`end`: all parts become visible together, once every row is accounted for; `each`: each part does as soon as
    it is complete."""

    allow_both_modes: bool = False
    """Whether `.sync` and `.overwrite` files of one data source may go to one place on one day, although Audience
    Manager may process them in either order (T2); see docs/guards.md."""

    @field_validator("to")
    @classmethod
    def _well_formed(cls, to: str) -> str:
        try:
            to, why = expand_home(to), why_malformed(to)
        except ValueError as error:
            why = f"cannot be a folder: {error}"
        if why:
            shown = mask_password(to)
            raise JobError(
                "E-TO-MALFORMED",
                f"output.to is '{shown}', which {why}.",
                "" if is_url(to) or to.startswith("/") else f"For a folder of this name, write './{shown}'.",
            )
        return to

    @field_validator("partner")
    @classmethod
    def _one_segment(cls, partner: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9!_.*'() -]*", partner):
            raise ValueError("a partner's name is part of a key: letters, digits and - _ . only")
        return partner

    @model_validator(mode="after")
    def _has_destination(self) -> Self:
        scheme, _, rest = self.to.partition("://")
        if self.environment is None:
            if not self.to:
                raise ValueError(f"output.to is missing{flag_for('output.to')}.")
            return self
        if not self.partner:
            raise ValueError("output.partner is missing: output.environment needs your partner name at Adobe (N5).")
        if self.to and (rest.rpartition("@")[2].strip("/") or not server(self.environment, scheme.lower())):
            raise ValueError(
                f"output.to is '{mask_password(self.to)}', but output.environment sets the destination: remove "
                f"output.to for S3, or give only a scheme, such as {_schemes(self.environment)}."
            )
        return self

    @property
    def url(self) -> str:
        """The URL of the destination, with the bucket or the host of the environment."""
        if self.environment is None:
            return self.to
        scheme, _, rest = (self.to or "s3://").partition("://")
        user, at, _ = rest.rpartition("@")
        return f"{scheme}://{user}{at}{server(self.environment, scheme.lower())}"


class Route(Section):
    """Where IDs of one type go: the data sources in the names of their files."""

    dpid: Dpid | None = None
    """The data source of these IDs; by default that of the type."""
    target: Dpid | None = None
    """The data source that the traits belong to; needed where `dpid` is a global data source (N4)."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(core, handler)
        return {"anyOf": [{"type": "integer"}, handler.resolve_ref_schema(described)]}

    @model_validator(mode="before")
    @classmethod
    def _from_dpid(cls, data: object) -> object:
        return {"dpid": data} if isinstance(data, int) and not isinstance(data, bool) else data


class Output(Target):
    """What is written, and where to."""

    dpid: Dpid | None = None
    """The data source of the IDs in the file (N1); synchronization files have several, in `sync.columns`."""
    kind: Kind = "data"
    """The kind of file: `data`; `id-sync` or `c2c-id-sync`, which need `[sync]` (N6); `odc` for Oracle Data Cloud
    (N7)."""
    odc_type: Annotated[str, Field(pattern=r"^[a-z0-9_]*$")] = ""
    """What the lines of an `odc` file begin with (C13); by default `idfa` or `gaid`, by the type of the IDs."""
    mode: Mode = "sync"
    """`sync` adds to what Audience Manager knows of a user, `overwrite` replaces it."""
    target: Dpid | None = None
    """The data source that the traits belong to; needed where `output.dpid` is a global data source (N4)."""
    route: dict[Literal["uuid", "gaid", "idfa", "hashed_email", "crm"], Route] = Field(default_factory=dict)
    """For `id.type = "auto"`: the data source of each type of ID, such as `{ crm = 1234, gaid = { target = 1234 }
    }`. Each type gets its own files."""
    force: bool = False
    """Whether IDs of one type may go to the global data source of another type."""
    timestamp: Number | None = None
    """UNIX seconds in UTC, 10 digits (N2); by default the current time."""
    compression: Literal["gzip", "none", "pgp"] = "gzip"
    """`gzip` (Z1), `none`, or `pgp`: compressed and encrypted (N8, Z2) for the key in `pgp.key`; see
    docs/delivery.md."""
    compression_level: Literal["fast", "balanced", "small"] = "balanced"
    """`fast`, `balanced` or `small`; docs/speed.md compares them."""
    max_part_bytes: Size = PART_BYTES_BEST.value
    """The maximum size of a part as sent; at most 1 GB."""
    max_part_raw_bytes: Size = PART_RAW_BYTES_BEST.value
    """The maximum size of a part before compression; at most 5 GB."""

    _check_bytes = field_validator("max_part_bytes")(_at_most(PART_BYTES))
    _check_raw_bytes = field_validator("max_part_raw_bytes")(_at_most(PART_RAW_BYTES))

    @field_validator("timestamp")
    @classmethod
    def _ten_digits(cls, timestamp: int | None) -> int | None:
        if timestamp is not None and not 10 ** (TIMESTAMP_DIGITS.value - 1) <= timestamp < 10**TIMESTAMP_DIGITS.value:
            raise ValueError("a timestamp is UNIX seconds with 10 digits, such as 1366545717 (N2)")
        return timestamp

    @model_validator(mode="after")
    def _global_needs_target(self) -> Self:
        if self.dpid is not None and self.dpid in GLOBAL_DATA_SOURCES and self.target is None:
            type_ = GLOBAL_DATA_SOURCES[self.dpid]
            raise ValueError(
                f"output.target is missing: {self.dpid} is the global data source of IDs of type {type_.name}, "
                "so the file must name the data source that the traits belong to (N4)."
            )
        return self


class Pgp(Section):
    """How parts are encrypted, with `output.compression = "pgp"`."""

    key: Annotated[PathText | None, PathKey()] = None
    """The file with the public key of the recipient, in ASCII armor or binary; required with `output.compression =
    "pgp"`."""


def _schemes(environment: Environment) -> str:
    return " or ".join(f"'{scheme}://'" for scheme in ("s3", "ftp", "sftp") if server(environment, scheme))
