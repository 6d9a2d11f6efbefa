"""How the loops are called that count keys, and say of lines what came before. The structures are those of `kernel.h`.

A key is two words (UInt64). The lowest byte of the second one is no part of it; in a table, its count is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Callable, Iterator
from ctypes import POINTER, c_int64, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from converter.kernel.gather import WRITTEN

Keys = npt.NDArray[np.uint64]
"""Keys, in two columns."""
COUNT_BITS = 8
MOST_COUNT = (1 << COUNT_BITS) - 1
"""Keys are counted up to it."""
_ENTRY_BYTES = 16
_SEGMENT_BITS = 6
_FIRST_ROOM = 1 << 10  # entries
_GROWTH = 1.5  # of a segment
_OK, _FULL = 0, 1


class SegmentStructure(ctypes.Structure):
    """`struct aam_segment`."""

    _fields_ = [("entries", c_void_p), ("room", c_int64), ("used", c_int64)]


class EarlierStructure(ctypes.Structure):
    """`struct aam_earlier`."""

    _fields_ = [
        ("segments", c_void_p),
        ("segment_count", c_int64),
        ("bits", c_int64),
        ("lines", c_void_p),
        ("users", c_void_p),
        *((name, c_int64) for name in ("count", "most_lines")),
        ("outcomes", c_void_p),
        *((name, c_int64) for name in ("outcomes_room", "done", "is_counted", "full", "over")),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "judge_lines": (POINTER(EarlierStructure),),
    "copy_keys": (POINTER(SegmentStructure), POINTER(SegmentStructure), c_int64),
}
"""The entries of the library, and what each takes."""


class EarlierKeys:
    """A table of keys that came before. Its methods run in one thread at a time.

    It has segments by the leading bits of keys, each of which grows on its own: so no more than one of them is in
    memory twice. `judge` and `copy` are the entries of `ENTRIES`.
    """

    def __init__(self, judge: Callable[..., int], copy: Callable[..., int]) -> None:
        self._judge, self._copy = judge, copy
        self._segments = (SegmentStructure * (1 << _SEGMENT_BITS))()
        # Of different sizes, so that they do not all grow at the same time.
        shares = (number / len(self._segments) for number in range(len(self._segments)))
        self._memory = [_entries(int(_FIRST_ROOM * _GROWTH**share)) for share in shares]
        for segment, memory in zip(self._segments, self._memory, strict=True):
            segment.entries, segment.room = memory.ctypes.data, len(memory)
        self.over = 0
        """How many users have more lines than a user may."""

    @property
    def size(self) -> int:
        """How many bytes of memory it takes."""
        return sum(memory.nbytes for memory in self._memory)

    def judge(self, lines: Keys | None, users: Keys | None, count: int, most_lines: int = 0) -> npt.NDArray[np.uint8]:
        """Take in `count` lines, and return what becomes of each: `WRITTEN`, `REPEATED` or `CUT`.

        `lines` are their keys, where repeated ones are to be found, and `users` those of their users, where these may
        have `most_lines`, fewer than `MOST_COUNT`, that are not repeated. Raises `SystemError` where the loop refuses
        its arguments, and `MemoryError`.
        """
        given = [None if keys is None else np.ascontiguousarray(keys) for keys in (lines, users)]
        if any(keys is not None and keys.shape != (count, 2) for keys in given):
            raise ValueError("A key is two words, and each line has one.")
        outcomes = np.full(count, WRITTEN, np.uint8)
        structure = EarlierStructure(
            ctypes.addressof(self._segments),
            len(self._segments),
            _SEGMENT_BITS,
            *(None if keys is None else keys.ctypes.data for keys in given),
            count,
            most_lines,
            outcomes.ctypes.data,
            count,
            over=self.over,
        )
        while status := self._judge(structure):
            if status != _FULL:
                raise _wrong_call(status)
            self._grow(structure.full)
        self.over = structure.over
        return outcomes

    def drain(self) -> Iterator[Keys]:
        """Yield the keys that are there with their counts, in the order of their leading bits, and release them."""
        for number, memory in enumerate(self._memory):
            yield memory[(memory[:, 1] & np.uint64(MOST_COUNT)) > 0]
            self._replace(number, _entries(_FIRST_ROOM))

    def _grow(self, number: int) -> None:
        """Copy a segment to a larger one."""
        segment = self._segments[number]
        memory = _entries(int(segment.room * _GROWTH))
        larger = SegmentStructure(memory.ctypes.data, len(memory))
        if status := self._copy(segment, larger, _SEGMENT_BITS):
            raise _wrong_call(status)
        self._replace(number, memory, larger.used)

    def _replace(self, number: int, memory: Keys, used: int = 0) -> None:
        self._segments[number] = SegmentStructure(memory.ctypes.data, len(memory), used)
        self._memory[number] = memory


def _entries(room: int) -> Keys:
    """Return free entries. Their memory is mapped, and unmapped when nothing refers to it: it leaves no holes."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        pages = mmap.mmap(-1, room * _ENTRY_BYTES, flags=flags)
    except OSError as error:  # elsewhere an `OSError` means that a file is damaged
        raise MemoryError from error
    with contextlib.suppress(AttributeError, OSError):  # not all systems have larger pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint64).reshape(-1, 2)


def _wrong_call(status: int) -> SystemError:
    return SystemError(f"A compiled loop was called in a wrong way ({status}).")
