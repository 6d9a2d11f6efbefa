"""CSV, TSV and their like: every field is text, and every row is accounted for.

An input is read in blocks; the structure of each is proven (`structure.py`) before Polars parses it.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from converter.columns.pool import Pool
from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Form, Loops
from converter.sources.base import FIRST_BYTES, Block, Budget, MalformedRow, Piece, Rest, Task
from converter.sources.engine import collect
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.sources.structure import Malformed, ParsedRow, ParsedRows, Structure
from converter.spec.rules import ROW_MISQUOTED

_BLOCK = 12 << 20  # for the loops, measured: smaller ones take longer, larger ones more memory
_PARSED_BYTES = 4 << 20  # for Polars, likewise: frames of short rows take many times the memory of their text
_HEAD = 1 << 16  # bytes that are read for the header, at first
_LONGEST_ROW = 16 << 20
_LONGEST_HEAD = 1 << 20  # bytes, even where blocks are smaller
_GUESSED = ",;\t|"
_BOM = b"\xef\xbb\xbf"


class _Head(NamedTuple):
    """The first row: its text, with its newline and the blank lines before it, the separator, and its fields."""

    text: bytes
    separator: str
    fields: tuple[str, ...]


class DelimitedSource:
    """One delimited text. It is read `block` bytes at a time; a row may be as long as `longest_row` bytes."""

    json_lists = False
    nullable = False

    def __init__(
        self,
        origin: Origin,
        options: Input,
        *,
        tabs: bool = False,
        block: int = _BLOCK,
        longest_row: int = _LONGEST_ROW,
    ) -> None:
        self.origin = origin
        self._options = options
        self.has_header = options.header
        self._block = block
        self._longest = max(longest_row, block)
        with TextStream(origin, options.encoding) as stream:
            head = self._head(stream, options.separator or ("\t" if tabs else _GUESSED))
        self._separator = head.separator
        self._skipped = b"" if not options.header else head.text
        self.names = self._names(head.fields)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns, all of String. Columns that share a name are one here; a job cannot use them."""
        return {name: pl.String() for name in self.names}

    def beginning(self) -> Self:
        """Return the same source, which reads less at once."""
        other = copy.copy(self)
        other._block = min(self._block, FIRST_BYTES)
        return other

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the input, one block at a time."""
        del loops, budget
        size = min(self._block, _PARSED_BYTES)
        with TextStream(self.origin, self._options.encoding) as stream:
            line, position = self._skipped.count(b"\n"), 0
            for parsed in self._parts(stream, size):
                piece = Piece(self.origin, line + parsed.newlines, stream.position - position)
                yield Task(self, partial(self._block_of, parsed, line, piece, columns))
                line, position = 0, stream.position

    def _block_of(
        self, parsed: ParsedRows, first: int, piece: Piece, columns: Sequence[str], form: Form | None
    ) -> Block:
        del form  # no loop makes lines of texts yet
        lines = np.arange(parsed.rows) if parsed.lines is None else parsed.lines
        malformed = tuple(MalformedRow(first + row.line, row.rule, len(row.text), row.text) for row in parsed.malformed)
        frame = collect(self.origin, self._scan(parsed.text).select(columns))
        return Block((piece,), parsed.rows, Rest.of_frame(frame), lines + first, malformed, parsed.blank)

    def _scan(self, text: bytes) -> pl.LazyFrame:
        """Return whole rows as a frame with all columns."""
        # Columns that share a name are renamed to their index; no job can use them.
        counts = Counter(self.names)
        unique = [name if counts[name] == 1 else f"\0{index}" for index, name in enumerate(self.names)]
        schema = dict.fromkeys(unique, pl.String())
        if not text:
            return pl.LazyFrame(schema=schema)
        # Polars removes a byte order mark from every block: one more keeps one that is text.
        text = _BOM + text if text.startswith(_BOM) else text
        return pl.scan_csv(text, has_header=False, schema=schema, separator=self._separator, empty_string_is_null=False)

    def _parts(self, stream: TextStream, size: int) -> Iterator[ParsedRows]:
        """Read the input after the header, up to `size` bytes at a time, and find its rows. Buffers are reused."""
        structure = Structure(self._separator, len(self.names))
        pool = Pool()
        view = pool.lease(size).data  # of which a small file touches only the start
        filled = 0
        skip = len(self._skipped)
        while skip and (count := stream.readinto(view[: min(skip, size)])):
            skip -= count
        ended = False
        while not ended or filled:
            if not ended:
                count = stream.readinto(view[filled:-1])
                filled += count
                ended = filled < len(view) - 1
                if ended and filled and view[filled - 1] != 10:
                    view[filled] = 10  # a last line without its newline
                    filled += 1
            parsed = structure.parse(view[:filled], last=ended)
            if not parsed.consumed and filled:
                if not ended and len(view) < self._longest:
                    larger = pool.lease(min(2 * len(view), self._longest)).data
                    larger[:filled] = view[:filled]
                    view = larger
                    continue
                parsed = self._endless_row(view[:filled])
            yield parsed
            rest = view[parsed.consumed : filled].tobytes()
            filled = len(rest)
            view[:filled] = rest

    def _endless_row(self, block: memoryview) -> ParsedRows:
        """Reject the first line of a row that is longer than the longest row."""
        line_end = bytes(block).find(b"\n")
        if line_end < 0:
            raise InputError(
                "E-LINE-ENDLESS",
                f"The input '{self.origin.label}' has a line of more than {self._longest // 2**20} MiB without an end.",
                "Is it a delimited text file, with lines that end in a newline?",
            )
        text = bytes(block[:line_end])
        return ParsedRows(b"", 0, None, (Malformed(0, ROW_MISQUOTED, text),), line_end + 1, 1, 0)

    def _head(self, stream: TextStream, separators: str) -> _Head:
        """Parse the first row, by the same rules as all others."""
        text, ended, most = b"", False, max(self._block, _LONGEST_HEAD)
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
                f"The first row of '{self.origin.label}' holds NUL characters, as UTF-16 in another encoding does.",
                'Set input.encoding (for example "utf-16-le") or input.format.',
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
        return self._options.columns


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
