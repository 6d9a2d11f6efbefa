"""The structure of delimited text, in Python: which rows are whole, and which are malformed.

The compiled loops do the same (`Loops.delimited`), faster; this parser takes over where there are none, parses headers,
and is what they are tested against. It goes row by row:

- A field that begins with a double quote ends with one, and a separator or the end of the row follows. Inside, two
  double quotes mean one.
- Any other field is all text up to the next separator or newline. A double quote in it is text (RFC 4180 leaves it
  open; exports contain it), and so is a carriage return, unless it is the one before the newline.
- Where a row is not of this form, its first line is malformed, and parsing continues behind it. So is a row with too
  few or too many fields, or one that is not UTF-8. A blank line is not a row.

The CSV reader of Polars is given whole rows alone: it would pad short ones and truncate long ones silently.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from converter.columns.utf8 import is_utf8
from converter.spec.rules import ROW_MISQUOTED, ROW_NOT_TEXT, ROW_TOO_LONG, ROW_TOO_SHORT, Rule


class Malformed(NamedTuple):
    """A malformed row: its physical line, from 0 at the start of the block, the rule that it breaks, and its text."""

    line: int
    rule: Rule
    text: bytes


class ParsedRows(NamedTuple):
    """The rows of a block.

    `text` holds the whole ones, each with its newline, and `lines` the physical line of each, from 0 at the start of
    the block. `consumed` bytes and `newlines` newlines of the block are parsed; the rest is the start of a row that
    continues in the next block. `blank` is the number of blank lines.
    """

    text: bytes
    lines: list[int]
    malformed: list[Malformed]
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
        self._separator = separator.encode()
        self._columns = columns
        mark = re.escape(self._separator)
        unquoted = rb'[^"' + mark + rb"\n][^" + mark + rb"\n]*+"
        field = rb'(?:"(?:[^"]++|"")*+"|' + unquoted + rb"|)"
        fields = rb"(?:" + field + mark + rb")*+"
        self._field = re.compile(rb"(" + field + rb")" + mark)
        self._row = re.compile(fields + field + rb"\r?\n")
        self._begun = re.compile(fields + rb'(?:"(?:[^"]++|"")*+"?+\r?|' + unquoted + rb"|)\Z")

    def parse(self, block: bytes, *, last: bool) -> ParsedRows:
        """Parse a block that begins at the start of a row.

        `last`: no block follows that could complete an open row; the block must then end in a newline.
        """
        rows: list[bytes] = []
        lines: list[int] = []
        malformed: list[Malformed] = []
        start = line = blank = 0
        while start < len(block):
            match = self._row.match(block, start)
            if match is None and not last and self._begun.match(block, start):
                break
            end = match.end() - 1 if match else block.find(b"\n", start)
            if end < 0:
                break
            text = block[start:end]
            if match and text in (b"", b"\r"):
                blank += 1
            else:
                row = self._whole(text) if match and is_utf8(text) else ROW_MISQUOTED
                if isinstance(row, Rule):
                    malformed.append(Malformed(line, row if is_utf8(text) else ROW_NOT_TEXT, text))
                else:
                    rows.append(row)
                    lines.append(line)
            line += text.count(b"\n") + 1
            start = end + 1
        return ParsedRows(b"".join(rows), lines, malformed, start, line, blank)

    def row(self, block: bytes, start: int) -> ParsedRow | None:
        """Parse the row that begins at `start`, with any number of fields; return `None` if it is misquoted."""
        match = self._row.match(block, start)
        if match is None:
            return None
        fields = self._fields(block[start : match.end() - 1].rstrip(b"\r"))
        unquoted = b"".join(field for field in fields if not field.startswith(b'"'))
        return ParsedRow([_unquoted(field) for field in fields], match.end(), b'"' in unquoted, b"\r" in unquoted)

    def _whole(self, text: bytes) -> bytes | Rule:
        """Return a row as Polars parses it, with its newline, or the rule that it breaks.

        Fields with double quotes that are text, or with a carriage return at their end, which Polars would strip as a
        line end, are quoted.
        """
        text = text.removesuffix(b"\r")
        if b'"' in text or b"\r" in text:
            fields = self._fields(text)
            count, text = len(fields), self._separator.join(map(_quoted, fields))
        else:
            count = text.count(self._separator) + 1
        if count != self._columns:
            return ROW_TOO_SHORT if count < self._columns else ROW_TOO_LONG
        return text + b"\n"

    def _fields(self, text: bytes) -> list[bytes]:
        """Split a row that matches `_row`, without its line end."""
        return self._field.findall(text + self._separator)


def _unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


def _quoted(field: bytes) -> bytes:
    """Return a field in quotes, if Polars would not parse it as it is."""
    if not field.startswith(b'"') and (b'"' in field or field.endswith(b"\r")):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field
