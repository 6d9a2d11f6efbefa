"""How the loops are called: with arrays, of which they get addresses and sizes. The structures are those of `kernel.h`.

Arrays live as long as a call. What is returned are views of memory that a pool leases.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_void_p
from typing import Any

import numpy as np

from converter.columns.buffers import Chunk
from converter.columns.pool import Pool
from converter.kernel.form import (
    CODES,
    CONSTANT,
    PAIR,
    SCAN_CARDS,
    SCAN_NOTHING,
    SCAN_NUMBERS,
    SLACK,
    TRAITS,
    Form,
    FormStructure,
    Layout,
    LayoutStructure,
    LinePart,
)
from converter.kernel.library import Library
from converter.kernel.sink import COUNTS, MEMORY, Bytes, Lines, Malformed, Parsed, Positions, Sink, Structure, Texts

__all__ = [
    "CODES",
    "CONSTANT",
    "PAIR",
    "SCAN_CARDS",
    "SCAN_NOTHING",
    "SCAN_NUMBERS",
    "SLACK",
    "TRAITS",
    "Bytes",
    "Form",
    "Layout",
    "LinePart",
    "Lines",
    "Loops",
    "Malformed",
    "Parsed",
    "Positions",
]

_OK, _FULL = 0, 1
_SPARE = 4096  # bytes of room for lines, for a few long ones among few rows
_GROWTH = 2


class _Views(ctypes.Structure):
    _fields_ = [
        ("views", c_void_p),
        ("rows", c_int64),
        ("buffers", c_void_p),
        ("sizes", c_void_p),
        ("buffer_count", c_int64),
    ]


class _Output(ctypes.Structure):
    _fields_ = [
        ("lines", c_void_p),
        ("lines_room", c_int64),
        ("ends", c_void_p),
        ("ends_room", c_int64),
        ("irregular", c_void_p),
        ("irregular_room", c_int64),
        ("irregular_text", c_void_p),
        ("irregular_text_room", c_int64),
        ("fields", c_void_p),
        ("fields_room", c_int64),
        ("rows", c_int64),
        ("made", c_int64),
        ("left_out", c_int64),
        ("signals", c_int64),
        ("missing", c_int64),
        ("changed", c_int64),
        ("irregular_text_bytes", c_int64),
    ]


class _Rows(ctypes.Structure):
    _fields_ = [("end", c_int64), ("rows", c_int64), ("inner", c_int64), ("regular", c_int64)]


_FIELD_BYTES = 24
_VIEW_BYTES = 16
_IRREGULAR = 3  # integers for each irregular row
ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "whole_rows": (c_void_p, c_int64, c_int64, c_uint8, POINTER(_Rows)),
    "is_utf8": (c_void_p, c_int64, POINTER(c_int64)),
    "delimited": (c_void_p, c_int64, POINTER(LayoutStructure), POINTER(FormStructure), c_int32, POINTER(Structure)),
    "delimited_lines": (c_void_p, c_int64, c_int64, c_uint8, c_int64, POINTER(FormStructure), POINTER(_Output)),
    "objects": (c_void_p, c_int64, c_char_p, c_void_p, c_int64, POINTER(FormStructure), POINTER(Structure)),
    "view_lines": (POINTER(_Views), c_int64, c_int64, POINTER(FormStructure), POINTER(Structure)),
    "merge_lines": (c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_int64),
}
"""The entries of the library, and what each takes."""


class Loops:
    """The compiled loops. A text begins at the start of a row; `SLACK` bytes of memory must follow it."""

    def __init__(self, library: Library) -> None:
        entries = {name: library.entry(name, arguments) for name, arguments in ENTRIES.items()}
        self._whole_rows, self._is_utf8 = entries["whole_rows"], entries["is_utf8"]
        self._delimited_lines, self._view_lines = entries["delimited_lines"], entries["view_lines"]
        self._delimited, self._objects = entries["delimited"], entries["objects"]
        self._merge_lines = entries["merge_lines"]
        self._pools = {name: Pool() for name in (*MEMORY, "irregular_text")}

    def whole_rows(self, text: Bytes, size: int, separator: int) -> tuple[int, int, int, bool]:
        """Find the rows that end within the first `size` bytes of `text`.

        Returns where the last of them ends, how many there are, how many newlines stand inside their quotes, and
        whether all that was seen is quoted regularly; where it is not, the rows before it are found.
        """
        found = _Rows()
        _check(self._whole_rows(text.ctypes.data, size, len(text), separator, found))
        return found.end, found.rows, found.inner, bool(found.regular)

    def is_utf8(self, text: Bytes, size: int) -> bool:
        """Say whether the first `size` bytes of `text` are UTF-8."""
        found = c_int64()
        _check(self._is_utf8(text.ctypes.data, min(size, len(text)), found))
        return bool(found.value)

    def delimited_lines(self, text: Bytes, size: int, rows: int, separator: int, columns: int, form: Form) -> Lines:
        """Turn the `rows` rows in the first `size` bytes of `text`, as `whole_rows` found them, into lines."""

        def fill(output: _Output) -> int:
            given = (text.ctypes.data, size, len(text), separator, columns, form.structure, output)
            return int(self._delimited_lines(*given))

        return self._filled(fill, 2 * size + rows * form.extra, rows, columns, size)

    def delimited(self, texts: Sequence[tuple[Bytes, int]], layout: Layout, form: Form | None, *, last: bool) -> Parsed:
        """Parse delimited texts, each with its size in bytes, which `SLACK` bytes must follow.

        Each text begins with a row, and ends with the newline of one; the last text does so only where `last` says it.
        Where nothing of a last text was parsed, call with more of it: with twice the longest row, there is no row in
        the start of it only where the text is one line without an end. Raises `SystemError` where a text has no newline
        at its end, or not enough memory behind it.
        """
        given = Texts(texts)
        rows = given.count_rows()
        sink = Sink(
            self._pools,
            lines=2 * given.size + rows * form.extra if form else 0,
            rows=rows,
            fields=layout.columns,
            columns=layout.columns,
            scratch=given.size + SLACK,
        )
        structure = form.structure if form else None
        sink.call(self._delimited, given.address, given.count, layout.structure, structure, last)
        return sink.parsed(given, with_lines=form is not None)

    def objects(self, texts: Sequence[tuple[Bytes, int]], keys: Sequence[bytes], form: Form | None) -> Parsed:
        """Parse NDJSON: so many bytes of each of `texts`, whole lines that end with newlines, of an object each.

        `keys` are those of the columns. A value is a string without its escapes, or the text of a number, `true` or
        `false`; it is empty for null and where there is none. A list of such values is the text that Polars gives of
        it, `["1", "x", null]`; where `form` has a list in its column, it is the items with the separator between them.
        Lines of which it is not certain what they mean are malformed by the rule `UNCERTAIN`.
        """
        given, columns = Texts(texts), len(keys)
        rows = given.count_rows()
        made = given.size + rows * form.extra if form else 0
        sink = Sink(self._pools, lines=made, rows=rows, fields=columns, columns=columns)
        ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
        structure = form.structure if form else None
        sink.call(self._objects, given.address, given.count, b"".join(keys), ends.ctypes.data, columns, structure)
        return sink.parsed(given, with_lines=form is not None)

    def frame_lines(self, chunks: Sequence[Chunk], form: Form) -> Lines:
        """Turn the rows of a frame into lines."""
        rows = sum(chunk.rows for chunk in chunks)
        size = sum(int(column.lengths.sum(dtype=np.int64)) for chunk in chunks for column in chunk.columns)
        columns = max((len(chunk.columns) for chunk in chunks), default=1)
        sink = Sink(self._pools, lines=2 * size + rows * form.extra, rows=rows, fields=columns)
        for chunk in chunks:
            views, _kept = _views_of(chunk)
            sink.call(self._view_lines, views, len(chunk.columns), chunk.rows, form.structure)
            sink.structure.at = 0
        return sink.lines()

    def _filled(self, fill: Callable[[_Output], int], room: int, rows: int, columns: int, text_bytes: int) -> Lines:
        """Return the lines that `fill` writes, which is given more room where it takes more."""
        while True:
            memory = _Memory(self._pools, room, rows, columns, text_bytes)
            status = fill(memory.output)
            if status != _FULL:
                _check(status)
                return memory.lines()
            room *= _GROWTH  # lists of short items take more than is usual

    def merge(self, made: Lines, others: Bytes, other_ends: Positions, positions: Positions) -> tuple[Bytes, Positions]:
        """Put the lines of `others` among those of `made`, other i before line `positions[i]`.

        Returns all lines, and where they end, in the memory of `made`: that is not to be used any more.
        """
        count, other_count = len(made.ends), len(other_ends)
        lines, ends = made.memory, made.ends_room[: count + other_count]
        own = int(made.ends[-1]) if count else 0
        size = own + (int(other_ends[-1]) if other_count else 0)
        if size > len(lines):  # lines of irregular rows may be longer than the room for them
            lines = np.empty(size, np.uint8)
            lines[:own] = made.memory[:own]
        other_ends, positions = np.ascontiguousarray(other_ends), np.ascontiguousarray(positions)
        given = (lines, len(lines), ends, len(ends), count, others, other_ends, positions, other_count)
        _check(self._merge_lines(*(each if isinstance(each, int) else each.ctypes.data for each in given)))
        return lines, ends


def _check(status: int) -> None:
    if status != _OK:
        raise SystemError(f"A compiled loop was called in a wrong way ({status}).")


def _views_of(chunk: Chunk) -> tuple[ctypes.Array[_Views], list[Any]]:
    """Return the columns of a chunk as the loops take them, and what has to live as long."""
    table = (_Views * len(chunk.columns))()
    kept: list[Any] = []
    for entry, column in zip(table, chunk.columns, strict=True):
        addresses = np.array([buffer.ctypes.data for buffer in column.buffers], np.int64)
        sizes = np.array([len(buffer) for buffer in column.buffers], np.int64)
        kept += [addresses, sizes]
        entry.views, entry.rows = column.views.ctypes.data, len(column.views) // _VIEW_BYTES
        entry.buffers, entry.sizes, entry.buffer_count = addresses.ctypes.data, sizes.ctypes.data, len(sizes)
    return table, kept


class _Memory:
    """Memory for what becomes of rows."""

    def __init__(self, pools: Mapping[str, Pool], room: int, rows: int, columns: int, text_bytes: int) -> None:
        self._lines = pools["lines"].lease(room + _SPARE + SLACK)
        table = pools["ends"].lease(8 * rows * (1 + _IRREGULAR)).view(np.int64)
        self._ends, self._irregular = table[:rows], table[rows:].reshape(rows, _IRREGULAR)
        self._text = pools["irregular_text"].lease(text_bytes)
        self._fields = np.empty(columns * _FIELD_BYTES, np.uint8)
        self.output = _Output(
            lines=self._lines.ctypes.data,
            lines_room=len(self._lines),
            ends=self._ends.ctypes.data,
            ends_room=rows,
            irregular=self._irregular.ctypes.data,
            irregular_room=rows,
            irregular_text=self._text.ctypes.data,
            irregular_text_room=text_bytes,
            fields=self._fields.ctypes.data,
            fields_room=columns,
        )

    def lines(self) -> Lines:
        """Return what a call has made."""
        output = self.output
        irregular = self._irregular[: output.left_out]
        counts = dict.fromkeys(COUNTS, 0) | {name: getattr(output, name) for name in ("signals", "missing", "changed")}
        return Lines(
            self._lines,
            self._ends[: output.made],
            self._ends,
            irregular[:, 0],
            np.ascontiguousarray(irregular[:, 2]),
            output.rows,
            **counts,
            text=self._text[: output.irregular_text_bytes],
            text_lines=irregular[:, 1],
        )
