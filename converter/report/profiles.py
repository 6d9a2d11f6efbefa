"""What a table was found to hold: its files, its columns, and which of these may be the ID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

Use: TypeAlias = Literal["id", "signal", "list", "traits", "none"]
"""What a column may be in a job: the ID, a signal, a signal with several values, a list of trait IDs, or nothing."""


class InspectedFile(NamedTuple):
    """A file of the table, or another input of it.

    `size` is in bytes, `None` where it is not known. `certainty` says how certain the encoding is; it is empty where
    it was given, or the format has none. `separator`, `quote` and `escape` are those of delimited text.
    """

    path: str
    size: int | None
    format: str
    encoding: str = ""
    certainty: str = ""
    separator: str = ""
    quote: str = ""
    escape: str = ""
    header: bool = True


class ShownValue(NamedTuple):
    """A frequent value, masked where it may be personal, and its share of the rows that have a value, from 0 to 1."""

    text: str
    share: float
    masked: bool


class ColumnProfile(NamedTuple):
    """What a sample shows of a column.

    `type` is what its values are, `stored` the type of the column in the input. `empty` is the share of rows without a
    value, from 0 to 1. `distinct` is how many different values the whole table has, about, unless `distinct_exact`.
    `personal` says what personal data it seems to hold, and `doubts` what is implausible. `use` is what a job may do
    with it, and `why`; `key` is the key of a signal, `separator` that of the items of a list in a text.
    """

    name: str
    type: str
    stored: str
    empty: float
    distinct: int | None
    distinct_exact: bool
    values: Sequence[ShownValue] = ()
    personal: str = ""
    doubts: Sequence[str] = ()
    use: Use = "none"
    why: str = ""
    key: str = ""
    separator: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as plain data."""
        return {
            **self._asdict(),
            "empty": round(self.empty, 6),
            "values": [{**each._asdict(), "share": round(each.share, 6)} for each in self.values],
            "doubts": list(self.doubts),
        }


class PossibleId(NamedTuple):
    """A column that may hold the user IDs, as settings of `[id]`, and why it may.

    `rejected` is the share of the sampled rows that would be rejected because of it, from 0 to 1.
    """

    column: str
    type: str
    settings: Mapping[str, Any]
    why: Sequence[str]
    rejected: float = 0.0

    @property
    def section(self) -> dict[str, Any]:
        """The section `[id]` of a job."""
        return {"column": self.column, "type": self.type, **self.settings}

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"id": self.section, "why": list(self.why), "rejected": round(self.rejected, 6)}
