"""Lines that were last sent for users with one line: they are recognized as they come, and need not be gathered.

What a user has is only known once all of its lines have come. So where a line is omitted, and another line of the same
user comes, all lines are read once more, and those of such users are taken in (`lacking`).

Users are looked for by the hashes of their IDs, by which the files of a state are sorted: a table says where those with
the same leading bits are. So nothing is sorted, and files are loaded side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converter.kernel.calls import Hashes, Loops
from converter.kernel.known import DUE, HASH_BITS, LACKING, MOST_BITS, NOTES, OMITTED, TAKEN, KnownFiles, PastLines
from converter.kernel.sink import Positions
from converter.rows.delta.changes import due_days
from converter.rows.delta.keyed import keyed_hashes
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import PastUsers
from converter.rows.lookup import NONE, find_pairs
from converter.rows.users.lines import UserLines

BYTES_A_USER = 17
"""How much memory a user takes at most: 8 bytes the hash of the ID, 8 that of the lines with notes, 1 the table."""
_USERS_OF_BITS = 3  # in bits: 4 to 8 users have the same leading bits, which are two lines of the cache
_NONE = np.uint64(0)


def past_lines(past: PastUsers, options: DeltaOptions) -> PastLines:
    """Return the lines of the users of a file, in which they can be looked for."""
    bits = min(max(len(past.lines).bit_length() - _USERS_OF_BITS, 1), MOST_BITS)
    leading = (past.first >> np.uint64(HASH_BITS - bits)).astype(np.int64)
    starts = np.zeros((1 << bits) + 1, np.uint32)
    np.cumsum(np.bincount(leading, minlength=1 << bits), out=starts[1:])
    are_due = options.today - past.days >= due_days(past.second, options.refresh_days)
    users = np.stack([past.first, past.lines & ~NOTES | are_due.astype(np.uint64) * DUE], axis=1)
    return PastLines(users, starts, bits)


class KnownLines:
    """The lines of the users of all files of a set, in order. Workers call it at the same time."""

    def __init__(self, files: Sequence[PastLines], options: DeltaOptions) -> None:
        self._known = KnownFiles(files)
        self._options = options
        self._lock = threading.Lock()

    def taken(self, lines: UserLines, loops: Loops | None, *, is_again: bool) -> Positions:
        """Return which lines are to be taken in: the unknown ones or, the second time, those that are lacking."""
        options = self._options
        if not loops:
            return self._taken(lines, is_again=is_again)
        return loops.unknown_lines(lines.text, lines.ends, options.skipped, options.key, self._known, is_again=is_again)

    def lacks_lines(self) -> bool:
        """Return whether a line of a user was omitted who has others, once all lines were read.

        Then they are to be read once more.
        """
        lacks = False
        for file in self._known.files:
            are_lacking = file.lines & (OMITTED | TAKEN) == OMITTED | TAKEN
            file.lines[are_lacking] ^= OMITTED | LACKING
            lacks |= bool(are_lacking.any())
        return lacks

    def omitted(self, number: int) -> npt.NDArray[np.bool_]:
        """Return which users of a file are as they were, so that their lines were omitted."""
        are_omitted: npt.NDArray[np.bool_] = self._known.files[number].lines & OMITTED != _NONE
        return are_omitted

    def release(self, number: int) -> None:
        """Release the memory of a file, once all lines have come."""
        self._known.release(number)

    def _taken(self, lines: UserLines, *, is_again: bool) -> Positions:
        """As the loop does."""
        options = self._options
        starts = np.concatenate([np.zeros(1, np.int64), lines.ends])[: len(lines.ends)]
        ids = keyed_hashes(lines.text, starts, lines.ends, options.key, options.skipped)[:, 0]
        hashes = keyed_hashes(lines.text, starts, lines.ends, options.key)[:, 0]
        numbers = lines.hashes(options.skipped, None) >> np.uint64(HASH_BITS - self._known.bits)
        are_taken = np.zeros(len(ids), np.bool_)
        with self._lock:
            for number in np.unique(numbers).tolist():
                rows = np.flatnonzero(numbers == number)
                are_taken[rows] = _are_taken(self._known.files[number], ids[rows], hashes[rows], is_again=is_again)
        return np.flatnonzero(are_taken)


def _are_taken(file: PastLines, ids: Hashes, lines: Hashes, *, is_again: bool) -> npt.NDArray[np.bool_]:
    """Return which lines of users of a file are to be taken in, and note what becomes of them."""
    places = np.searchsorted(file.ids, ids)
    found = find_pairs((file.ids, file.lines | NOTES), (ids, lines | NOTES), places)
    known = np.flatnonzero(found != NONE)
    if is_again:
        are_lacking = np.zeros(len(ids), np.bool_)
        are_lacking[known] = file.lines[found[known]] & LACKING != _NONE
        return are_lacking
    are_taken = np.ones(len(ids), np.bool_)
    users, firsts = np.unique(found[known], return_index=True)  # of equal lines one is omitted
    is_new = file.lines[users] & (DUE | OMITTED) == _NONE
    are_taken[known[firsts[is_new]]] = False
    file.lines[users[is_new]] |= OMITTED
    users, ends = places[are_taken], np.searchsorted(file.ids, ids[are_taken], side="right")
    while (are_there := users < ends).any():  # several users of one hash are as good as never there
        users, ends = users[are_there], ends[are_there]
        file.lines[users] |= TAKEN
        users = users + 1
    return are_taken
