"""What was sent for users before: a file of the state for each range of the IDs' hashes.

A row stands for a user:

| column | type | meaning |
|---|---|---|
| `first`, `second` | UInt64 | the keyed hash of the ID |
| `lines` | UInt64 | the keyed hash of all lines of the user |
| `day` | Int32 | the day on which they were last sent, in days since 1970-01-01 |
| `traits` | String | the traits of the user as its lines have them, with commas, where traits are removed |
| `keys` | Binary | keyed hashes of four bytes of its keys, and of other signals that cannot be taken back; there too |
| `id` | String | the ID as it is sent, where the traits of users who are gone are removed |

Rows are sorted by the keyed hash, so that their order says nothing about IDs. The last three columns, which take
most of the memory, are loaded where they are needed, of a file at a time.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Sequence

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
OF_TRAITS = pl.Schema({"traits": pl.String, "keys": pl.Binary})
OF_IDS = pl.Schema({"id": pl.String})


class PastUsers:
    """The users of one file of a state."""

    def __init__(self, frame: pl.DataFrame, load: Callable[[], pl.DataFrame] | None = None) -> None:
        """Take the rows of a file, by default with all of its columns, else without those that `load` returns."""
        self.frame = frame.select(SCHEMA.names())
        self.lines: Hashes = self.frame["lines"].to_numpy()
        self.days: npt.NDArray[np.int32] = self.frame["day"].to_numpy()
        self.first: Hashes = self.frame["first"].to_numpy()
        self.second: Hashes = self.frame["second"].to_numpy()
        others = frame.drop(SCHEMA.names())
        self._load = load or (lambda: others)
        self._loaded: pl.DataFrame | None = None
        self._lock = threading.Lock()
        self.are_found = np.zeros(frame.height, np.bool_)
        """Which of them were looked for (`find`)."""

    def others(self) -> pl.DataFrame:
        """Return the columns beside those of `frame`, as far as the state has them (`OF_TRAITS`, `OF_IDS`)."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def release(self) -> None:
        """Release the memory of these columns."""
        self._loaded = None

    def rows(self, chosen: npt.NDArray[np.bool_], names: Sequence[str]) -> pl.DataFrame:
        """Return some rows with some columns, in order."""
        are_here = set(names) <= set(SCHEMA.names())
        frame = self.frame if are_here else pl.concat([self.frame, self.others()], how="horizontal")
        frame = frame.select(names)
        return frame if chosen.all() else frame.filter(pl.Series(chosen, dtype=pl.Boolean))

    def find(self, hashes: Hashes) -> Positions:
        """Return the indices of users by the keyed hashes of their IDs, `NONE` where there is none; note who is found.

        Threads may look for different users at the same time.
        """
        first, second = hashes[:, 0], hashes[:, 1]
        found = find_pairs((self.first, self.second), (first, second), np.searchsorted(self.first, first))
        self.are_found[found[found != NONE]] = True
        return found


def file_schema(*, traits: bool, ids: bool) -> pl.Schema:
    """Return the columns of a state that has traits, or IDs."""
    return pl.Schema({**SCHEMA, **(OF_TRAITS if traits else {}), **(OF_IDS if ids else {})})


def sorted_users(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """Return the rows of a file, in their order."""
    rows = pl.concat([pl.DataFrame(schema=schema), *frames])
    first = rows["first"].to_numpy()
    if (first[1:] > first[:-1]).all():
        return rows
    order = np.argsort(first, kind="stable")  # which takes few steps where most of them are in order
    first = first[order]
    return rows[order] if (first[1:] > first[:-1]).all() else rows.sort("first", "second")
