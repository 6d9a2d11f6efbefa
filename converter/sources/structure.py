r"""The structure of delimited text: which rows are whole, which are malformed, and how many there are.

The CSV reader of Polars pads short rows, accepts long ones silently where it reads only some columns, and counts the
rows that it returns. So the structure of each block is proven before Polars parses it, on whole blocks, in these steps:

1. Mark every separator, newline and double quote with a bit.
2. Prove the quoting: counted from the start of a row, every even quote opens a field (it follows a separator, a
   newline, or the quote before it) and every odd one closes it (a separator, a line end or a quote follows).
3. Ignore the marks inside quotes. Each row then has `columns - 1` separators and one newline.
4. Where both hold for the whole block, which is nearly always, Polars gets it as it is.
5. Otherwise rows are found one run of valid quoting at a time. Rows that are short, long, misquoted or not UTF-8 are
   removed and reported with their physical line. A double quote inside an unquoted field is text (RFC 4180 leaves it
   open; exports contain it), and so is a carriage return at the end of a field: such a row is rewritten with quotes.

A blank line is not a row.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from converter.columns.utf8 import invalid_utf8, is_utf8
from converter.spec.rules import ROW_MISQUOTED, ROW_NOT_TEXT, ROW_TOO_LONG, ROW_TOO_SHORT, Rule

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_SLICE = 1 << 18  # bytes that stay in the first cache during several passes
_WORD = 64
_ONE = np.uint64(1)


class Malformed(NamedTuple):
    """A malformed row: its physical line, from 0 at the start of the block, the rule that it breaks, and its text."""

    line: int
    rule: Rule
    text: bytes


class ParsedRows(NamedTuple):
    """The rows of a block.

    `text` holds the `rows` whole ones, each with its newline; `lines` is the physical line of each, from 0 at the start
    of the block, or `None` where row i is line i. `consumed` bytes and `newlines` newlines of the block are parsed; the
    rest is the start of a row that continues in the next block. `blank` is the number of blank lines.
    """

    text: bytes
    rows: int
    lines: Positions | None
    malformed: tuple[Malformed, ...]
    consumed: int
    newlines: int
    blank: int


class ParsedRow(NamedTuple):
    """One row: its fields, without the quotes around them, and the position of the next row.

    `stray_quote` and `stray_return`: whether an unquoted field contains a double quote, a carriage return.
    """

    fields: list[bytes]
    end: int
    stray_quote: bool
    stray_return: bool


class Structure:
    """Parses blocks of text with `columns` fields a row."""

    def __init__(self, separator: str, columns: int) -> None:
        self._separator = ord(separator)
        self._columns = columns
        self._stray_return = b"\r" + separator.encode()
        mark = re.escape(separator.encode())
        unquoted = rb'[^"' + mark + rb"\n][^" + mark + rb"\n]*+"
        field = rb'(?:"(?:[^"]++|"")*+"|' + unquoted + rb"|)"
        fields = rb"(?:" + field + mark + rb")*+"
        self._field = re.compile(field)
        self._row = re.compile(fields + field + rb"\r?\n")
        self._begun = re.compile(fields + rb'(?:"(?:[^"]++|"")*+"?+\r?|' + unquoted + rb"|)\Z")

    def parse(self, block: memoryview, *, last: bool) -> ParsedRows:
        """Parse a block that begins at the start of a row.

        `last`: no block follows that could complete an open row; the block must then end in a newline. The result does
        not refer to the memory of `block`.
        """
        array = np.frombuffer(block, np.uint8)
        return self._regular(array, block) or self._irregular(array, bytes(block), last=last)

    def row(self, block: bytes, start: int) -> ParsedRow | None:
        """Parse the row that begins at `start`, with any number of fields; return `None` if it is misquoted."""
        match = self._row.match(block, start)
        if match is None:
            return None
        text = block[start : match.end() - 1].rstrip(b"\r")
        fields = self._fields(text, 0, len(text))
        unquoted = b"".join(field for field in fields if not field.startswith(b'"'))
        return ParsedRow([_unquoted(field) for field in fields], match.end(), b'"' in unquoted, b"\r" in unquoted)

    # The usual case: the whole block is regular.

    def _regular(self, array: Bytes, block: memoryview) -> ParsedRows | None:
        separators, line_ends, quotes = self._marked(array)
        newlines = line_ends.positions()
        ends, fields = newlines, separators.before(newlines)
        if quotes.total:
            quoted = quotes.positions()
            if not _quoting_is_valid(array, quoted, self._separator):
                return None
            opening, closing = quoted[0::2], quoted[1::2]
            if len(closing) < len(opening):  # a later block closes the last one
                closing = np.append(closing, len(array))
            inner = separators.before(closing) - separators.before(opening)
            before = quotes.before(newlines)
            outside = (before & 1) == 0
            inner_before = np.concatenate([[0], np.cumsum(inner)])
            ends = newlines[outside]
            fields = (fields - inner_before[before >> 1])[outside]
        if not len(ends) or not (np.diff(fields, prepend=0) == self._columns - 1).all():
            return None
        # The text after the last newline outside quotes belongs to the next block.
        end = int(ends[-1])
        if self._columns == 1 and _has_blank(array[: end + 1]):
            return None
        text = bytes(block[: end + 1])
        if not text.isascii() and not is_utf8(text):
            return None
        newlines = newlines[: int(np.searchsorted(newlines, end)) + 1]
        if self._stray_return in text:
            return None
        lines = None
        if len(newlines) != len(ends):
            lines = np.concatenate([[0], np.searchsorted(newlines, ends[:-1]) + 1])
        return ParsedRows(text, len(ends), lines, (), end + 1, len(newlines), 0)

    def _marked(self, array: Bytes) -> tuple[_Marks, _Marks, _Marks]:
        """Return where the separators, the newlines and the quotes are."""
        marks = (self._separator, _NEWLINE, _QUOTE)
        bits = np.zeros((len(marks), (len(array) // _WORD + 1) * _WORD // 8), np.uint8)
        masks = np.empty((len(marks), _SLICE), np.bool_)
        for start in range(0, len(array), _SLICE):
            part = array[start : start + _SLICE]
            of_part = masks[:, : len(part)]
            for mask, mark in zip(of_part, marks, strict=True):
                np.equal(part, mark, out=mask)
            packed = np.packbits(of_part, axis=1, bitorder="little")
            bits[:, start // 8 : start // 8 + packed.shape[1]] = packed
        separators, newlines, quotes = (_Marks(row.view("<u8")) for row in bits)
        return separators, newlines, quotes

    # The other case: run by run where the quoting is valid, row by row elsewhere.

    def _irregular(self, array: Bytes, block: bytes, *, last: bool) -> ParsedRows:
        newlines = np.flatnonzero(array == _NEWLINE)
        separators = np.flatnonzero(array == self._separator)
        quotes = np.flatnonzero(array == _QUOTE)
        # Where the quoting is broken, for parities counted from an even and from an odd quote.
        opens, closes = _eligible(array, quotes, self._separator)
        parity = np.arange(len(quotes)) & 1
        breaks = [np.flatnonzero(~np.where(parity == first, opens, closes)) for first in (0, 1)]

        runs: list[_RowSpans] = []
        start, size = 0, len(block)
        while start < size:
            first = int(np.searchsorted(quotes, start))
            breaking = breaks[first & 1]
            at = int(np.searchsorted(breaking, first))
            limit = int(quotes[breaking[at]]) if at < len(breaking) else size
            valid = self._valid_run(start, limit, first, newlines, separators, quotes)
            if valid is not None:
                runs.append(valid)
                start = int(valid.ends[-1]) + 1
            if start >= size:
                break
            if limit == size and not last:
                break
            if match := self._row.match(block, start):
                end = match.end() - 1
                fields = self._fields(block, start, end)
                runs.append(_RowSpans.one(start, end, len(fields) - 1, rewritten=True))
            else:
                if not last and self._begun.match(block, start):
                    break
                end = block.find(b"\n", start)
                if end < 0:
                    break
                runs.append(_RowSpans.one(start, end, -1, rewritten=False))
            start = end + 1
        return self._gather(array, block, newlines, runs, start)

    def _valid_run(
        self, start: int, limit: int, first: int, newlines: Positions, separators: Positions, quotes: Positions
    ) -> _RowSpans | None:
        """Return the rows that end between `start` and `limit`, where the quoting is valid from quote `first` on."""
        ends = newlines[np.searchsorted(newlines, start) : np.searchsorted(newlines, limit)]
        ends = ends[((np.searchsorted(quotes, ends) - first) & 1) == 0]
        if not len(ends):
            return None
        starts = np.concatenate([[start], ends[:-1] + 1])
        between = separators[np.searchsorted(separators, start) : np.searchsorted(separators, ends[-1])]
        between = between[((np.searchsorted(quotes, between) - first) & 1) == 0]
        counts = np.searchsorted(between, ends) - np.searchsorted(between, starts)
        return _RowSpans(starts, ends, counts, np.zeros(len(ends), np.bool_))

    def _fields(self, block: bytes, start: int, end: int) -> list[bytes]:
        """Split a row that matches `_row`."""
        fields, position = [], start
        while True:
            match = self._field.match(block, position, end)
            assert match is not None  # noqa: S101 - the pattern matches the empty text
            fields.append(match[0])
            if match.end() >= end or block[match.end()] != self._separator:
                return fields
            position = match.end() + 1

    def _gather(
        self, array: Bytes, block: bytes, newlines: Positions, runs: list[_RowSpans], consumed: int
    ) -> ParsedRows:
        """Check the rows, and join the whole ones."""
        if not runs:
            return ParsedRows(b"", 0, None, (), 0, 0, 0)
        starts, ends, counts, rewritten = (
            np.concatenate([getattr(run, name) for run in runs])
            for name in ("starts", "ends", "separators", "rewritten")
        )
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (array[starts] == _RETURN))
        not_text = np.zeros(len(starts), np.bool_)
        if not is_utf8(array[: ends[-1] + 1]):
            not_text[np.searchsorted(ends, invalid_utf8(array[: ends[-1] + 1]))] = True
        lines = np.searchsorted(newlines, starts)
        wrong = ((counts != self._columns - 1) | not_text) & ~blank
        malformed = []
        for row in np.flatnonzero(wrong):
            if not_text[row]:
                rule = ROW_NOT_TEXT
            elif counts[row] < 0:
                rule = ROW_MISQUOTED
            else:
                rule = ROW_TOO_SHORT if counts[row] < self._columns - 1 else ROW_TOO_LONG
            malformed.append(Malformed(int(lines[row]), rule, block[starts[row] : ends[row]]))
        good = ~(wrong | blank)
        if self._stray_return in block:
            stray = np.flatnonzero((array[:-1] == _RETURN) & (array[1:] == self._separator))
            within = np.searchsorted(ends, stray)
            rewritten[within[within < len(ends)]] = True
        return ParsedRows(
            self._join(block, starts, ends, rewritten, good),
            int(np.count_nonzero(good)),
            lines[good].astype(np.int64),
            tuple(malformed),
            consumed,
            int(np.searchsorted(newlines, consumed)),
            int(np.count_nonzero(blank)),
        )

    def _join(
        self,
        block: bytes,
        starts: Positions,
        ends: Positions,
        rewritten: npt.NDArray[np.bool_],
        good: npt.NDArray[np.bool_],
    ) -> bytes:
        """Join the good rows, in as few slices as possible; rows to be rewritten are slices of their own."""
        parts = []
        first = 0
        breaks = np.flatnonzero(~good | rewritten)
        for at in [*breaks.tolist(), len(starts)]:
            if first < at:
                parts.append(block[starts[first] : ends[at - 1] + 1])
            if at < len(starts) and good[at]:
                parts.append(self._rewrite(block, int(starts[at]), int(ends[at])))
            first = at + 1
        return b"".join(parts)

    def _rewrite(self, block: bytes, start: int, end: int) -> bytes:
        """Return a row with quotes around the fields that contain quotes or end in a carriage return.

        Polars would strip the latter as a line end.
        """
        row_end = end - 1 if block[end - 1] == _RETURN and end > start else end
        fields = [
            b'"' + field.replace(b'"', b'""') + b'"'
            if (b'"' in field and not field.startswith(b'"')) or field.endswith(b"\r")
            else field
            for field in self._fields(block, start, row_end)
        ]
        return bytes([self._separator]).join(fields) + b"\n"


class _Marks:
    """Marked positions in a text, one bit each: their number, how many are before a position, and a list of them.

    To list the positions of all separators would take longer than everything else here, and is not needed.
    """

    def __init__(self, words: npt.NDArray[np.uint64]) -> None:
        self._words = words
        self._before: Positions = np.concatenate([[0], np.cumsum(np.bitwise_count(words), dtype=np.int64)])
        self.total = int(self._before[-1])

    def before(self, positions: Positions) -> Positions:
        """Return the number of marks before each of `positions`."""
        word = positions >> 6
        lower = (_ONE << (positions & 63).astype(np.uint64)) - _ONE
        before: Positions = self._before[word] + np.bitwise_count(self._words[word] & lower)
        return before

    def positions(self) -> Positions:
        """Return the positions, in order."""
        if self.total * 16 > len(self._words) * _WORD:
            return np.flatnonzero(np.unpackbits(self._words.view(np.uint8), bitorder="little"))
        at = np.flatnonzero(self._words)
        left, order = self._words[at], self._before[at]
        positions = np.empty(self.total, np.int64)
        while len(at):  # the lowest bit of every word, and then the next one where there is one
            rest = left & (left - _ONE)
            positions[order] = at * _WORD + np.bitwise_count((left ^ rest) - _ONE)
            more = np.flatnonzero(rest)
            at, left, order = at[more], rest[more], order[more] + 1
        return positions


class _RowSpans(NamedTuple):
    """Rows in order: start, end (the newline), number of separators (-1: misquoted), whether the row is rewritten."""

    starts: Positions
    ends: Positions
    separators: Positions
    rewritten: npt.NDArray[np.bool_]

    @classmethod
    def one(cls, start: int, end: int, separators: int, *, rewritten: bool) -> _RowSpans:
        return cls(np.array([start]), np.array([end]), np.array([separators]), np.array([rewritten]))


def _unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


def _eligible(array: Bytes, quotes: Positions, separator: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return for each quote whether it can open a field, and whether it can close one."""
    before = array[quotes - 1]
    opens = (before == separator) | (before == _NEWLINE) | (before == _QUOTE) | (quotes == 0)
    size = len(array)
    after = array[np.minimum(quotes + 1, size - 1)]
    second = array[np.minimum(quotes + 2, size - 1)]
    at_end = quotes + 1 >= size
    line_end = (after == _NEWLINE) | ((after == _RETURN) & ((second == _NEWLINE) | (quotes + 2 >= size)))
    closes = (after == separator) | line_end | (after == _QUOTE) | at_end
    return opens, closes


def _quoting_is_valid(array: Bytes, quotes: Positions, separator: int) -> bool:
    """Return whether every even quote opens a field and every odd one closes it.

    A quote that follows a quote opens only where that one has just closed, so an even quote may follow an odd one: they
    are an escaped quote. The byte after the end of the block is not known, and accepted.
    """
    opens, closes = _eligible(array, quotes, separator)
    return bool(opens[0::2].all() and closes[1::2].all())


def _has_blank(array: Bytes) -> bool:
    ends = np.flatnonzero(array == _NEWLINE)
    lengths = np.diff(ends, prepend=-1) - 1
    return bool((lengths == 0).any() or ((lengths == 1) & (array[ends - 1] == _RETURN)).any())
