"""Keys of lines and of their users: hashes, by which they are compared.

A key has 120 bits of SipHash, whose secret no one can know: of ten billion different texts, two have the same key with
a probability of 1e-16.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from converter.columns.buffers import Text, joined
from converter.kernel.calls import Hashes
from converter.kernel.earlier import Keys
from converter.rows.delta.keyed import KEY_BYTES, key_of, keyed_hashes
from converter.rows.users.lines import RowsOfLines, UserLines

_OF_USER = np.uint64((1 << 32) - 1)
"""The bits of the first word that are those of the user in the key of a line: so both are in the same partition.

The leading bits differ: by these keys are distributed in memory, where one user may have most lines.
"""


def partitions_of(keys: Keys) -> Hashes:
    """Return hashes of keys, which begin with the bits that a user and its lines have in common."""
    half = np.uint64(32)
    hashes: Hashes = keys[:, 0] << half | keys[:, 0] >> half
    return hashes


class LineKeys(NamedTuple):
    """The keys of some lines, where they are needed: of the lines themselves, and of their users."""

    lines: Keys | None
    users: Keys | None


class KeyedLines(NamedTuple):
    """The lines of a block for each set of files, with their keys."""

    lines: Sequence[UserLines]
    keys: Sequence[LineKeys]


class KeyMaker:
    """Makes keys of lines and of users, or of one of these. The ID of a line is after `skipped` other fields."""

    def __init__(self, skipped: int, *, of_lines: bool, of_users: bool) -> None:
        self._skipped = skipped
        self._of_lines, self._of_users = of_lines, of_users
        self._key = key_of(os.urandom(KEY_BYTES))

    def keyed(self, texts: Sequence[Sequence[Text]], rows: Sequence[RowsOfLines]) -> KeyedLines:
        """Return the lines of sets of files with their keys. Where lines are not traced, there are no `rows`."""
        lines = []
        for number, of_set in enumerate(texts):
            memory, ends = joined(of_set)
            at = rows[number].numbers.astype(np.uint64) if rows else np.zeros(0, np.uint64)
            lines.append(UserLines(memory, ends, at))
        return KeyedLines(lines, [self._keys(number, each) for number, each in enumerate(lines)])

    def _keys(self, set_: int, lines: UserLines) -> LineKeys:
        key = self._key + np.uint64(set_)  # a user of another set is another one
        starts = np.concatenate([np.zeros(1, np.int64), lines.ends[:-1]])[: len(lines.ends)]
        of_users = keyed_hashes(lines.text, starts, lines.ends, key, self._skipped) if self._of_users else None
        of_lines = keyed_hashes(lines.text, starts, lines.ends, key) if self._of_lines else None
        if of_users is not None and of_lines is not None:
            of_lines[:, 0] = of_users[:, 0] & _OF_USER | of_lines[:, 0] & ~_OF_USER
        return LineKeys(of_lines, of_users)
