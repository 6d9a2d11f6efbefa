"""What was sent for users before: a file of the state for each range of the IDs' hashes.

A row stands for a user:

| column | type | meaning |
|---|---|---|
| `first`, `second` | UInt64 | the keyed hash of the ID |
| `lines` | UInt64 | the keyed hash of all lines of the user |
| `day` | Int32 | the day on which they were last sent, in days since 1970-01-01 |
| `traits` | List(String) | the traits of the user, where traits are removed |
| `keys` | List(UInt32) | keyed hashes of the user's keys, and of other signals that cannot be taken back; there too |
| `id` | String | the ID as it is sent, where the traits of users who are gone are removed |

Rows are sorted by the keyed hash, so that their order says nothing about IDs.
"""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions
from converter.rows.lookup import NONE, find_pairs

FILES = 64
"""The number of files of a state: one for each value of the leading bits of the ID's hash (`spill.hashes_of`)."""
BITS = 6
FIRST_DAY = datetime.date(1970, 1, 1)
"""Days are counted from this one."""
SCHEMA = pl.Schema({"first": pl.UInt64, "second": pl.UInt64, "lines": pl.UInt64, "day": pl.Int32})
OF_TRAITS = pl.Schema({"traits": pl.List(pl.String), "keys": pl.List(pl.UInt32)})
OF_IDS = pl.Schema({"id": pl.String})


class PastUsers:
    """The users of one file of a state."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.lines: Hashes = frame["lines"].to_numpy()
        self.days: npt.NDArray[np.int32] = frame["day"].to_numpy()
        self._first: Hashes = frame["first"].to_numpy()
        self._second: Hashes = frame["second"].to_numpy()
        self.are_found = np.zeros(frame.height, np.bool_)
        """Which of them were looked for (`find`)."""

    @property
    def has_traits(self) -> bool:
        """Whether the traits of users are known."""
        return "traits" in self.frame.columns

    @property
    def gone(self) -> pl.DataFrame:
        """The users that were not looked for."""
        return self.frame.filter(pl.Series(~self.are_found, dtype=pl.Boolean))

    def find(self, hashes: Hashes) -> Positions:
        """Return the indices of users by the keyed hashes of their IDs, `NONE` where there is none; note who is found.

        Threads may look for different users at the same time.
        """
        first, second = hashes[:, 0], hashes[:, 1]
        found = find_pairs((self._first, self._second), (first, second), np.searchsorted(self._first, first))
        self.are_found[found[found != NONE]] = True
        return found


def file_schema(*, traits: bool, ids: bool) -> pl.Schema:
    """Return the columns of a state that has traits, or IDs."""
    return pl.Schema({**SCHEMA, **(OF_TRAITS if traits else {}), **(OF_IDS if ids else {})})


def sorted_users(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """Return the rows of a file, in their order."""
    return pl.concat([pl.DataFrame(schema=schema), *frames]).sort("first", "second")
