"""Lines of users, those of each together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.pool import Bytes
from converter.kernel.sink import Positions
from converter.rows.users.lines import bytes_of, ids_of, lines_of, signals_in


class Users(NamedTuple):
    """Users with their lines, the lines of each together.

    `lines` is text, `ends` are where its lines end, and `firsts` the index of the first line of each user, and the
    number of lines.
    """

    lines: Bytes
    ends: Positions
    firsts: Positions

    @property
    def starts(self) -> Positions:
        """Where the lines start."""
        return np.concatenate([[0], self.ends[:-1]]) if len(self.ends) else self.ends

    @classmethod
    def joined(cls, parts: Sequence[Users]) -> Users:
        """Return the users of several parts, one after the other; of none, no users."""
        if len(parts) == 1:
            return parts[0]
        sizes = [int(part.ends[-1]) if len(part.ends) else 0 for part in parts]
        of_lines, of_users = np.cumsum([0, *sizes]), np.cumsum([0, *(len(part.ends) for part in parts)])
        lines = [part.lines[:size] for part, size in zip(parts, sizes, strict=True)]
        ends = [part.ends + of_lines[each] for each, part in enumerate(parts)]
        firsts = [part.firsts[1:] + of_users[each] for each, part in enumerate(parts)]
        return cls(
            np.concatenate([np.zeros(0, np.uint8), *lines]),
            np.concatenate([np.zeros(0, np.int64), *ends]),
            np.concatenate([np.zeros(1, np.int64), *firsts]),
        )

    def take(self, users: Positions | slice) -> Users:
        """Return some of the users, in order."""
        taken = np.arange(len(self.firsts) - 1)[users]
        if len(taken) == len(self.firsts) - 1:
            return self
        firsts = np.concatenate([[0], np.cumsum(np.diff(self.firsts)[taken])])
        of_lines = np.repeat(self.firsts[:-1][taken] - firsts[:-1], np.diff(firsts)) + np.arange(firsts[-1])
        text, ends = bytes_of(self.texts().gather(pl.Series(of_lines)))
        return Users(text, ends, firsts)

    def texts(self) -> pl.Series:
        """Return the lines as texts (String)."""
        return lines_of(self.lines, self.ends)

    def ids(self, skipped: int) -> pl.Series:
        """Return the ID of each user (String), after `skipped` fields of its first line."""
        return ids_of(self.texts().gather(pl.Series(self.firsts[:-1])), skipped)

    def signals(self) -> pl.Series:
        """Return the signals of each line (String), with commas between them."""
        return self.texts().to_frame("line").select(signals_in(pl.col("line"))).to_series()
