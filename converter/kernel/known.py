"""How the loop is called that looks for lines that were sent before.

The structures are those of `kernel.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_int64, c_uint8, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from converter.columns.pool import Bytes
from converter.kernel.sink import Positions

OMITTED, TAKEN, DUE, LACKING = map(np.uint64, (1, 2, 4, 8))
"""What is noted of users (enum aam_note)."""
NOTES = np.uint64(15)
"""The bits of all notes."""
HASH_BITS = 64
MOST_BITS = 31


class PastStructure(ctypes.Structure):
    """`struct aam_past`."""

    _fields_ = [
        ("users", c_void_p),
        ("count", c_int64),
        ("starts", c_void_p),
        ("starts_room", c_int64),
        ("bits", c_int64),
    ]


class KnownStructure(ctypes.Structure):
    """`struct aam_known`."""

    _fields_ = [
        ("lines", c_void_p),
        ("size", c_int64),
        ("ends", c_void_p),
        ("count", c_int64),
        ("skipped", c_int64),
        ("key", c_uint64 * 2),
        ("files", POINTER(PastStructure)),
        ("files_room", c_int64),
        ("file_bits", c_int64),
        ("taken", c_void_p),
        ("taken_room", c_int64),
        ("taken_count", c_int64),
        ("is_again", c_uint8),
        ("unused", c_uint8 * 7),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "known_lines": (POINTER(KnownStructure),),
    "take_lines": (c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int64, c_void_p),
}
"""The entries of the library, and what each takes."""


class PastLines(NamedTuple):
    """Users whose lines were sent before, in the order of the first words of the keyed hashes of their IDs.

    `users` has two words for each: this one, and the first one of the hash of its lines, of which the lowest bits
    (`NOTES`) are what is noted of it (`OMITTED` …). `starts` says for each value of the leading `bits` of the hashes of
    IDs how many users are before it, and at the end how many users there are. Both arrays are contiguous.
    """

    users: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.uint32]
    bits: int

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """The words of the hashes of IDs."""
        ids: npt.NDArray[np.uint64] = self.users[:, 0]
        return ids

    @property
    def lines(self) -> npt.NDArray[np.uint64]:
        """The words of the hashes of lines, with notes in the lowest bits; those can be changed."""
        lines: npt.NDArray[np.uint64] = self.users[:, 1]
        return lines

    @property
    def structure(self) -> PastStructure:
        """As the loop takes it; the arrays must live as long."""
        addresses = self.users.ctypes.data, len(self.users), self.starts.ctypes.data
        return PastStructure(*addresses, len(self.starts), self.bits)


class KnownFiles:
    """The users of files, one for each value of the leading bits of the hash of an ID: two, or a power of two."""

    def __init__(self, files: Sequence[PastLines]) -> None:
        self.files = list(files)
        self.bits = (len(files) - 1).bit_length()
        self.structures = (PastStructure * len(files))(*(file.structure for file in files))

    def release(self, number: int) -> None:
        """Let a file have no users, and release its memory, while no loop is called."""
        self.files[number] = PastLines(np.zeros((0, 2), np.uint64), np.zeros(3, np.uint32), 1)
        self.structures[number] = self.files[number].structure


def unknown_lines(
    entry: Callable[..., int],
    lines: Bytes,
    ends: Positions,
    skipped: int,
    key: npt.NDArray[Any],
    known: KnownFiles,
    *,
    is_again: bool,
) -> Positions:
    """Call the loop; return the indices of lines. Raises `SystemError` where it refuses its arguments."""
    ends = np.ascontiguousarray(ends)
    taken = np.empty(len(ends), np.int64)
    structure = KnownStructure(
        lines.ctypes.data,
        len(lines),
        ends.ctypes.data,
        len(ends),
        skipped,
        (c_uint64 * 2)(*key.tolist()),
        known.structures,
        len(known.files),
        known.bits,
        taken.ctypes.data,
        len(taken),
        0,
        is_again,
    )
    if status := entry(structure):
        raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
    return taken[: structure.taken_count]
