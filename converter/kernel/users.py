"""How the loop is called that says what is known of users by their lines.

The structures are those of `kernel.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_int64, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from converter.columns.pool import Bytes
from converter.kernel.sink import Positions

KEY_HASH_BYTES = 4
_ITEM_BYTES = 40
_KINDS = 4  # enum aam_of_user


class KeptStructure(ctypes.Structure):
    """`struct aam_kept`."""

    _fields_ = [
        ("bytes", c_void_p),
        ("room", c_int64),
        ("ends", c_void_p),
        ("ends_room", c_int64),
        ("used", c_int64),
    ]


class UsersStructure(ctypes.Structure):
    """`struct aam_users`."""

    _fields_ = [
        ("lines", c_void_p),
        ("size", c_int64),
        ("ends", c_void_p),
        ("count", c_int64),
        ("firsts", c_void_p),
        ("firsts_room", c_int64),
        ("skipped", c_int64),
        ("key", c_uint64 * 2),
        ("items", c_void_p),
        ("items_room", c_int64),
        ("kept", KeptStructure * _KINDS),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {"user_signals": (POINTER(UsersStructure),)}
"""The entry of the library, and what it takes."""


class Kept(NamedTuple):
    """Texts, or other bytes, one after the other, and where each of them ends."""

    bytes: Bytes
    ends: Positions


class UserSignals(NamedTuple):
    """What is known of users, each in the order of their lines.

    `ids` are texts, as are the traits that are `added` and `removed`, those of a user with commas between them. `keys`
    are hashes of four bytes (little-endian) of the keys of pairs with their quotes, and of other signals.
    """

    ids: Kept
    added: Kept
    removed: Kept
    keys: Kept


def user_signals(
    entry: Callable[..., int], lines: Bytes, ends: Positions, firsts: Positions, skipped: int, key: npt.NDArray[Any]
) -> UserSignals:
    """Call the loop. Raises `SystemError` where it refuses its arguments."""
    ends, firsts = np.ascontiguousarray(ends), np.ascontiguousarray(firsts)
    longest = min(int(np.diff(ends, prepend=0).max(initial=0)), len(lines))
    items = np.empty((longest + 1) * _ITEM_BYTES, np.uint8)
    users = max(len(firsts) - 1, 0)
    # A signal has two bytes with its comma, and a hash four. What is not used takes no memory.
    rooms = [len(lines), len(lines), len(lines), KEY_HASH_BYTES * (len(lines) // 2 + len(ends))]
    made = [Kept(np.empty(room, np.uint8), np.empty(users, np.int64)) for room in rooms]
    structure = UsersStructure(
        lines.ctypes.data,
        len(lines),
        ends.ctypes.data,
        len(ends),
        firsts.ctypes.data,
        len(firsts),
        skipped,
        (c_uint64 * 2)(*key.tolist()),
        items.ctypes.data,
        longest + 1,
        (KeptStructure * _KINDS)(
            *(KeptStructure(each.bytes.ctypes.data, len(each.bytes), each.ends.ctypes.data, users) for each in made)
        ),
    )
    if status := entry(structure):
        raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
    return UserSignals(
        *(Kept(each.bytes[: kept.used], each.ends) for each, kept in zip(made, structure.kept, strict=True))
    )
