"""The IDs of synchronization files that belong together: those that have more others than Audience Manager keeps.

Lines are counted in limited memory, as those of users are (`converter.parts.line_users`). The pairs of IDs whose
counter is above a limit are taken out of the lines in a second reading, to be counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.kernel.form import SLACK
from converter.parts.line_users import Counted, UserCounters
from converter.parts.problems import Positions
from converter.spec.files import CUSTOMER_OVER, DEVICE_OVER, HASHES_OVER, MOST_HASHES, FileRule
from converter.spec.ids import GLOBAL_DATA_SOURCES
from converter.spec.names import FileName
from converter.spec.rules import CUSTOMERS_OF_DEVICE, DEVICES_OF_CUSTOMER

_OF_AUDIENCE_MANAGER = "^[0-9]{38}$"
_NEWLINE = ord("\n")
PAIR = {"key": pl.UInt64, "more": pl.UInt64, "value": pl.UInt64, "line": pl.Int64}
"""Pairs of a relation: two hashes of the ID whose others are counted, one of the other, and the line, from 1."""


class Relation(NamedTuple):
    """The IDs of a column, and how many others in another one they may have; `None` stands for all after it."""

    rule: FileRule
    column: int
    other: int | None
    most: int


def relations_of(name: FileName) -> list[Relation]:
    """Return what is counted in files with a name: addresses of customers (I4), customers of devices and back (I5)."""
    if name.kind == "c2c-id-sync":
        return [Relation(HASHES_OVER, 0, None, MOST_HASHES)]
    if name.kind != "id-sync":
        return []
    devices = [column for column, dpid in enumerate(name.dpids) if dpid in GLOBAL_DATA_SOURCES]
    customers = [column for column, dpid in enumerate(name.dpids) if dpid not in (0, *GLOBAL_DATA_SOURCES)]
    return [
        relation
        for device, customer in product(devices, customers)
        for relation in (
            Relation(CUSTOMER_OVER, customer, device, DEVICES_OF_CUSTOMER),
            Relation(DEVICE_OVER, device, customer, CUSTOMERS_OF_DEVICE),
        )
    ]


class PairCounters(UserCounters):
    """Counters of lines by the IDs of synchronization files. Threads may share it."""

    @property
    def may_be_over(self) -> bool:
        """Whether an ID may have more others than it may."""
        return bool(self._counters.max() > min(CUSTOMERS_OF_DEVICE, DEVICES_OF_CUSTOMER, MOST_HASHES))

    def count(self, name: FileName, chunk: bytes) -> None:
        """Count the lines of a chunk, which ends in `SLACK` bytes more."""
        for column in {relation.column for relation in relations_of(name)}:
            self._look(f"{name.stem} {column}", chunk, Counted(column, pairs=True), finds=False)

    def pairs(self, name: FileName, chunk: bytes, relation: Relation) -> pl.DataFrame:
        """Return the pairs of a chunk (`PAIR`) whose ID may have too many others.

        IDs of the form of Audience Manager's own belong to devices, in any data source, and are none of customers.
        """
        what = Counted(relation.column, relation.most, pairs=True)
        seen = self._look(f"{name.stem} {relation.column}", chunk, what, finds=True)
        if not len(seen.numbers):
            return pl.DataFrame(schema=PAIR)
        lines = pl.DataFrame({"text": [*_lines_at(chunk, seen.numbers)], "line": seen.numbers + 1})
        fields = pl.col("text").str.split("\t").list
        others = fields.slice(relation.column + 1) if relation.other is None else fields.slice(relation.other, 1)
        pairs = lines.select("line", id=fields.get(relation.column, null_on_oob=True), other=others).explode("other")
        customer = {CUSTOMER_OVER: "id", DEVICE_OVER: "other"}.get(relation.rule)
        kept = pl.col("other").is_not_null() & (pl.col("other") != "")
        if customer:
            kept &= ~pl.col(customer).str.contains(_OF_AUDIENCE_MANAGER)
        return pairs.filter(kept).select(
            key=pl.col("id").hash(0), more=pl.col("id").hash(1), value=pl.col("other").hash(0), line=pl.col("line")
        )


def _lines_at(chunk: bytes, numbers: Positions) -> Iterator[str]:
    """Yield the lines of a chunk with so many lines before them, without line endings."""
    ends = np.flatnonzero(np.frombuffer(chunk, np.uint8)[: len(chunk) - SLACK] == _NEWLINE)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    for start, end in zip(starts[numbers].tolist(), ends[numbers].tolist(), strict=True):
        yield chunk[start:end].decode(errors="replace").removesuffix("\r")
