"""The structure of delimited text, in Python: which rows are whole, and which are malformed.

The compiled loops do the same (`Loops.delimited`), faster; this parser takes over where there are none, parses headers,
and is what they are tested against. It goes row by row:

- A field that begins with a quote ends with one, and a separator or the end of the row follows. Inside, two quotes mean
  one.
- Any other field is all text up to the next separator or newline. A quote in it is text (RFC 4180 leaves it open;
  exports contain it), and so is a carriage return, unless only others are between it and the newline.
- Where backslashes escape, the byte after one is text, of any value: inside quotes or, where there are none,
  anywhere. A backslash and an N alone, without quotes, are a missing value.
- Where a row is not of this form, its first line is malformed, with those after it that its quotes show to belong to
  it (`broken`), and parsing continues after them. So is a row with too few or too many fields, or one that is not
  UTF-8, or that can be read in two ways. A blank line or a comment is not a row.

The CSV reader of Polars is given whole rows alone, in the plain dialect: it would pad short ones and truncate long ones
silently.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from converter.columns.utf8 import is_utf8
from converter.kernel.form import Grammar
from converter.sources.broken import WAIT, end_of_broken, end_of_torn, has_two_readings
from converter.spec.rules import ROW_MISQUOTED, ROW_NOT_TEXT, ROW_TOO_LONG, ROW_TOO_SHORT, ROW_TORN, Rule


class Malformed(NamedTuple):
    """A malformed row: its physical line, from 0 at the start of the block, the rule that it breaks, and its text."""

    line: int
    rule: Rule
    text: bytes


class ParsedRows(NamedTuple):
    """The rows of a block.

    `text` holds the whole ones in the plain dialect, each with its newline, and `lines` the physical line of each, from
    0 at the start of the block. `consumed` bytes and `newlines` newlines of the block are parsed; the rest is the start
    of a row that continues in the next block. `blank` is the number of blank lines and comments, `broken` that of
    values with newlines.
    """

    text: bytes
    lines: list[int]
    malformed: list[Malformed]
    consumed: int
    newlines: int
    blank: int
    broken: int


class ParsedRow(NamedTuple):
    """One row: its values, its text, and the position of the next row.

    `stray_quote` and `stray_return`: whether an unquoted field contains a quote, a carriage return.
    """

    fields: list[bytes]
    text: bytes
    end: int
    stray_quote: bool
    stray_return: bool


class Structure:
    """Parses blocks of text with `columns` fields a row.

    The quotes of a row must be closed within `longest` bytes, unless it is one physical line.
    """

    def __init__(self, grammar: Grammar, columns: int, longest: int = 1 << 24) -> None:
        self._grammar = grammar
        self._columns = columns
        self._longest = longest
        mark, quote = re.escape(grammar.separator), re.escape(grammar.quote)
        escape, no_escape = (rb"\\.", rb"\\") if grammar.meanings else (rb"(?!)", b"")
        spaces = b" *+" if grammar.skips_spaces else b""
        begins = rb"(?!" + quote + rb")" if quote else b""
        self._escapes_unquoted = bool(grammar.meanings) and not quote
        unquoted = begins + rb"[^" + mark + rb"\n]*+"
        if self._escapes_unquoted:
            unquoted = rb"(?:[^" + mark + rb"\n\\]++|" + escape + rb")*+"
        open_ = quote + rb"(?:[^" + quote + no_escape + rb"]++|" + quote * 2 + rb"|" + escape + rb")*+"
        quoted = open_ + quote + spaces
        field = spaces + (rb"(?:" + quoted + rb"|" + unquoted + rb")" if quote else unquoted)
        fields = rb"(?:" + field + mark + rb")*+"
        self._field = re.compile(rb"(" + field + rb")" + mark, re.DOTALL)
        self._row = re.compile(fields + field + rb"\r*+\n", re.DOTALL)
        half = rb"(?:" + no_escape + rb")?+" if no_escape else b""
        begun = unquoted + half if self._escapes_unquoted else unquoted
        if quote:
            begun = rb"(?:" + open_ + rb"(?:" + quote + spaces + rb"\r*+|" + half + rb")|" + begun + rb")"
        self._begun = re.compile(fields + spaces + begun + rb"\Z", re.DOTALL)
        self._escape = re.compile(rb"\\(.)|" + (quote * 2 if quote else rb"(?!)"), re.DOTALL)
        self._is_plain = not (grammar.meanings or grammar.skips_spaces) and grammar.quote == b'"'

    def parse(self, block: bytes, *, last: bool) -> ParsedRows:
        """Parse a block that begins at the start of a row.

        `last`: no block follows that could complete an open row; the block must then end in a newline.
        """
        rows: list[bytes] = []
        lines: list[int] = []
        malformed: list[Malformed] = []
        start = line = blank = broken = 0
        comment = self._grammar.comment
        while start < len(block):
            match = None if comment and block.startswith(comment, start) else self._row.match(block, start)
            if match is None and comment and block.startswith(comment, start):
                end, row = block.find(b"\n", start), None
            else:
                end, row = self._end(block, start, match, last=last)
            if end < 0:
                break
            text = block[start:end]
            if row is None:
                blank += 1
            elif isinstance(row, Rule):
                malformed.append(Malformed(line, row if is_utf8(text) else ROW_NOT_TEXT, text))
            else:
                rows.append(row)
                lines.append(line)
                broken += self._broken(text) if b"\n" in text else 0
            line += text.count(b"\n") + 1
            start = end + 1
        return ParsedRows(b"".join(rows), lines, malformed, start, line, blank, broken)

    def _end(
        self, block: bytes, start: int, match: re.Match[bytes] | None, *, last: bool
    ) -> tuple[int, bytes | Rule | None]:
        """Return where the row at `start` ends, -1 where more text is needed.

        Beside it is the row in the plain dialect, the rule that it breaks, or `None` where it is blank.
        """
        if match and (match.end() - start <= self._longest or b"\n" not in block[start : match.end() - 1]):
            end = match.end() - 1
            text = block[start:end]
            if not text.strip(b"\r"):
                return end, None
            if self._grammar.is_crlf and not text.endswith(b"\r"):
                torn = end_of_torn(block, start, end + 1, last=last, longest=self._longest)
                if torn is not None:
                    return torn, ROW_TORN
            return end, self._whole(text) if is_utf8(text) else ROW_NOT_TEXT
        if match is None and not last and len(block) - start <= self._longest and self._begun.match(block, start):
            return WAIT, ROW_MISQUOTED
        end_ = end_of_broken(self._grammar, block, start, last=last, longest=self._longest)
        return block.find(b"\n", start) if end_ is None else end_, ROW_MISQUOTED

    def row(self, block: bytes, start: int) -> ParsedRow | None:
        """Parse the row that begins at `start`, with any number of fields; return `None` if it is misquoted."""
        match = self._row.match(block, start)
        if match is None:
            return None
        text = block[start : match.end() - 1]
        fields = self._fields(text)
        unquoted = b"".join(field for field in fields if not self._is_quoted(field))
        quote = self._grammar.quote
        stray_quote = bool(quote) and quote in unquoted
        stray_return = b"\r" in unquoted and not self._escapes_unquoted
        return ParsedRow([self._value(field) for field in fields], text, match.end(), stray_quote, stray_return)

    def _whole(self, text: bytes) -> bytes | Rule:
        """Return a row as Polars parses it, with its newline, or the rule that it breaks.

        Fields with quotes that are text, or with a carriage return at their end, which Polars would strip as a line
        end, are quoted.
        """
        separator, quote = self._grammar.separator, self._grammar.quote
        fields = None
        if not self._is_plain or b'"' in text or b"\r" in text:
            fields = self._fields(text)
        count = len(fields) if fields is not None else text.count(separator) + 1
        if count != self._columns:
            return ROW_TOO_SHORT if count < self._columns else ROW_TOO_LONG
        if self._grammar.empty_last and (fields[-1] if fields is not None else not text.endswith(separator)):
            return ROW_TOO_LONG
        if fields is None:
            return text + b"\n"
        if quote and quote in text and has_two_readings(self._grammar, fields):
            return ROW_MISQUOTED
        if self._is_plain:
            return separator.join(map(_quoted, fields)) + b"\n"
        return separator.join(b'"' + self._value(field).replace(b'"', b'""') + b'"' for field in fields) + b"\n"

    def _fields(self, text: bytes) -> list[bytes]:
        """Split a row that matches `_row`, without its newline."""
        end = text.rstrip(b"\r")
        if self._escapes_unquoted and len(end) < len(text) and (len(end) - len(end.rstrip(b"\\"))) % 2:
            end += b"\r"  # it is escaped
        fields: list[bytes] = self._field.findall(end + self._grammar.separator)
        if self._grammar.skips_spaces:
            fields = [field.lstrip(b" ") for field in fields]
            return [field.rstrip(b" ") if self._is_quoted(field) else field for field in fields]
        return fields

    def _is_quoted(self, field: bytes) -> bool:
        return bool(self._grammar.quote) and field.startswith(self._grammar.quote)

    def _value(self, field: bytes) -> bytes:
        """Return the value of a field."""
        quote, meanings = self._grammar.quote, self._grammar.meanings
        is_quoted = self._is_quoted(field)
        value = field[1:-1] if is_quoted else field
        if not meanings:
            return value.replace(quote * 2, quote) if is_quoted else value
        if value == rb"\N" and not is_quoted:
            return b""
        if not is_quoted and quote:
            return value

        def meaning(found: re.Match[bytes]) -> bytes:
            if not found[1]:
                return quote
            meant = meanings[found[1][0] :][:1]
            return found[0] if meant == b"\\" != found[1] else meant

        return self._escape.sub(meaning, value)

    def _broken(self, text: bytes) -> int:
        """Count the fields of a row that hold newlines."""
        return sum(b"\n" in field for field in self._fields(text))


def _quoted(field: bytes) -> bytes:
    """Return a field in quotes, if Polars would not parse it as it is."""
    if not field.startswith(b'"') and (b'"' in field or field.endswith(b"\r")):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field
