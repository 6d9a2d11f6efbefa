"""CSV, TSV and their like: every field is text, and every row is accounted for.

`texts` reads them in workers. The compiled loops parse them or, where there are none, `structure` and Polars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.pool import Bytes
from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.kernel.form import Form, Layout
from converter.sources.base import Rest
from converter.sources.engine import collect
from converter.sources.malformed import NONE, MalformedRows
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.sources.structure import ParsedRow, Structure
from converter.sources.texts import Body, Parser, Rows, TextSource, joined
from converter.spec.rules import ROW_MISQUOTED

_HEAD = 1 << 16  # bytes that are read for the header, at first
_LONGEST_ROW = 16 << 20
_LONGEST_HEAD = 1 << 20  # bytes, even where rows must be shorter
_GUESSED = ",;\t|"
_BOM = b"\xef\xbb\xbf"


class _Head(NamedTuple):
    """The first row: its text, with its newline and the blank lines before it, the separator, and its fields."""

    text: bytes
    separator: str
    fields: tuple[str, ...]


class DelimitedSource(TextSource):
    """One delimited text. It is read up to `block` bytes at a time; a row may be as long as `longest_row` bytes."""

    def __init__(
        self,
        origin: Origin,
        options: Input,
        *,
        tabs: bool = False,
        block: int = _LONGEST_ROW,
        longest_row: int = _LONGEST_ROW,
    ) -> None:
        self.origin = origin
        self._options = options
        self.has_header = options.header
        self.most = min(block, longest_row)
        self.longest = longest_row
        with TextStream(origin, options.encoding, options.member) as stream:
            head = self._head(stream, options.separator or ("\t" if tabs else _GUESSED))
            offset = stream.offset
        self.separator = head.separator
        skipped = b"" if not options.header else head.text
        start = None if offset is None else offset + len(skipped)
        self.body = Body(origin, options.encoding, len(skipped), skipped.count(b"\n"), start, options.member)
        self.names = self._names(head.fields)
        self.layout = DelimitedSource, self.separator, self.names
        # The header of a plain text, with all that precedes it.
        self.start = _BOM[: offset or 0] + skipped if start is not None and skipped.endswith(b"\n") else b""

    def parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its rows."""
        return _LoopsParser(self, columns, loops) if loops else _PythonParser(self, columns)

    def _head(self, stream: TextStream, separators: str) -> _Head:
        """Parse the first row, by the same rules as all others."""
        text, ended, most = b"", False, max(self.longest, _LONGEST_HEAD)
        while not ended and len(text) < most and not _ends_a_row(text):  # a header is short: only the start is read
            block = bytearray(min(max(_HEAD, len(text)), most - len(text)))
            read = stream.readinto(memoryview(block))
            text += block[:read]
            ended = read < len(block)
        count = len(text)
        if ended and not text.endswith(b"\n"):
            text += b"\n"  # a first line without its newline
        start = len(text) - len(text.lstrip(b"\r\n"))
        if start == len(text):
            return _Head(text[:count], separators[0], ())
        line = text[start : text.find(b"\n", start) + 1]
        if not line:
            raise InputError(
                "E-LINE-ENDLESS",
                f"The first row of '{self.origin.label}' has no end within {most >> 20} MiB.",
                "Is it a delimited text file, with lines that end in a newline?",
            )
        if b"\0" in line:
            raise InputError(
                "E-HEADER-NUL",
                f"The first row of '{self.origin.label}' has NUL characters: most likely it is UTF-16.",
                'Set input.encoding, for example to "utf-16-le", or input.format.',
            )
        separator, row = _guess(text, start, line, separators)
        if b"\r" in line.strip(b"\r\n") if row is None else row.stray_return:
            raise InputError(
                "E-LINE-ENDS",
                f"The first line of '{self.origin.label}' holds a carriage return in its middle: "
                "the lines seem to end in CR only, as on very old systems.",
                "Convert the line ends to LF or CRLF.",
            )
        if row is None:
            raise InputError(
                "E-HEADER-QUOTES",
                f"The first row of '{self.origin.label}' has a double quote that is never closed, or text after one "
                "that closes a field.",
                "Correct the first row.",
            )
        try:
            fields = tuple(str(field, "utf-8") for field in row.fields)
        except UnicodeDecodeError as error:
            raise InputError(
                "E-INPUT-ENCODING",
                f"The first row of '{self.origin.label}' is not UTF-8.",
                'Set input.encoding, for example to "cp1252".',
            ) from error
        return _Head(text[: min(row.end, count)], separator, fields)

    def _names(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        if self._options.header:
            return tuple(name.strip() for name in fields)
        if fields and len(fields) != len(self._options.columns):
            raise InputError(
                "E-HEADER-FIELDS",
                f"The first row of '{self.origin.label}' has {len(fields)} fields, but input.columns names "
                f"{len(self._options.columns)}.",
                "Name every column, in order.",
            )
        if fields and [name.strip().casefold() for name in fields] == [*map(str.casefold, self._options.columns)]:
            raise InputError(
                "E-HEADER-UNEXPECTED",
                f"The first row of '{self.origin.label}' has the names of input.columns, but input.header is false.",
                "Remove input.header and input.columns: otherwise the header would be sent as a row.",
            )
        return self._options.columns


class _Parser:
    """What both parsers have in common."""

    quoted = True

    def __init__(self, source: DelimitedSource, columns: Sequence[str]) -> None:
        self.longest = source.longest
        self._origin = source.origin
        self._columns = columns

    def endless(self, text: bytes) -> Rows:
        """Reject the first line of a text that begins with a row that is too long."""
        end = text.find(b"\n")
        if end < 0:
            raise InputError(
                "E-LINE-ENDLESS",
                f"The input '{self._origin.label}' has a line of more than {self.longest >> 20} MiB without an end.",
                "Is it a delimited text file, with lines that end in a newline?",
            )
        malformed = MalformedRows.of_rows([(0, ROW_MISQUOTED, text[:end])])
        return self._nothing()._replace(malformed=malformed, newlines=[1], consumed=end + 1)

    def _nothing(self) -> Rows:
        """Return what there is where there is no text."""
        return Rows(0, Rest.of_chunks([], self._columns), np.empty(0, np.int64), NONE, 0, [], 0)


class _LoopsParser(_Parser):
    """Parses delimited text by the compiled loops."""

    def __init__(self, source: DelimitedSource, columns: Sequence[str], loops: Loops) -> None:
        super().__init__(source, columns)
        index = {name: number for number, name in enumerate(columns)}
        self._loops = loops
        slots = [index.get(name, -1) for name in source.names]
        self._layout = Layout(source.separator, slots, len(columns), source.longest)

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse texts; see `Parser`."""
        if not texts:
            return self._nothing()
        parsed = self._loops.delimited(texts, self._layout, form, last=last)
        malformed = MalformedRows.of_loops(parsed.malformed, texts)
        rest = Rest.of_chunks([parsed.chunk] if parsed.chunk.rows else [], self._columns)
        newlines, consumed = parsed.newlines, parsed.consumed
        return Rows(parsed.rows, rest, parsed.numbers, malformed, parsed.blank, newlines, consumed, parsed.lines)


class _PythonParser(_Parser):
    """Parses delimited text by `Structure`, and its whole rows by Polars."""

    def __init__(self, source: DelimitedSource, columns: Sequence[str]) -> None:
        super().__init__(source, columns)
        self._separator = source.separator
        self._structure = Structure(source.separator, len(source.names))
        # Columns that share a name are renamed to their index; no job can use them.
        counts = Counter(source.names)
        names = (name if counts[name] == 1 else f"\0{index}" for index, name in enumerate(source.names))
        self._schema = dict.fromkeys(names, pl.String())

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse texts; see `Parser`."""
        del form  # the rows have no lines yet
        whole = [True] * (len(texts) - 1) + [last]
        parts = zip(texts, whole, strict=False)
        parsed = [self._parsed(text[:size].tobytes(), last=ends) for (text, size), ends in parts]
        return joined(parsed) if parsed else self._nothing()

    def _parsed(self, text: bytes, *, last: bool) -> Rows:
        parsed = self._structure.parse(text, last=last)
        malformed = MalformedRows.of_rows(parsed.malformed)
        rest = Rest.of_frame(self._frame(parsed.text))
        numbers = np.array(parsed.lines, np.int64)
        return Rows(len(numbers), rest, numbers, malformed, parsed.blank, [parsed.newlines], parsed.consumed)

    def _frame(self, text: bytes) -> pl.DataFrame:
        """Parse whole rows."""
        if not text:
            return pl.DataFrame(schema=dict.fromkeys(self._columns, pl.String))
        # Polars removes a byte order mark from every text: one more keeps one that is text.
        text = _BOM + text if text.startswith(_BOM) else text
        scan = pl.scan_csv(
            text, has_header=False, schema=self._schema, separator=self._separator, empty_string_is_null=False
        )
        return collect(self._origin, scan.select(self._columns))


def _ends_a_row(text: bytes) -> bool:
    """Return whether a text contains the end of the first row, after blank lines."""
    end = len(text) - len(text.lstrip(b"\r\n"))
    quotes = 0
    while following := text.find(b"\n", end) + 1:
        quotes += text.count(b'"', end, following)
        end = following
        if quotes % 2 == 0:
            return True
    return False


def _guess(text: bytes, start: int, line: bytes, separators: str) -> tuple[str, ParsedRow | None]:
    """Return the separator that fits the row at `start` best, and the row parsed by it, `None` if misquoted.

    It is the one that leaves no double quote inside an unquoted field, and among those the one that gives most fields.
    """
    rows = {mark: Structure(mark, 0).row(text, start) for mark in separators}

    def score(mark: str) -> tuple[bool, int]:
        row = rows[mark]
        if row is None:
            return False, line.count(mark.encode()) + 1
        return not row.stray_quote, len(row.fields)

    best = max(separators, key=score)
    return best, rows[best]
