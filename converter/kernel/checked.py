"""How the loop is called that finds the lines of inbound files that are not plain.

The structures are those of `kernel.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_int64, c_uint8, c_void_p
from typing import Any, NamedTuple

import numpy as np

from converter.columns.pool import Bytes
from converter.kernel.sink import Positions

_BYTES = 256
_ALLOWED, _HYPHEN = 1, 2  # bits of classes


class ShapeStructure(ctypes.Structure):
    """`struct aam_id_shape`."""

    _fields_ = [
        ("classes", c_void_p),
        ("shape", c_void_p),
        ("length", c_int64),
        ("scan", c_uint8),
        ("unused", c_uint8 * 7),
    ]


class LineFormStructure(ctypes.Structure):
    """`struct aam_line_form`."""

    _fields_ = [
        ("ids", POINTER(ShapeStructure)),
        ("id_count", c_int64),
        ("least_ids", c_int64),
        ("most_ids", c_int64),
        ("longest", c_int64),
        ("has_signals", c_uint8),
        ("removes", c_uint8),
        ("unused", c_uint8 * 6),
    ]


class DoubtedStructure(ctypes.Structure):
    """`struct aam_doubted`."""

    _fields_ = [
        ("numbers", c_void_p),
        ("starts", c_void_p),
        ("ends", c_void_p),
        ("room", c_int64),
        ("count", c_int64),
        ("lines", c_int64),
        ("signals", c_int64),
    ]


ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "check_lines": (c_void_p, c_int64, POINTER(LineFormStructure), POINTER(DoubtedStructure)),
}
"""The entry of the library, and what it takes."""


class IdShape(NamedTuple):
    """What an ID is: bytes of `allowed`, any number of them, or groups of these lengths with hyphens between them.

    With `scan`, an ID that may be personal data is not plain.
    """

    allowed: bytes
    groups: tuple[int, ...] = ()
    scan: bool = False


class LineForm:
    """What plain lines of an inbound file are: IDs, from `least` to `most` of them, and signals.

    The last of `ids` stands for all that follow. `longest` is the length of a line in bytes, with its newline; with
    `removes`, traits may be removed.
    """

    def __init__(
        self, ids: Sequence[IdShape], least: int, most: int, *, longest: int, has_signals: bool, removes: bool
    ) -> None:
        self._kept: list[Any] = []  # what the structure refers to
        table = (ShapeStructure * len(ids))()
        for entry, id_ in zip(table, ids, strict=True):
            classes = (c_uint8 * _BYTES)(*(_ALLOWED * (byte in id_.allowed) for byte in range(_BYTES)))
            if id_.groups:
                classes[ord("-")] |= _HYPHEN
            shape = bytes([_HYPHEN]).join(bytes([_ALLOWED]) * count for count in id_.groups)
            self._kept += [classes, kept := ctypes.create_string_buffer(shape)]
            entry.classes, entry.shape = ctypes.addressof(classes), ctypes.addressof(kept)
            entry.length, entry.scan = len(shape), id_.scan
        self._kept.append(table)
        self.structure = LineFormStructure(table, len(ids), least, most, longest, has_signals, removes)


class Doubted(NamedTuple):
    """The lines of a text that are not plain: how many lines are before each, and where it starts and ends.

    `lines` counts all lines of the text, and `signals` those of lines that are plain.
    """

    numbers: Positions
    starts: Positions
    ends: Positions
    lines: int
    signals: int


def doubted(entry: Callable[..., int], text: Bytes, size: int, form: LineForm) -> Doubted:
    """Call the loop. Raises `SystemError` where it refuses its arguments."""
    room = int(np.count_nonzero(text[:size] == ord("\n")))
    found = np.empty((3, room), np.int64)
    structure = DoubtedStructure(*(each.ctypes.data for each in found), room)
    if status := entry(text.ctypes.data, size, form.structure, structure):
        raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
    numbers, starts, ends = (each[: structure.count] for each in found)
    return Doubted(numbers, starts, ends, structure.lines, structure.signals)
