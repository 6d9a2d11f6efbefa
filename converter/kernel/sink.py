"""Where parsed rows go: to lines, to string views, or to the malformed ones, in memory that grows as it is filled."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import c_int64, c_void_p
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from converter.columns.buffers import VIEW_BYTES, Chunk, Views
from converter.columns.pool import Bytes, Pool
from converter.kernel.form import Form

Positions = npt.NDArray[np.int64]

TOO_SHORT, TOO_LONG, MISQUOTED, NOT_UTF8, NOT_JSON, UNCERTAIN, TORN = range(7)
"""Why a row could not be parsed: what `Malformed.rules` holds. `UNCERTAIN`: another parser has to say."""

_OK, _FULL = 0, 1
_ROOMS = ("lines", "ends", "views", "malformed", "scratch")  # enum aam_room
_SPARE = 4096  # bytes of room for lines: for a few long ones among few rows, and for what is written after the last
_FEW = 64  # rows, texts
_SAMPLE = 1 << 16  # bytes
_NEWLINE = 10
_GROWTH = 3
_STEP_BITS = 3
_INTEGER = 8
_PARTS = 64  # AAM_PART_COUNT
_FIELD_INTEGERS = 3
_MALFORMED_INTEGERS = 6
MEMORY = (*_ROOMS, "numbers", "positions", "line_numbers", "line_forms")
"""What a sink leases memory for, from a pool each, since sizes differ."""
COUNTS = ("signals", "missing", "dropped", "cleaned", "commas")
STEPS = ("cut_prefix", "cut_suffix", "remove", "strip_zeros", "pad", "case", "hash")  # enum aam_step


class Structure(ctypes.Structure):
    """`struct aam_sink`."""

    _fields_ = [
        *((name, kind) for room in ("lines", "ends") for name, kind in ((room, c_void_p), (f"{room}_room", c_int64))),
        ("line_numbers", c_void_p),
        ("line_forms", c_void_p),
        ("views", c_void_p),
        ("numbers", c_void_p),
        ("positions", c_void_p),
        ("views_room", c_int64),
        ("malformed", c_void_p),
        ("malformed_room", c_int64),
        ("scratch", c_void_p),
        ("scratch_room", c_int64),
        ("fields", c_void_p),
        ("fields_room", c_int64),
        *((name, c_int64) for name in ("text", "at", "newlines", "state", "full", "made", "lines_bytes", "kept")),
        *((name, c_int64) for name in ("malformed_rows", "blank", "broken", "scratch_bytes", *COUNTS)),
        ("changed", c_int64 * len(STEPS)),
        ("doubted", c_int64 * _PARTS),
    ]


@dataclass(frozen=True)
class Lines:
    """Lines of regular rows, and where the irregular rows are among them.

    `memory` holds the lines, which end at `ends`; `ends_room` is the memory of `ends`. `irregular` are the numbers of
    newlines before the irregular rows in the texts, or their indices in the frame; the line of an irregular row belongs
    before the line `positions`. `rows` is the number of rows, and `changed` how many IDs each step has changed.
    `doubted` has for each part how many of its values are words for missing ones.
    `signals` and the following count the rows with a line: the signals in them, values missing, values that were
    dropped or cleaned, and values in which commas were replaced. `numbers`, where a form is numbered, are those of the
    rows with a line, as `irregular` of the others. `forms`, where lines have several, are what their IDs are (indices
    in `form.ID_FORMS`).
    """

    memory: Bytes
    ends: Positions
    ends_room: Positions
    irregular: Positions
    positions: Positions
    rows: int
    changed: Mapping[str, int]
    doubted: Sequence[int]
    signals: int
    missing: int
    dropped: int
    cleaned: int
    commas: int
    numbers: Positions | None = None
    forms: Bytes | None = None

    def numbered_by(self, rows: Positions) -> Lines:
        """Return the same lines, if they are numbered, by the numbers that their rows have among all rows."""
        return self if self.numbers is None else replace(self, numbers=rows[self.numbers])


@dataclass(frozen=True)
class Malformed:
    """Rows that could not be parsed, in order.

    For each of them: the newlines before it in all texts, the lines made before it, the number of its text, where it
    starts there and its length without the newline at its end, both in bytes, and why (`TOO_SHORT` …).
    """

    numbers: Positions
    positions: Positions
    texts: Positions
    starts: Positions
    lengths: Positions
    rules: Positions

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Parsed:
    """Rows of texts. `lines` are made with a form; the other rows come as string views, one column for each column.

    For each row of `chunk`, `numbers` is how many newlines are before it in all texts, and `positions` how many lines
    were made before it. `rows` is the number of rows with and without a line; malformed and blank ones are not among
    them. `broken` values hold newlines. `newlines` are those in the parsed part of each text, and `consumed` bytes of
    the last text were parsed: what follows is a row without an end.
    """

    lines: Lines | None
    rows: int
    chunk: Chunk
    numbers: Positions
    positions: Positions
    malformed: Malformed
    blank: int
    broken: int
    newlines: Sequence[int]
    consumed: int


class Texts:
    """Texts as the loops take them (`struct aam_text`), each with its size in bytes; `SLACK` bytes must follow."""

    def __init__(self, texts: Sequence[tuple[Bytes, int]]) -> None:
        self.buffers = tuple(text for text, _ in texts)
        self._table = np.array([(text.ctypes.data, size, len(text), 0) for text, size in texts], np.int64).reshape(
            -1, 4
        )
        self.address, self.count = self._table.ctypes.data, len(texts)
        self.size = sum(size for _, size in texts)

    def newlines(self) -> list[int]:
        """Return how many newlines are in the parsed part of each text."""
        newlines: list[int] = self._table[:, 3].tolist()
        return newlines

    def count_rows(self) -> int:
        """Return about how many lines of text there are, rather too many, by the first bytes of the texts."""
        sizes = np.minimum(self._table[:_FEW, 1], _SAMPLE).tolist()
        lines = sum(np.count_nonzero(text[:size] == _NEWLINE) for text, size in zip(self.buffers, sizes, strict=False))
        return int(1.25 * lines * self.size / max(sum(sizes), 1)) + _FEW


class Sink:
    """Memory of pools for what a call gives; more is made as needed.

    So many `rows` and bytes of `lines` are expected. Rows without a line keep views of `columns` columns. A row has up
    to `fields` values; those that do not stand in the texts as they are may take `scratch` bytes. `form` is that of
    lines, if there are any.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        *,
        lines: int,
        rows: int,
        fields: int,
        columns: int = 0,
        scratch: int = 0,
        form: Form | None = None,
    ) -> None:
        self._pools, self._columns = pools, columns
        self._numbered, self._has_forms = bool(form and form.numbered), bool(form and form.has_forms)
        self._fields = np.empty((fields + 1) * _FIELD_INTEGERS, np.int64)
        self.structure = Structure(fields=self._fields.ctypes.data, fields_room=fields + 1)
        self._arrays: dict[str, Bytes] = {}
        rooms = {"lines": lines + _SPARE, "ends": rows, "views": rows, "malformed": _FEW, "scratch": scratch}
        for name, room in rooms.items():
            # Of calls that take about as much, the memory of one fits the next.
            step = 1 << max(room.bit_length() - _STEP_BITS, 0)
            self._make(name, -(-room // step) * step)

    def call(self, function: Callable[..., int], *arguments: object) -> None:
        """Call an entry, with more room where it takes more. Raises `SystemError` where it refuses its arguments."""
        while status := function(*arguments, self.structure):
            if status != _FULL:
                raise SystemError(f"A compiled loop was called in a wrong way ({status}).")
            name = _ROOMS[self.structure.full]
            self._make(name, _GROWTH * getattr(self.structure, f"{name}_room") + _FEW)

    def lines(self) -> Lines:
        """Return the lines."""
        filled = self.structure
        ends, numbers, positions = (self._arrays[name].view(np.int64) for name in ("ends", "numbers", "positions"))
        return Lines(
            self._arrays["lines"],
            ends[: filled.made],
            ends,
            numbers[: filled.kept],
            positions[: filled.kept],
            filled.made + filled.kept,
            dict(zip(STEPS, filled.changed, strict=True)),
            list(filled.doubted),
            **{name: getattr(filled, name) for name in COUNTS},
            numbers=self._arrays["line_numbers"].view(np.int64)[: filled.made] if self._numbered else None,
            forms=self._arrays["line_forms"][: filled.made] if self._has_forms else None,
        )

    def parsed(self, texts: Texts, *, with_lines: bool) -> Parsed:
        """Return what was parsed of texts."""
        filled, lines = self.structure, self.lines()
        return Parsed(
            lines if with_lines else None,
            lines.rows,
            self._chunk(texts.buffers),
            lines.irregular,
            lines.positions,
            self._malformed(),
            filled.blank,
            filled.broken,
            texts.newlines(),
            filled.at,
        )

    def _chunk(self, buffers: tuple[Bytes, ...]) -> Chunk:
        """Return the rows without a line; `buffers` hold what their views refer to, before the scratch memory."""
        filled, kept = self.structure, self.structure.kept
        buffers = (*buffers, self._arrays["scratch"][: filled.scratch_bytes])
        columns = self._arrays["views"].reshape(self._columns, filled.views_room * VIEW_BYTES)[:, : kept * VIEW_BYTES]
        return Chunk(tuple(Views(column, buffers) for column in columns), kept)

    def _malformed(self) -> Malformed:
        """Return the malformed rows."""
        rows = self._arrays["malformed"].view(np.int64).reshape(-1, _MALFORMED_INTEGERS)
        return Malformed(*rows[: self.structure.malformed_rows].T)

    def _make(self, name: str, room: int) -> None:
        """Make room for so many entries, and copy there what is there already."""
        filled = self.structure
        used, entry = {
            "lines": (filled.lines_bytes, 1),
            "ends": (filled.made, _INTEGER),
            "views": (filled.kept, VIEW_BYTES),
            "malformed": (filled.malformed_rows, _MALFORMED_INTEGERS * _INTEGER),
            "scratch": (filled.scratch_bytes, 1),
        }[name]
        if name == "views":
            self._lease("numbers", 1, room * _INTEGER, used * _INTEGER)
            self._lease("positions", 1, room * _INTEGER, used * _INTEGER)
        if name == "ends" and self._numbered:
            self._lease("line_numbers", 1, room * _INTEGER, used * _INTEGER)
        if name == "ends" and self._has_forms:
            self._lease("line_forms", 1, room, used)
        self._lease(name, self._columns if name == "views" else 1, room * entry, used * entry)
        setattr(filled, f"{name}_room", room)

    def _lease(self, name: str, columns: int, size: int, used: int) -> None:
        """Make room for `size` bytes of each column, and copy the `used` ones of them."""
        memory = self._pools[name].lease(columns * size)
        if used and columns:
            memory.reshape(columns, -1)[:, :used] = self._arrays[name].reshape(columns, -1)[:, :used]
        self._arrays[name] = memory
        setattr(self.structure, name, memory.ctypes.data if columns * size else None)
