"""The Python face of the loops: arrays go in and out, and the loops get their addresses (`layout.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from converter.columns.buffers import Chunk
from converter.columns.pool import Pool
from converter.kernel import layout

if TYPE_CHECKING:  # importing it loads LLVM
    from converter.kernel.machine import Code

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
SLACK = layout.SLACK
_SPARE = 4096  # bytes more, for long lists where there are few rows


@dataclass(frozen=True)
class LinePart:
    """A signal of a line: a `kind` of `layout`, its column, the byte between its items (0 for none), and its prefix.

    `scan` is whether a value that may be personal data makes its row irregular.
    """

    kind: int
    column: int
    mark: int
    prefix: bytes
    scan: bool = False


class Form:
    """The form of a line, for columns by their number.

    `id_bytes` maps each byte of an ID to the byte to write, or to 0 where it makes the row irregular. `id_shape` is
    empty, or as long as an ID must be, with hyphens where it must have them. `id_not_zero`: whether an ID of zeros
    makes its row irregular. `id_scan`: how IDs are scanned for personal data (0, or a constant of `layout`). No value
    may contain `bad_byte`, quotes, at signs or control characters. `most_line` is the longest line, in bytes.
    """

    def __init__(
        self,
        id_column: int,
        id_bytes: Bytes,
        id_shape: bytes,
        signals: Sequence[LinePart],
        most_line: int,
        *,
        id_not_zero: bool,
        id_scan: int,
        bad_byte: int,
    ) -> None:
        self.extra = 2 + sum(len(signal.prefix) + 2 for signal in signals)
        """The most bytes of a line, without its values and all items of a list but the first."""
        prefixes = np.frombuffer(b"".join(signal.prefix for signal in signals) + bytes(SLACK), np.uint8)
        shape = np.frombuffer(id_shape + bytes(SLACK), np.uint8)
        address = prefixes.ctypes.data
        rows = []
        for signal in signals:
            around = signal.prefix + (b'",' if signal.kind == layout.PAIR else b",")
            special = sum(byte < ord(" ") or byte in (ord('"'), ord("@"), bad_byte) for byte in around)
            rows.append([signal.kind, signal.column, signal.mark, address, len(signal.prefix), special, signal.scan])
            address += len(signal.prefix)
        table = np.array(rows, np.int64).reshape(-1, layout.SIGNAL)
        form = np.zeros(layout.FORM, np.int64)
        form[layout.ID_COLUMN] = id_column
        form[layout.ID_BYTES] = id_bytes.ctypes.data
        form[layout.ID_SHAPE] = shape.ctypes.data
        form[layout.ID_LENGTH] = len(id_shape)
        form[layout.ID_NOT_ZERO] = id_not_zero
        form[layout.ID_SCAN] = id_scan
        form[layout.SIGNALS] = table.ctypes.data
        form[layout.SIGNAL_COUNT] = len(signals)
        form[layout.WIDEST] = 2 + max((len(signal.prefix) for signal in signals), default=0)
        form[layout.BAD_BYTE] = bad_byte
        form[layout.MOST_LINE] = most_line
        self._kept = (id_bytes, prefixes, shape, table, form)
        self.address = form.ctypes.data


@dataclass(frozen=True)
class Lines:
    """Lines of regular rows, and the irregular rows among them.

    `memory` holds the lines, which end at `ends`; `ends_room` is the memory of `ends`. `irregular` are the numbers of
    newlines before the irregular rows in the text, or their indices in the frame. `text` is their text, if the input is
    text, with as many newlines before each as in `text_lines`. The line of an irregular row belongs before the line
    `positions`. `rows` is the number of rows, `signals` that of signals in the lines, `missing` that of values missing
    from them, and `changed` that of IDs whose case was changed.
    """

    memory: Bytes
    ends: Positions
    ends_room: Positions
    irregular: Positions
    text: Bytes
    text_lines: Positions
    positions: Positions
    rows: int
    signals: int
    missing: int
    changed: int


class Loops:
    """The compiled loops. A text begins at the start of a row; `SLACK` bytes of memory must follow it."""

    def __init__(self, code: Code) -> None:
        self._code = code  # it must live as long as its functions
        self._pools = Pool(), Pool(), Pool()  # for memory of different sizes
        self._whole_rows = code.function("whole_rows")
        self._is_utf8 = code.function("is_utf8")
        self._delimited_lines = code.function("delimited_lines")
        self._frame_lines = code.function("frame_lines")
        self._merge = code.function("merge")

    def whole_rows(self, text: Bytes, size: int, separator: int) -> tuple[int, int, int, bool]:
        """Find the rows that end within the first `size` bytes of `text`, which begins at the start of a row.

        Returns where the last of them ends, their number, the number of newlines inside quotes, and whether the quoting
        is regular. Only the rows before an irregular quote are counted.
        """
        result = np.zeros(layout.WHOLE_ROWS, np.int64)
        self._whole_rows(text.ctypes.data, size, separator, result.ctypes.data)
        end, rows, inner, regular = result.tolist()
        return end, rows, inner, bool(regular)

    def is_utf8(self, text: Bytes, size: int) -> bool:
        """Return whether the first `size` bytes of `text` are UTF-8."""
        return bool(self._is_utf8(text.ctypes.data, size))

    def delimited_lines(self, text: Bytes, size: int, rows: int, separator: int, columns: int, form: Form) -> Lines:
        """Turn the `rows` rows in the first `size` bytes of `text`, as `whole_rows` counts them, into lines."""
        output = _OutputBuffers(self._pools, 2 * size + rows * form.extra, rows, columns, size)
        self._delimited_lines(text.ctypes.data, size, separator, columns, form.address, output.address)
        return output.lines()

    def frame_lines(self, chunks: Sequence[Chunk], form: Form) -> Lines:
        """Turn the rows of a frame into lines."""
        rows = sum(chunk.rows for chunk in chunks)
        size = sum(int(column.lengths.sum(dtype=np.int64)) for chunk in chunks for column in chunk.columns)
        columns = max((len(chunk.columns) for chunk in chunks), default=0)
        output = _OutputBuffers(self._pools, 2 * size + rows * form.extra, rows, columns, 0)
        for chunk in chunks:
            views = [column.views.ctypes.data for column in chunk.columns]
            buffers = [np.array([buffer.ctypes.data for buffer in column.buffers]) for column in chunk.columns]
            table = np.array([views, [addresses.ctypes.data for addresses in buffers]]).T.copy()
            self._frame_lines(table.ctypes.data, len(views), chunk.rows, form.address, output.address)
        return output.lines()

    def merge(self, made: Lines, others: Bytes, other_ends: Positions, positions: Positions) -> tuple[Bytes, Positions]:
        """Insert the lines of `others` into those of `made`, other i before line `positions[i]`.

        Returns all lines, and where they end, in the memory of `made`, which must not be used any more.
        """
        count, other_count = len(made.ends), len(other_ends)
        lines, ends = made.memory, made.ends_room[: count + other_count]
        own = int(made.ends[-1]) if count else 0
        size = own + (int(other_ends[-1]) if other_count else 0)
        if size > len(lines):  # lines of irregular rows may be longer than the memory for them
            lines = np.empty(size, np.uint8)
            lines[:own] = made.memory[:own]
        given = (lines, ends, count, others, other_ends, positions, other_count)
        self._merge(*(each if isinstance(each, int) else each.ctypes.data for each in given))
        return lines, ends


class _OutputBuffers:
    """Memory for the results of a call."""

    def __init__(
        self, pools: tuple[Pool, Pool, Pool], room: int, rows: int, columns: int, irregular_bytes: int
    ) -> None:
        room += _SPARE
        self._lines = pools[0].lease(room + SLACK)
        table = pools[1].lease(8 * rows * (1 + layout.IRREGULAR_ROW)).view(np.int64)
        self._ends, self._irregular = table[:rows], table[rows:].reshape(rows, layout.IRREGULAR_ROW)
        self._irregular_text = pools[2].lease(irregular_bytes + SLACK)
        self._fields = np.empty((columns, 2), np.int64)
        self._scratch = np.empty(SLACK, np.uint8)
        self._table = np.zeros(layout.OUTPUT, np.int64)
        self._table[layout.ROOM] = room
        for index, memory in (
            (layout.LINES, self._lines),
            (layout.ENDS, self._ends),
            (layout.IRREGULAR, self._irregular),
            (layout.IRREGULAR_TEXT, self._irregular_text),
            (layout.FIELDS, self._fields),
            (layout.SCRATCH, self._scratch),
        ):
            self._table[index] = memory.ctypes.data
        self.address = self._table.ctypes.data

    def lines(self) -> Lines:
        """Return the results."""
        rows, made, irregular_count, signals, missing, changed, irregular_bytes = self._table[layout.ROWS :].tolist()
        irregular = self._irregular[:irregular_count]
        return Lines(
            self._lines,
            self._ends[:made],
            self._ends,
            irregular[:, layout.LINE],
            self._irregular_text[:irregular_bytes],
            irregular[:, layout.TEXT_LINE],
            np.ascontiguousarray(irregular[:, layout.POSITION]),
            rows,
            signals,
            missing,
            changed,
        )
