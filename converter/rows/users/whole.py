"""Whole users: their lines, all of them together."""

from __future__ import annotations

from typing import NamedTuple

from converter.columns.buffers import Text
from converter.kernel.sink import Positions


class WholeUsers(NamedTuple):
    """All users of a set of files whose hashes are in a range, with all of their lines.

    They come in the order of the hashes of their IDs (`spill.hashes_of`), and of the IDs where these are equal. `users`
    are the indices in `text` of the first line of each user, and after the last one the number of lines; `rows` is how
    many rows of the input each user has in the lines. `set` is the index of the set, `hashes` the range.
    """

    text: Text
    users: Positions
    rows: Positions
    hashes: range
    set: int = 0
