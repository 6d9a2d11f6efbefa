"""How the loop is called that sees the users of inbound files. The structure is that of `kernel.h`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_int64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from converter.columns.pool import Bytes
from converter.kernel.earlier import Keys
from converter.kernel.sink import Positions

ANY_ID, NUMBER_ID, LOWER_DEVICE, UPPER_DEVICE, HASHED_ID = 1, 2, 4, 8, 16
"""What types IDs have the form of: bits. Those of devices are distinguished by the case of their letters."""


class SeenStructure(ctypes.Structure):
    """`struct aam_seen`."""

    _fields_ = [
        ("key", c_void_p),
        ("counters", c_void_p),
        *((name, c_int64) for name in ("counter_count", "bits", "skipped", "most", "pairs")),
        ("keys", c_void_p),
        ("numbers", c_void_p),
        *((name, c_int64) for name in ("room", "count", "lines", "kinds", "differs")),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {"see_users": (c_void_p, c_int64, POINTER(SeenStructure))}
"""The entry of the library, and what it takes."""


class Seen(NamedTuple):
    """What was seen: the types of IDs (bits), and whether the first fields of lines differ.

    `numbers` and `keys` are those of lines whose users may have too many: the lines before each, and their hashes.
    """

    kinds: int
    differs: bool
    numbers: Positions
    keys: Keys


def see_users(entry: Callable[..., int], text: Bytes, size: int, structure: SeenStructure, *, finds: bool) -> Seen:
    """Call the loop, with a structure of which other threads may use copies. Raises `SystemError`."""
    room = int(np.count_nonzero(text[:size] == ord("\n"))) if finds else 0
    keys, numbers = np.empty((room, 2), np.uint64), np.empty(room, np.int64)
    called = SeenStructure.from_buffer_copy(structure)
    called.room = room
    if finds:
        called.keys, called.numbers = keys.ctypes.data, numbers.ctypes.data
    if status := entry(text.ctypes.data, size, called):
        raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
    return Seen(called.kinds, bool(called.differs), numbers[: called.count], keys[: called.count])
