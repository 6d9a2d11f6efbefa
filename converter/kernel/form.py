"""The form of lines, in the structures of `kernel.h`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_int32, c_int64, c_uint8, c_void_p
from dataclasses import dataclass

import numpy as np

from converter.kernel.sink import Bytes

SLACK = 64
"""How many bytes must be readable behind a text."""
PAIR, TRAITS, CODES, CONSTANT = range(4)
"""Kinds of parts of a line: a value in quotes, a list of digits, a list of codes, a constant text."""
SCAN_NOTHING, SCAN_NUMBERS, SCAN_CARDS = range(3)
"""How closely IDs are scanned for personal data: numbers that could be those of cards are plain, or irregular."""


class _Part(ctypes.Structure):
    _fields_ = [
        ("prefix", c_void_p),
        ("prefix_bytes", c_int64),
        ("special", c_int64),
        ("kind", c_int32),
        ("column", c_int32),
        ("separator", c_uint8),
        ("scans", c_uint8),
        ("unused", c_uint8 * 6),
    ]


class FormStructure(ctypes.Structure):
    """`struct aam_form`."""

    _fields_ = [
        ("id_bytes", c_void_p),
        ("id_shape", c_void_p),
        ("parts", POINTER(_Part)),
        ("id_length", c_int64),
        ("part_count", c_int64),
        ("longest_line", c_int64),
        ("id_column", c_int32),
        ("id_scan", c_int32),
        ("id_not_zero", c_uint8),
        ("bad_byte", c_uint8),
        ("unused", c_uint8 * 6),
    ]


@dataclass(frozen=True)
class LinePart:
    """One part of a line: its `kind`, its column, the byte between its items, and what stands before each of them.

    `scans` says whether a value that may be personal data makes the row irregular.
    """

    kind: int
    column: int
    separator: int
    prefix: bytes
    scans: bool = False


class Form:
    """The form of a line, for columns by their number.

    `id_bytes` maps each byte of an ID to the byte to write, 0 where the ID is irregular; `id_shape` is empty, or as
    long as an ID must be, with a hyphen where one must stand; `id_not_zero` says that not all of it may be zeros, and
    `id_scan` (`SCAN_…`) whether it may be personal data. `bad_byte` may be in no value, beside quotes, at signs and
    control characters. `longest_line` is in bytes.
    """

    def __init__(
        self,
        id_column: int,
        id_bytes: Bytes,
        id_shape: bytes,
        parts: Sequence[LinePart],
        longest_line: int,
        *,
        id_not_zero: bool,
        id_scan: int,
        bad_byte: int,
    ) -> None:
        self.extra = 2 + sum(len(part.prefix) + 2 for part in parts)
        """The most bytes of a line, beside its values and the further items of its lists."""
        self._texts = [ctypes.create_string_buffer(part.prefix, len(part.prefix) + SLACK) for part in parts]
        self._shape = ctypes.create_string_buffer(id_shape, len(id_shape) + 1)
        self._id_bytes = np.ascontiguousarray(id_bytes)
        table = (_Part * len(parts))()
        for entry, part, text in zip(table, parts, self._texts, strict=True):
            around = part.prefix + (b'",' if part.kind == PAIR else b",")
            entry.prefix, entry.prefix_bytes = ctypes.addressof(text), len(part.prefix)
            entry.special = sum(byte < ord(" ") or byte in (ord('"'), ord("@"), bad_byte) for byte in around)
            entry.kind, entry.column, entry.separator, entry.scans = part.kind, part.column, part.separator, part.scans
        self.structure = FormStructure(
            id_bytes=self._id_bytes.ctypes.data,
            id_shape=ctypes.addressof(self._shape),
            parts=table,
            id_length=len(id_shape),
            part_count=len(parts),
            longest_line=longest_line,
            id_column=id_column,
            id_scan=id_scan,
            id_not_zero=id_not_zero,
            bad_byte=bad_byte,
        )


class LayoutStructure(ctypes.Structure):
    """`struct aam_layout`."""

    _fields_ = [
        ("slots", c_void_p),
        ("fields", c_int64),
        ("columns", c_int64),
        ("longest", c_int64),
        ("separator", c_uint8),
        ("unused", c_uint8 * 7),
    ]


class Layout:
    """The layout of delimited text.

    `slots` has for each field of a row the index of the job's column that it gives, or -1; there are `columns` columns.
    Quotes must be closed within `longest_row` bytes from the start of a row, unless the row is one physical line.
    """

    def __init__(self, separator: str, slots: Sequence[int], columns: int, longest_row: int) -> None:
        self.fields, self.columns = len(slots), columns
        self._slots = np.array([columns if slot < 0 else slot for slot in slots], np.int32)
        self.structure = LayoutStructure(
            slots=self._slots.ctypes.data,
            fields=len(slots),
            columns=columns,
            longest=longest_row,
            separator=ord(separator),
        )
