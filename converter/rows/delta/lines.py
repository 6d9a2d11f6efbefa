"""Lines of users in memory: taken, and turned into strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.pool import Bytes
from converter.kernel.sink import Positions
from converter.rows.delta.keyed import fields_at


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
        starts, counts = self.starts, np.diff(self.firsts)[taken]
        first, last = self.firsts[:-1][taken], self.firsts[1:][taken] - 1
        # Users who follow each other are copied at once.
        breaks = np.flatnonzero(np.diff(taken) != 1)
        edges = zip(
            starts[first[np.concatenate([[0], breaks + 1])]].tolist() if len(taken) else [],
            self.ends[last[np.concatenate([breaks, [len(taken) - 1]])]].tolist() if len(taken) else [],
            strict=True,
        )
        pieces = [self.lines[start:end] for start, end in edges]
        firsts = np.concatenate([[0], np.cumsum(counts)])
        of_lines = np.repeat(first - firsts[:-1], counts) + np.arange(firsts[-1])
        ends = np.cumsum((self.ends - starts)[of_lines])
        return Users(np.concatenate([np.zeros(0, np.uint8), *pieces]), ends, firsts)


def id_places(users: Users, skipped: int) -> tuple[Positions, Positions]:
    """Return where the ID of each user starts and ends, behind `skipped` fields of its first line."""
    return fields_at(users.lines, users.starts[users.firsts[:-1]], skipped)


def signals_in(users: Users, skipped: int) -> pl.Series:
    """Return what stands behind the ID of each line (String), without its newline."""
    _, ends = fields_at(users.lines, users.starts, skipped)
    return texts_at(users.lines, ends + 1, users.ends - 1)


def texts_at(text: Bytes, starts: Positions, ends: Positions) -> pl.Series:
    """Return parts of a text as strings."""
    import pyarrow as pa  # here, since few jobs need it

    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text[places]))]
    series = pl.from_arrow(pa.LargeStringArray.from_buffers(len(starts), buffers[1], buffers[2]))
    assert isinstance(series, pl.Series)  # noqa: S101 - for the type checker: of an array
    return series
