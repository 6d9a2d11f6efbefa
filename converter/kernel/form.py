"""The form of lines, in the structures of `kernel.h`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from converter.columns.pool import Bytes

SLACK = 64
"""How many bytes must be readable after a text."""
PAIR, TRAITS, CODES, CONSTANT, VALUES = range(5)
"""Kinds of parts of a line: a value in quotes, lists of digits, of codes, a constant text, a list of values."""
REJECT, DROP, CLEAN = range(3)
"""What becomes of values with control characters or double quotes."""
MOST_COMMA = 16
"""Bytes of the longest text that the loops write for a comma."""
SCAN_NOTHING, SCAN_NUMBERS, SCAN_CARDS = range(3)
"""How closely texts are scanned for personal data: numbers that could be those of cards are plain, or irregular."""
KEPT, REMOVED = 1, 2
"""What becomes of a byte of an ID."""
NO_NULLS, NULLS, NULLS_IRREGULAR = range(3)
"""Whether the words for missing values are missing ones in a column, or make the row irregular."""
ID_FORMS = ("uuid", "gaid", "idfa", "hash", "other")
"""What an ID is by its form, where lines have several."""
NOT_HASHED, HASHED, HASHED_ADDRESS = range(3)
"""Whether the SHA-256 of an ID takes its place: of any text, or of an address, which others than hashes have to be."""
HASH_BYTES = 64
"""A hash in hexadecimal."""
_LENGTHS = 64  # AAM_LENGTHS


class _Constant(ctypes.Structure):
    _fields_ = [("start", c_void_p), ("length", c_int64)]


class _Words(ctypes.Structure):
    _fields_ = [
        ("words", POINTER(_Constant)),
        ("starts", c_uint64 * 4),
        ("first", c_uint16 * (_LENGTHS + 1)),
        ("unused", c_uint8 * 6),
    ]


class _Steps(ctypes.Structure):
    _fields_ = [
        ("cut_prefix", _Constant),
        ("cut_suffix", _Constant),
        ("kept", c_void_p),
        ("pad", c_int64),
        ("strip_zeros", c_uint8),
        ("unused", c_uint8 * 7),
    ]


class _Part(ctypes.Structure):
    _fields_ = [
        ("prefix", c_void_p),
        ("prefix_bytes", c_int64),
        ("special", c_int64),
        ("kind", c_int32),
        ("column", c_int32),
        ("separator", c_uint8),
        ("scan", c_uint8),
        ("nulls", c_uint8),
        ("unused", c_uint8),
        ("key_column", c_int32),
        ("keys", POINTER(_Words)),
    ]


class _Id(ctypes.Structure):
    _fields_ = [
        ("bytes", c_void_p),
        ("steps", POINTER(_Steps)),
        ("prefix", _Constant),
        ("suffix", _Constant),
        ("shape", c_void_p),
        ("length", c_int64),
        ("column", c_int32),
        ("scan", c_int32),
        ("not_zero", c_uint8),
        ("nulls", c_uint8),
        ("hashed", c_uint8),
        ("unused", c_uint8 * 5),
        ("name", _Constant),
    ]


class FormStructure(ctypes.Structure):
    """`struct aam_form`."""

    _fields_ = [
        ("lead", c_void_p),
        ("lead_bytes", c_int64),
        ("ids", POINTER(_Id)),
        ("id_count", c_int64),
        ("parts", POINTER(_Part)),
        ("part_count", c_int64),
        ("nulls", _Words),
        ("doubted", _Words),
        ("no_ids", _Words),
        ("longest_line", c_int64),
        ("comma_bytes", c_int64),
        ("comma", c_uint8 * MOST_COMMA),
        ("on_bad", c_int32),
        ("bad_byte", c_uint8),
        ("clears", c_uint8),
        ("unused", c_uint8 * 2),
        ("of_ids", c_void_p),
    ]


@dataclass(frozen=True)
class LineSteps:
    """What changes an ID before its bytes are mapped, in this order.

    A text is cut from its start, and one from its end. Then `kept` says of each byte whether it stays (`KEPT`), is
    `REMOVED`, or makes the ID irregular (0). Zeros before it are removed, and added up to `pad` bytes.
    """

    kept: Bytes
    cut_prefix: bytes = b""
    cut_suffix: bytes = b""
    strip_zeros: bool = False
    pad: int = 0


@dataclass(frozen=True)
class LineId:
    """An ID of a line, in a column.

    Behind its `steps`, `table` maps each byte of it to that to write, 0 where the ID is irregular; `prefix` and
    `suffix` stand around that. `shape` is empty, or as long as all of this must be, with a hyphen where one must stand;
    `not_zero` says that not all of it may be zeros, and `scan` (`SCAN_…`) whether it may be personal data. `nulls`
    (`NULLS` …) says what the words for missing values mean. `name` is that of its column where an ID that is
    implausible makes the row irregular, else empty. `hashed` (`HASHED` …) says that its hash takes its place:
    spaces inside it are allowed then, not around it.
    """

    column: int
    table: Bytes
    shape: bytes = b""
    not_zero: bool = False
    scan: int = SCAN_NOTHING
    steps: LineSteps | None = None
    prefix: bytes = b""
    suffix: bytes = b""
    nulls: int = NO_NULLS
    name: bytes = b""
    hashed: int = NOT_HASHED


@dataclass(frozen=True)
class LinePart:
    """One part of a line: its `kind`, its column, the byte between its items, and what stands before each of them.

    `scan` (`SCAN_…`) says whether a value that may be personal data makes the row irregular, and `nulls` what the words
    for missing values mean. Where the key of a pair is in a column, that is the `key_column`: `prefix` is a quote, and
    rows with other keys than `keys` are irregular, whether they have a value or not.
    """

    kind: int
    column: int
    separator: int
    prefix: bytes
    scan: int = SCAN_NOTHING
    nulls: int = NO_NULLS
    key_column: int = -1
    keys: Sequence[bytes] = ()


class Form:
    """The form of a line, for columns by their number: its IDs, with tabs between them, and its parts, if it has any.

    `lead` is what all lines begin with; `longest_line` is in bytes. `on_bad` says what becomes of values with control
    characters or double quotes: their rows are irregular (`REJECT`), or lines are without them (`DROP`), or each run of
    control characters becomes a space and each double quote a single one (`CLEAN`). `comma` is written for each comma
    in a value; `None` keeps it. `nulls` are the words for missing values; `doubted` are words that most likely mean
    one, too: such values are counted. `no_ids` are words that no ID is. With `numbered`, it is kept which row each line
    is of. With `clears`, rows without any value or item have lines that end in a tab; else they are irregular.

    `of_ids` has for what the first ID is by its form (`ID_FORMS`) the form of its line, and `None` where such a row is
    irregular: if it is not empty, lines are of these forms, and it is kept of which.
    """

    def __init__(
        self,
        ids: Sequence[LineId],
        parts: Sequence[LinePart],
        longest_line: int,
        *,
        lead: bytes = b"",
        on_bad: int = REJECT,
        comma: bytes | None = None,
        nulls: Sequence[bytes] = (),
        doubted: Sequence[bytes] = (),
        no_ids: Sequence[bytes] = (),
        numbered: bool = False,
        clears: bool = False,
        of_ids: Sequence[Form | None] = (),
    ) -> None:
        self.numbered = numbered
        self.has_forms = bool(of_ids)
        beside = sum(1 + len(id_.prefix) + len(id_.suffix) + (id_.steps.pad if id_.steps else 0) for id_ in ids)
        beside += sum(HASH_BYTES for id_ in ids if id_.hashed != NOT_HASHED)
        extra = 2 + len(lead) + beside + sum(len(part.prefix) + len(_ends_of(part)) for part in parts)
        self.extra: int = max([extra, *(each.extra for each in of_ids if each)])
        """The most bytes of a line, beside its values and the further items of its lists."""
        self._constants: list[object] = [*of_ids]  # which live as long
        self._of_ids = (c_void_p * len(of_ids))(
            *(ctypes.addressof(each.structure) if each else None for each in of_ids)
        )
        self._lead = ctypes.create_string_buffer(lead, len(lead) + SLACK)
        self._texts = [ctypes.create_string_buffer(part.prefix, len(part.prefix) + SLACK) for part in parts]
        # A comma is a bad byte where it is replaced by more than there is room for, or by what no value may hold.
        is_replaced = comma is not None and len(comma) <= MOST_COMMA and not any(_is_special(byte) for byte in comma)
        bad_byte = ord('"' if comma is None or is_replaced else ",")
        part_table = (_Part * len(parts))()
        for entry, part, text in zip(part_table, parts, self._texts, strict=True):
            around = part.prefix + _ends_of(part)
            entry.prefix, entry.prefix_bytes = ctypes.addressof(text), len(part.prefix)
            entry.special = sum(_is_special(byte) or byte == bad_byte for byte in around)
            entry.kind, entry.column, entry.separator = part.kind, part.column, part.separator
            entry.scan, entry.nulls, entry.key_column = part.scan, part.nulls, part.key_column
            if part.key_column >= 0:
                entry.keys = ctypes.pointer(self._words(part.keys))
        self.structure: FormStructure = FormStructure(
            lead=ctypes.addressof(self._lead),
            lead_bytes=len(lead),
            ids=self._id_table(ids),
            id_count=len(ids),
            parts=part_table,
            part_count=len(parts),
            nulls=self._words(nulls),
            doubted=self._words(doubted),
            no_ids=self._words(no_ids),
            longest_line=longest_line,
            comma_bytes=len(comma) if comma is not None and is_replaced else -1,
            comma=(c_uint8 * MOST_COMMA)(*(comma if comma is not None and is_replaced else b"")),
            on_bad=on_bad,
            bad_byte=bad_byte,
            clears=clears,
            of_ids=ctypes.addressof(self._of_ids) if of_ids else None,
        )

    def _id_table(self, ids: Sequence[LineId]) -> ctypes.Array[_Id]:
        self._ids = [(np.ascontiguousarray(id_.table), ctypes.create_string_buffer(id_.shape)) for id_ in ids]
        id_table = (_Id * len(ids))()
        for entry, id_, (table, shape) in zip(id_table, ids, self._ids, strict=True):
            entry.bytes, entry.shape, entry.length = table.ctypes.data, ctypes.addressof(shape), len(id_.shape)
            entry.column, entry.scan, entry.not_zero, entry.nulls = id_.column, id_.scan, id_.not_zero, id_.nulls
            entry.hashed = id_.hashed
            entry.prefix, entry.suffix, entry.name = map(self._constant, (id_.prefix, id_.suffix, id_.name))
            if id_.steps:
                entry.steps = ctypes.pointer(self._steps(id_.steps))
        return id_table

    def _constant(self, text: bytes) -> _Constant:
        self._constants.append(buffer := ctypes.create_string_buffer(text))
        return _Constant(ctypes.addressof(buffer), len(text))

    def _words(self, texts: Sequence[bytes]) -> _Words:
        texts = sorted(filter(None, texts), key=lambda text: (len(text), text))
        starts = sum({1 << text[0] for text in texts})
        first = np.searchsorted([min(len(text), _LENGTHS - 1) for text in texts], np.arange(_LENGTHS + 1)).tolist()
        return _Words(
            (_Constant * len(texts))(*map(self._constant, texts)),
            (c_uint64 * 4)(*(starts >> shift & 2**64 - 1 for shift in range(0, 256, 64))),
            (c_uint16 * (_LENGTHS + 1))(*first),
        )

    def _steps(self, steps: LineSteps) -> _Steps:
        self._constants.append(kept := np.ascontiguousarray(steps.kept))
        cuts = self._constant(steps.cut_prefix), self._constant(steps.cut_suffix)
        return _Steps(*cuts, kept.ctypes.data, steps.pad, steps.strip_zeros)


def _ends_of(part: LinePart) -> bytes:
    """Return what is written after the key that is in a column, and after the value, or an item."""
    return (b'"="' if part.key_column >= 0 else b"") + (b'",' if part.kind in (PAIR, VALUES) else b",")


def _is_special(byte: int) -> bool:
    """Return whether a byte is one of those that lines are searched for, beside the bad one of their form."""
    return byte < ord(" ") or byte in b'"@\x7f'


class LayoutStructure(ctypes.Structure):
    """`struct aam_layout`."""

    _fields_ = [
        ("slots", c_void_p),
        ("fields", c_int64),
        ("columns", c_int64),
        ("longest", c_int64),
        ("meanings", c_void_p),
        *((name, c_uint8) for name in ("separator", "quote", "comment", "skips_spaces", "is_crlf", "empty_last")),
        ("unused", c_uint8 * 2),
    ]


INSIDE, ESCAPED = 1, 2
"""What counting quotes shows at a place in a text: it is inside quotes, and its byte is escaped."""


class Grammar(NamedTuple):
    """The bytes of delimited text.

    `quote` and `comment`, with which lines that are no rows begin, are empty where there are none. `meanings` says of
    each of 256 bytes what it stands for after a backslash: itself, another one, or a backslash that it stays after.
    Where it is empty, backslashes are text; outside of quotes, they are text unless `quote` is empty. `skips_spaces`:
    spaces before values and around quotes are left out. `is_crlf`: rows end in CR LF, and LF alone is inside a row.
    `empty_last`: the last field of each row must be empty.
    """

    separator: bytes = b","
    quote: bytes = b'"'
    meanings: bytes = b""
    comment: bytes = b""
    skips_spaces: bool = False
    is_crlf: bool = False
    empty_last: bool = False


class Layout:
    """The layout of delimited text.

    `slots` has for each field of a row the index of the job's column that it gives, or -1; there are `columns` columns.
    Quotes must be closed within `longest_row` bytes from the start of a row, unless the row is one physical line.
    """

    def __init__(self, grammar: Grammar, slots: Sequence[int], columns: int, longest_row: int) -> None:
        self.fields, self.columns = len(slots), columns
        self._slots = np.array([columns if slot < 0 else slot for slot in slots], np.int32)
        self._meanings = np.frombuffer(grammar.meanings, np.uint8)
        self.structure = LayoutStructure(
            slots=self._slots.ctypes.data,
            fields=len(slots),
            columns=columns,
            longest=longest_row,
            meanings=self._meanings.ctypes.data if grammar.meanings else None,
            separator=ord(grammar.separator),
            quote=ord(grammar.quote or b"\0"),
            comment=ord(grammar.comment or b"\0"),
            skips_spaces=grammar.skips_spaces,
            is_crlf=grammar.is_crlf,
            empty_last=grammar.empty_last,
        )
