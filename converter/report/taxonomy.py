"""The keys and values of data as a report: counts, and what a list of known ones does not have; as data and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import polars as pl

from converter.errors import Finding
from converter.report import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a key: how often it occurs, at least and at most; these differ where values were too many."""

    value: str
    count: int
    at_most: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A key and a value that the list does not have: how often they occur, at least, and what differs.

    `known` is the key and the value of the list that differ by case alone, if there are some.
    """

    key: str
    value: str
    count: int
    known: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        known = {"key": self.known[0], "value": self.known[1]} if self.known else None
        return {"key": self.key, "value": self.value, "count": self.count, "known": known}


class Key(NamedTuple):
    """A key: in how many `signals` it is, its `values`, the most frequent first, and whether these are all.

    Where they are not, a value that is not among them occurs at most `error` times.
    """

    key: str
    signals: int
    values: Sequence[Value]
    error: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all values are listed, with exact counts."""
        return not self.error

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        values = [asdict(each) for each in self.values]
        return {"key": self.key, "signals": self.signals, "whole": self.is_whole, "error": self.error, "values": values}


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """The keys of data and their values, with counts.

    `inputs` are the files read. `lines` are those that were parsed; `malformed_lines` lack the fields of their kind of
    file, and `malformed_signals` are not signals. `personal` is how many signals have a value that looks like personal
    data, by the kind; such values are masked. `rows` has the counts of rows where a table was read by a job: `read`,
    `written`, `rejected` and `skipped`. With a list, `unknown` are keys and values that it does not have, and
    `unknown_signals` in how many signals they are, exactly; `case` are those that differ by case alone.
    """

    inputs: Sequence[str]
    lines: int
    malformed_lines: int
    malformed_signals: int
    personal: Mapping[str, int]
    frame: pl.DataFrame = field(repr=False)
    """`key`, `value`, `count` and `at_most`, by key, the most frequent values first."""
    totals: pl.DataFrame = field(repr=False)
    """`key`, `total` and `error`."""
    other_keys: int = 0
    rows: Mapping[str, Any] | None = None
    unknown: Sequence[Unknown] = ()
    unknown_signals: int = 0
    case: Sequence[Unknown] = ()
    warnings: list[Finding] = field(default_factory=list)

    @property
    def signals(self) -> int:
        """The number of signals that were parsed."""
        return int(self.totals["total"].sum()) + self.other_keys

    def listed(self, most: int | None = None) -> Iterator[Key]:
        """Yield the keys in their order, each with at most so many of its values."""
        first = self.frame.group_by("key", maintain_order=True).head(most) if most is not None else self.frame
        by_key: dict[str, list[Value]] = {}
        for key, *value in first.select("key", "value", "count", "at_most").iter_rows():
            by_key.setdefault(key, []).append(Value(*value))
        for key, total, error in self.totals.select("key", "total", "error").iter_rows():
            yield Key(key, total, by_key.get(key, []), error)

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many values of each key are listed."""
        return dict(self.frame.group_by("key").len().iter_rows())

    def as_dict(self) -> dict[str, Any]:
        """Return the taxonomy as plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "inputs": list(self.inputs),
            "rows": self.rows,
            "lines": self.lines,
            "malformed_lines": self.malformed_lines,
            "signals": self.signals,
            "malformed_signals": self.malformed_signals,
            "signals_of_other_keys": self.other_keys,
            "personal": dict(self.personal),
            "keys": [key.as_dict() for key in self.listed()],
            "unknown_signals": self.unknown_signals,
            "unknown": [each.as_dict() for each in self.unknown],
            "case": [each.as_dict() for each in self.case],
            "warnings": [each.as_dict() for each in self.warnings],
        }

    def csv(self) -> bytes:
        """Return all keys and values as CSV: `key`, `value`, `count` and `at_most`."""
        return self.frame.write_csv().encode()
