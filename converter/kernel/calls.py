"""How the loops are called: with arrays, of which they get the addresses (`layout.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from converter.columns.buffers import Chunk
from converter.columns.pool import Pool
from converter.kernel import layout

if TYPE_CHECKING:  # which brings LLVM along
    from converter.kernel.machine import Code

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
SLACK = layout.SLACK
_SPARE = 4096  # room for some long lists among few rows


@dataclass(frozen=True)
class LinePart:
    """A signal of a line: a `kind` of `layout`, its column, the byte between its items, and what stands before it.

    `look` says whether a value that may be personal data makes the row odd.
    """

    kind: int
    column: int
    mark: int
    prefix: bytes
    look: bool = False


class Form:
    """The form of a line, for columns by their number.

    `id_bytes` maps each byte of an ID to the byte to write, 0 where the ID is not plain; `id_shape` is empty, or as
    long as an ID must be, with a hyphen where one must stand; `id_not_zero` says that not all of it may be zeros, and
    `id_look` (0, or of `layout`) whether it may be personal data. `bad_byte` may be in no value, beside quotes, at
    signs and control characters. `most_line` is in bytes.
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
        id_look: int,
        bad_byte: int,
    ) -> None:
        self.extra = 2 + sum(len(signal.prefix) + 2 for signal in signals)
        """The most bytes of a line, beside its values and its second and further items."""
        prefixes = np.frombuffer(b"".join(signal.prefix for signal in signals) + bytes(SLACK), np.uint8)
        shape = np.frombuffer(id_shape + bytes(SLACK), np.uint8)
        address = prefixes.ctypes.data
        rows = []
        for signal in signals:
            around = signal.prefix + (b'",' if signal.kind == layout.PAIR else b",")
            special = sum(byte < ord(" ") or byte in (ord('"'), ord("@"), bad_byte) for byte in around)
            rows.append([signal.kind, signal.column, signal.mark, address, len(signal.prefix), special, signal.look])
            address += len(signal.prefix)
        table = np.array(rows, np.int64).reshape(-1, layout.SIGNAL)
        form = np.zeros(layout.FORM, np.int64)
        form[layout.ID_COLUMN] = id_column
        form[layout.ID_BYTES] = id_bytes.ctypes.data
        form[layout.ID_SHAPE] = shape.ctypes.data
        form[layout.ID_LENGTH] = len(id_shape)
        form[layout.ID_NOT_ZERO] = id_not_zero
        form[layout.ID_LOOK] = id_look
        form[layout.SIGNALS] = table.ctypes.data
        form[layout.SIGNAL_COUNT] = len(signals)
        form[layout.WIDEST] = 2 + max((len(signal.prefix) for signal in signals), default=0)
        form[layout.BAD_BYTE] = bad_byte
        form[layout.MOST_LINE] = most_line
        self._kept = (id_bytes, prefixes, shape, table, form)
        self.address = form.ctypes.data


@dataclass(frozen=True)
class Lines:
    """Lines in `memory`, which end at `ends`, and the rows left out. `ends_room` is the memory of `ends`.

    `lines` are the newlines before these rows in the text, or their places in the frame; `text` is their text, if
    they come as text, with so many newlines before each as `text_lines` says; each row's own line, if it gets one,
    comes before the line `places`. There were `rows` rows; the lines have so many `signals`, so many values are
    `missing` from them, and so many IDs are `changed`.
    """

    memory: Bytes
    ends: Places
    ends_room: Places
    irregular: Places
    text: Bytes
    text_lines: Places
    positions: Places
    rows: int
    signals: int
    missing: int
    changed: int


