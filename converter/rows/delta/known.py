"""Lines that were last sent for users with one line: they are recognized as they come, and need not be gathered.

What a user has is only known once all of its lines have come. So where a line is omitted, and another line of the same
user comes, all lines are read once more, and those of such users are taken in (`lacking`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converter.columns.pool import Bytes
from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions
from converter.rows.delta.changes import due_days
from converter.rows.delta.keyed import keyed_hashes
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import PastUsers
from converter.rows.lookup import NONE

BYTES_A_USER = 48
"""How much memory a user takes at most: 28 bytes the state, 8 the sorted hash, 4 its index, 2 the table, 6 notes."""
_LEAST_BITS = 10
_LAST = np.uint64((1 << 64) - 1)


class KnownLines:
    """The lines of the users of all files of a set. Workers call it at the same time."""

    def __init__(self, files: Sequence[PastUsers], options: DeltaOptions) -> None:
        self._files = files
        self._options = options
        self._firsts = np.cumsum([0, *(len(file.lines) for file in files)])
        lines = np.concatenate([file.lines for file in files])
        days = np.concatenate([file.days for file in files])
        random = np.concatenate([file.frame["second"].to_numpy() for file in files])
        rows = np.flatnonzero(options.today - days < due_days(random, options.refresh_days))
        rows = rows[np.argsort(lines[rows])]
        self._lines: Hashes = np.append(lines[rows], _LAST)
        self._rows = np.append(rows, NONE).astype(np.int32)
        bits = max(len(rows).bit_length() - 1, _LEAST_BITS)
        self._shift = np.uint64(64 - bits)
        counts = np.bincount((self._lines[:-1] >> self._shift).astype(np.int64), minlength=1 << bits)
        self._starts = (np.cumsum(counts) - counts).astype(np.uint32)
        self._are_omitted, self._are_touched = np.zeros((2, len(lines)), np.bool_)
        self._last = np.zeros(len(lines), np.int32)  # the last line of a user in a block
        self._lacking: npt.NDArray[np.bool_] | None = None
        self._lock = threading.Lock()

    def taken(self, lines: Bytes, ends: Positions) -> npt.NDArray[np.bool_]:
        """Return which lines are to be taken in: the unknown ones or, the second time, those that are lacking."""
        starts = np.concatenate([[0], ends[:-1]])
        found = self._find(keyed_hashes(lines, starts, ends, self._options.key)[:, 0])
        known = np.flatnonzero(found != NONE)
        if self._lacking is not None:
            are_taken = np.zeros(len(ends), np.bool_)
            are_taken[known] = self._lacking[found[known]]
            return are_taken
        are_taken = np.ones(len(ends), np.bool_)
        users = found[known]
        with self._lock:  # of equal lines one is omitted
            is_new = ~self._are_omitted[users]
            self._last[users] = known
            is_new &= self._last[users] == known
            self._are_omitted[users] = True
        are_taken[known[is_new]] = False
        return are_taken

    def note(self, lines: Bytes, ends: Positions, numbers: Positions) -> None:
        """Note whose lines were taken in; `numbers` are those of the files that their users belong to."""
        starts = np.concatenate([[0], ends[:-1]])
        hashes = keyed_hashes(lines, starts, ends, self._options.key, self._options.skipped)
        for number in np.unique(numbers).tolist():
            found = self._files[number].find(hashes[numbers == number])
            self._are_touched[self._firsts[number] + found[found != NONE]] = True

    def lacks_lines(self) -> bool:
        """Return whether a line of a user was omitted who has others, once all lines were read.

        Then they are to be read once more.
        """
        lacking = self._are_omitted & self._are_touched
        if not lacking.any():
            return False
        self._lacking = lacking
        self._are_omitted &= ~lacking
        return True

    def omitted(self, number: int) -> npt.NDArray[np.bool_]:
        """Return which users of a file are as they were, so that their lines were omitted."""
        return self._are_omitted[self._firsts[number] : self._firsts[number + 1]]

    def _find(self, lines: Hashes) -> Positions:
        """Return the indices of users by the hashes of their lines, `NONE` where there is none."""
        found = np.full(len(lines), NONE, np.int64)
        rows = np.arange(len(lines))
        places = self._starts[lines >> self._shift].astype(np.int64)
        while len(rows):  # hashes with the same leading bits follow each other: there are one or two, mostly
            there, wanted = self._lines[places], lines[rows]
            is_it = there == wanted
            found[rows[is_it]] = self._rows[places[is_it]]
            follows = there < wanted
            rows, places = rows[follows], places[follows] + 1
        return found
