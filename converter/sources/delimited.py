"""CSV, TSV and their like: every field is text, and every row is accounted for.

`texts` reads them in workers. The compiled loops parse them or, where there are none, `structure` and Polars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from converter.columns.pool import Bytes
from converter.errors import ColumnError, InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.kernel.form import Form, Grammar, Layout
from converter.sources.base import Rest
from converter.sources.engine import collect
from converter.sources.heads import read_head
from converter.sources.malformed import NONE, MalformedRows
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.sources.structure import Structure
from converter.sources.texts import Body, Parser, Rows, TextSource, joined
from converter.spec.ids import TRIMMED
from converter.spec.rules import ROW_MISQUOTED

_LONGEST_ROW = 16 << 20
_BOM = b"\xef\xbb\xbf"
_NO_NAME = "\0"  # of the column after the last one, which is empty


class DelimitedSource(TextSource):
    """One delimited text. It is read up to `block` bytes at a time; a row may be as long as `longest_row` bytes."""

    grammar: Grammar

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
            head = read_head(origin, stream, options, self.longest, tabs=tabs)
            offset = stream.offset
        self.grammar = head.grammar
        skipped = head.before + (head.row if options.header else b"")
        start = None if offset is None else offset + len(skipped)
        self.body = Body(origin, options.encoding, len(skipped), skipped.count(b"\n"), start, options.member)
        self.names = self._names(head.fields[:-1] if head.grammar.empty_last else head.fields)
        self.layout = DelimitedSource, self.grammar, self.names
        # The header of a plain text, with all that precedes it.
        is_alike = options.header and head.is_own and start is not None and skipped.endswith(b"\n")
        self.start = _BOM[: offset or 0] + skipped if is_alike else b""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields of a row."""
        return (*self.names, _NO_NAME) if self.grammar.empty_last else tuple(self.names)

    def begins(self, start: bytes) -> bool:
        """Return whether another input with this start has the same header, and a first row that ends alike."""
        if not super().begins(start):
            return False
        row, newline, _ = start[len(self.start) :].partition(b"\n")
        is_alike = row.endswith(b"\r") or not self.grammar.is_crlf
        return not newline or (is_alike and not row.rstrip(b"\r ").endswith(self.grammar.separator.strip(b" ")))

    def parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its rows."""
        return _LoopsParser(self, columns, loops) if loops else _PythonParser(self, columns)

    def _names(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        if self._options.header:
            return tuple(name.strip().strip(TRIMMED) for name in fields)
        if fields and len(fields) != len(self._options.columns):
            raise ColumnError(
                "E-HEADER-FIELDS",
                f"The first row of '{self.origin.label}' has {len(fields)} fields, but input.columns names "
                f"{len(self._options.columns)}.",
                "Name every column, in order.",
            )
        if fields and [name.strip().casefold() for name in fields] == [*map(str.casefold, self._options.columns)]:
            raise ColumnError(
                "E-HEADER-UNEXPECTED",
                f"The first row of '{self.origin.label}' has the names of input.columns, but input.header is false.",
                "Remove input.header and input.columns: otherwise the header would be sent as a row.",
            )
        return self._options.columns


class _Parser:
    """What both parsers have in common."""

    def __init__(self, source: DelimitedSource, columns: Sequence[str]) -> None:
        self.grammar: Grammar | None = source.grammar
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
        slots = [index.get(name, -1) for name in source.fields]
        self._layout = Layout(source.grammar, slots, len(columns), source.longest)

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse texts; see `Parser`."""
        if not texts:
            return self._nothing()
        parsed = self._loops.delimited(texts, self._layout, form, last=last)
        malformed = MalformedRows.of_loops(parsed.malformed, texts)
        rest = Rest.of_chunks([parsed.chunk] if parsed.chunk.rows else [], self._columns)
        newlines, consumed = parsed.newlines, parsed.consumed
        return Rows(
            parsed.rows, rest, parsed.numbers, malformed, parsed.blank, newlines, consumed, parsed.lines, parsed.broken
        )


class _PythonParser(_Parser):
    """Parses delimited text by `Structure`, and its whole rows by Polars."""

    def __init__(self, source: DelimitedSource, columns: Sequence[str]) -> None:
        super().__init__(source, columns)
        self._separator = source.grammar.separator.decode()
        self._structure = Structure(source.grammar, len(source.fields), source.longest)
        # Columns that share a name are renamed to their index; no job can use them.
        counts = Counter(source.fields)
        names = (name if counts[name] == 1 else f"\0{index}" for index, name in enumerate(source.fields))
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
        newlines, consumed = [parsed.newlines], parsed.consumed
        return Rows(len(numbers), rest, numbers, malformed, parsed.blank, newlines, consumed, broken=parsed.broken)

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