class Loops:
    """The compiled loops. Texts begin at a row's start, and go on for `SLACK` bytes that do not count."""

    def __init__(self, code: Code) -> None:
        self._code = code  # lives as long as its functions
        self._pools = Pool(), Pool(), Pool()  # for memory of different sizes
        self._whole_rows = code.function("whole_rows")
        self._is_utf8 = code.function("is_utf8")
        self._delimited_lines = code.function("delimited_lines")
        self._frame_lines = code.function("frame_lines")
        self._merged = code.function("merged")

    def whole_rows(self, text: Bytes, size: int, separator: int) -> tuple[int, int, int, bool]:
        """Find the rows that end within the first `size` bytes of `text`.

        Returns where the last of them ends, how many there are, how many newlines stand inside their quotes, and
        whether all that was seen is quoted regularly; where it is not, the rows before it are found.
        """
        found = np.zeros(layout.FOUND, np.int64)
        self._whole_rows(text.ctypes.data, size, separator, found.ctypes.data)
        end, rows, inner, regular = found.tolist()
        return end, rows, inner, bool(regular)

    def is_utf8(self, text: Bytes, size: int) -> bool:
        """Say whether the first `size` bytes of `text` are UTF-8."""
        return bool(self._is_utf8(text.ctypes.data, size))

    def delimited_lines(self, text: Bytes, size: int, rows: int, separator: int, columns: int, form: Form) -> Lines:
        """Turn the `rows` rows in the first `size` bytes of `text`, as `whole_rows` found them, into lines."""
        output = _Output(self._pools, 2 * size + rows * form.extra, rows, columns, size)
        self._delimited_lines(text.ctypes.data, size, separator, columns, form.address, output.address)
        return output.lines()

    def frame_lines(self, chunks: Sequence[Chunk], form: Form) -> Lines:
        """Turn the rows of a frame into lines."""
        rows = sum(chunk.rows for chunk in chunks)
        size = sum(int(column.lengths.sum(dtype=np.int64)) for chunk in chunks for column in chunk.columns)
        columns = max((len(chunk.columns) for chunk in chunks), default=0)
        output = _Output(self._pools, 2 * size + rows * form.extra, rows, columns, 0)
        for chunk in chunks:
            views = [column.views.ctypes.data for column in chunk.columns]
            buffers = [np.array([buffer.ctypes.data for buffer in column.buffers]) for column in chunk.columns]
            table = np.array([views, [addresses.ctypes.data for addresses in buffers]]).T.copy()
            self._frame_lines(table.ctypes.data, len(views), chunk.rows, form.address, output.address)
        return output.lines()

    def merged(self, made: Lines, others: Bytes, other_ends: Places, places: Places) -> tuple[Bytes, Places]:
        """Put the lines of `others` among those of `made`, other i before line `places[i]`.

        Returns all lines, and where they end, in the memory of `made`: that is not to be used any more.
        """
        count, other_count = len(made.ends), len(other_ends)
        lines, ends = made.memory, made.ends_room[: count + other_count]
        own = int(made.ends[-1]) if count else 0
        size = own + (int(other_ends[-1]) if other_count else 0)
        if size > len(lines):  # lines of odd rows may be longer than the room for them
            lines = np.empty(size, np.uint8)
            lines[:own] = made.memory[:own]
        given = (lines, ends, count, others, other_ends, places, other_count)
        self._merged(*(each if isinstance(each, int) else each.ctypes.data for each in given))
        return lines, ends


class _Output:
    """Memory for what becomes of rows."""

    def __init__(self, pools: tuple[Pool, Pool, Pool], room: int, rows: int, columns: int, odd_bytes: int) -> None:
        room += _SPARE
        self._lines = pools[0].lease(room + SLACK)
        table = pools[1].lease(8 * rows * (1 + layout.ODD_ROW)).view(np.int64)
        self._ends, self._odd = table[:rows], table[rows:].reshape(rows, layout.ODD_ROW)
        self._odd_text = pools[2].lease(odd_bytes + SLACK)
        self._fields = np.empty((columns, 2), np.int64)
        self._scratch = np.empty(SLACK, np.uint8)
        self._table = np.zeros(layout.OUTPUT, np.int64)
        self._table[layout.ROOM] = room
        for place, memory in (
            (layout.LINES, self._lines),
            (layout.ENDS, self._ends),
            (layout.ODD, self._odd),
            (layout.ODD_TEXT, self._odd_text),
            (layout.FIELDS, self._fields),
            (layout.SCRATCH, self._scratch),
        ):
            self._table[place] = memory.ctypes.data
        self.address = self._table.ctypes.data

    def lines(self) -> Lines:
        """Return what a call has made."""
        rows, made, left_out, signals, missing, changed, odd_bytes = self._table[layout.ROWS :].tolist()
        odd = self._odd[:left_out]
        return Lines(
            self._lines,
            self._ends[:made],
            self._ends,
            odd[:, layout.LINE],
            self._odd_text[:odd_bytes],
            odd[:, layout.TEXT_LINE],
            np.ascontiguousarray(odd[:, layout.PLACE]),
            rows,
            signals,
            missing,
            changed,
        )
