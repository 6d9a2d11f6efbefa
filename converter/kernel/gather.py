"""How the loops for whole users are called: lines partitioned by the hashes of their IDs, and gathered user by user.

The structures are those of `kernel.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, c_int64, c_uint8, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converter.columns.pool import Bytes, Pool
from converter.kernel.form import SLACK
from converter.kernel.sink import Positions

WRITTEN, CONFLICT, SEVERAL, CUT, SUPERSEDED, REPEATED = range(6)
"""What becomes of a signal, or of a row: the first of what becomes of its signals."""

_GIVEN = ("rows", "items", "text", "text_ends", "users", "user_rows", "outcomes")
MEMORY = ("order", "grouped", "grouped_ends", "hashes", *_GIVEN)
"""What is leased from a pool each."""
_OK, _FULL = 0, 1
_ROOMS = ("items", "text", "text_ends")  # enum aam_gather_room
_ENTRY_BYTES = {"items": 40, "text": 1, "text_ends": 8}
_ROW_BYTES = 16
_INTEGER = 8
_FEW_ITEMS = 4096
_GROWTH = 2
_COUNTS = ("text_bytes", "made", "user_count", "over")  # struct aam_gathered


class GatherStructure(ctypes.Structure):
    """`struct aam_gather`."""

    _fields_ = [
        ("lines", c_void_p),
        ("size", c_int64),
        ("ends", c_void_p),
        ("order", c_void_p),
        *((name, c_int64) for name in ("order_room", "count", "skipped", "most_line_bytes", "most_lines")),
        *((name, c_uint8) for name in ("by_signal", "reject_several", "drop_repeated")),
        ("unused", c_uint8 * 5),
        *(field for name in _GIVEN for field in ((name, c_void_p), (f"{name}_room", c_int64))),
        *((name, c_int64) for name in ("is_sorted", "done", "run", "lead", "bits", "full", "needed", *_COUNTS)),
        ("signals", c_int64 * 6),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "line_hashes": (c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p, c_int64),
    "partition_lines": (
        *(c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int64, c_int64),
        *(c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_int64, c_void_p, c_int64),
    ),
    "gather": (POINTER(GatherStructure),),
    "count_signals": (c_void_p, c_int64, c_void_p, c_int64, c_int64, POINTER(c_int64)),
}
"""The entries of the library, and what each takes."""


@dataclass(frozen=True)
class Partitioned:
    """Lines in groups, in memory that a pool leases.

    Group i has the lines from `edges[i]` to `edges[i + 1]`. `order` are their indices in the lines as given, and `ends`
    where they end in `lines`, in bytes.
    """

    order: Positions
    edges: Positions
    lines: Bytes
    ends: Positions


@dataclass(frozen=True)
class Gathered:
    """Lines of whole users, in the order of the hashes of their IDs, then of the IDs, in memory that a pool leases.

    `ends` are the offsets of the ends of lines. `users` has for each user with lines the index of the first one, and
    after them the number of lines; `rows` is how many rows of each such user are written. `outcomes` says for each row
    as given what became of it (`WRITTEN` …). `signals` counts signals by their outcome; where signals are gathered, all
    but one of those that are equal are `REPEATED`. `over` users have more lines than a user may.
    """

    text: Bytes
    ends: Positions
    users: Positions
    rows: Positions
    outcomes: npt.NDArray[np.uint8]
    signals: Sequence[int]
    over: int


class Gathering:
    """The memory and the arguments of one call, and what it gives.

    Beside lines and results, this takes 32 bytes for each line, and 80 to 120 for each line or signal of the user who
    has most of them.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        lines: Bytes,
        ends: Positions,
        order: npt.NDArray[Any] | None,
        **given: Any,
    ) -> None:
        self._pools = pools
        self._arrays: dict[str, Bytes] = {}
        ends = np.ascontiguousarray(ends)
        order = None if order is None else np.ascontiguousarray(order)  # int64 or uint64
        self._given = lines, ends, order  # which live as long
        count = len(ends)
        self._structure = GatherStructure(
            lines.ctypes.data,
            len(lines),
            ends.ctypes.data,
            None if order is None else order.ctypes.data,
            0 if order is None else len(order),
            count,
            **given,
        )
        self._lease("rows", 2 * count, _ROW_BYTES)
        self._lease("users", count + 1, _INTEGER)
        self._lease("user_rows", count, _INTEGER)
        self._lease("outcomes", count, 1)
        for name, room in zip(_ROOMS, (_FEW_ITEMS, len(lines) + SLACK, count), strict=True):
            self._lease(name, room, _ENTRY_BYTES[name])

    def call(self, entry: Callable[..., int]) -> Gathered:
        """Call the loop, with more room where it takes more. Raises `SystemError` where it refuses its arguments."""
        structure = self._structure
        while status := entry(structure):
            if status != _FULL:
                raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
            name = _ROOMS[structure.full]
            used = {"items": 0, "text": structure.text_bytes, "text_ends": structure.made * _INTEGER}[name]
            before = self._arrays[name]
            room = max(structure.needed, _GROWTH * getattr(structure, f"{name}_room"))
            self._lease(name, room, _ENTRY_BYTES[name])
            self._arrays[name][:used] = before[:used]
        return Gathered(
            self._arrays["text"][: structure.text_bytes],
            self._arrays["text_ends"].view(np.int64)[: structure.made],
            self._arrays["users"].view(np.int64)[: structure.user_count + 1],
            self._arrays["user_rows"].view(np.int64)[: structure.user_count],
            self._arrays["outcomes"],
            list(structure.signals),
            structure.over,
        )

    def _lease(self, name: str, room: int, entry_bytes: int) -> None:
        memory = self._arrays[name] = self._pools[name].lease(room * entry_bytes)
        setattr(self._structure, name, memory.ctypes.data)
        setattr(self._structure, f"{name}_room", room)
