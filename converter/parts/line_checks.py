"""The rules on the lines of an inbound file that exists, checked a chunk of lines at a time.

The positions of the few bytes that matter (newlines, tabs, commas …) are found once for a chunk, and compared with the
positions where lines start and end. No line is handled by itself, and no content is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.privacy import personal_kind
from converter.columns.utf8 import invalid_utf8, is_utf8
from converter.kernel.calls import Loops
from converter.kernel.form import SLACK
from converter.kernel.seen import Seen
from converter.parts.grammar import Grammar
from converter.parts.id_patterns import patterns_of, types_of
from converter.parts.line_columns import LineColumns, column_of_any
from converter.parts.line_pairs import PairCounters
from converter.parts.line_users import UserCounters
from converter.parts.problems import Example, Positions, Problems
from converter.parts.received import Received, received
from converter.parts.shapes import shape_of
from converter.spec.files import (
    BLANK,
    BYTE_ORDER_MARK,
    CLEARS_USER,
    COLUMN_EMPTY,
    COLUMNS_WRONG,
    CRLF,
    ENDS_IN_SPACE,
    ENDS_IN_TAB,
    HASHES_END_IN_TAB,
    HASHES_WRONG,
    ID_RULES,
    LINE_TOO_LONG,
    MOST_HASHES,
    NOT_THREE_FIELDS,
    NOT_TWO_FIELDS,
    NOT_UTF8,
    NUL,
    SIGNAL_EMPTY,
    STRAY_RETURN,
    TYPE_MISSING,
    WITHOUT_ID,
    WITHOUT_SIGNAL,
    FileRule,
)
from converter.spec.limits import LINE_BYTES
from converter.spec.names import WITH_SIGNALS, FileName

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_SLICE = 1 << 16  # bytes that stay in the nearest cache, and take no fresh memory from the system
_NONE: Positions = np.zeros(0, np.int64)
_MARK = b"\xef\xbb\xbf"
_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _COMMA = b'\t\n\r ",'


class _Chunk(NamedTuple):
    """A chunk of lines: for each line its number, where it starts, stops and ends, and whether it is blank.

    `stops` exclude the line ending, `ends` are the positions of the newlines. The tabs of line i are
    `tabs[first[i] : first[i] + counts[i]]`; `controls` are the positions of all bytes below the space, and `control`
    are these bytes.
    """

    text: bytes
    array: Bytes
    numbers: Positions
    starts: Positions
    stops: Positions
    ends: Positions
    blank: Mask
    tabs: Positions
    first: Positions
    counts: Positions
    controls: Positions
    control: Bytes

    @classmethod
    def of(cls, text: bytes, number: int) -> _Chunk:
        """Find the positions in a text that ends in a newline; its first line has the number `number`."""
        array = np.frombuffer(text, np.uint8)
        controls = _positions(len(array), lambda part: array[part] < _SPACE)  # a single search: it is most of the work
        control = array[controls]
        is_end, is_tab = control == _NEWLINE, control == _TAB
        ends = controls[is_end]
        starts = _starts_after(ends + 1)
        stops = ends - ((array[ends - 1] == _RETURN) & (ends > starts))
        until = np.cumsum(is_tab)[is_end]
        first = _starts_after(until)
        numbers = np.arange(number, number + len(ends))
        blank = starts == stops
        return cls(
            text, array, numbers, starts, stops, ends, blank, controls[is_tab], first, until - first, controls, control
        )


class ChunkFound(NamedTuple):
    """What a chunk of lines breaks, as if it were the start of a file, how many lines it has, and which users.

    `filled`: one of them is not blank. `received` counts the lines and signals of files that have signals.
    """

    problems: Problems
    lines: int
    filled: bool
    seen: Seen | None
    received: Received = Received()


class LineChecker:
    """Checks lines by the rules of their kind of file, or by those of all kinds where the kind is not known.

    With compiled loops, only lines that these doubt meet the rules. Threads may share it.
    """

    def __init__(
        self,
        name: FileName | None,
        loops: Loops | None,
        counters: UserCounters | None = None,
        pairs: PairCounters | None = None,
    ) -> None:
        self._name = name
        self._loops = loops
        self._counters = counters if name and name.kind in WITH_SIGNALS else None
        self._pairs = pairs if name and name.kind not in WITH_SIGNALS else None
        self._grammar = Grammar(name) if name else None
        self._columns = LineColumns(name, self._grammar.forms) if name and self._grammar else None
        self._form = self._grammar.line_form() if self._grammar and loops else None

    def check(self, chunk: bytes, *, first: bool) -> ChunkFound:
        """Check a chunk of lines, which ends in a newline and `SLACK` bytes more; `first` is that of the file."""
        text, size = np.frombuffer(chunk, np.uint8), len(chunk) - SLACK
        seen = self._counters.see(self._name, chunk) if self._counters and self._name else None
        if self._pairs and self._name:
            self._pairs.count(self._name, chunk)
        if self._loops and self._form and (chunk.isascii() or is_utf8(chunk)):
            found = self._loops.doubted(text, size, self._form)
            plain = Received(found.lines - len(found.numbers), signals=found.signals)
            if not len(found.numbers):
                return ChunkFound(Problems(), found.lines, found.lines > 0, seen, plain)
            doubted = [chunk[start:end] for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
            lines = _Chunk.of(b"".join(doubted), 0)._replace(numbers=1 + found.numbers)
            count = found.lines
        else:
            plain = Received()
            lines = _Chunk.of(chunk[:size], 1)
            count = len(lines.ends)
        if self._name and self._name.kind in WITH_SIGNALS:
            plain = plain.plus(received(lines.text, self._name))
        check = _ChunkCheck(self._name, self._grammar, self._columns)
        check.check(lines, first=first)
        return ChunkFound(check.problems, count, check.filled or len(lines.ends) < count, seen, plain)

    def note_lines(self, problems: Problems, rule: FileRule, chunk: bytes, numbers: Positions) -> None:
        """Note lines of a chunk, by their numbers, that break a rule because of other lines."""

        def examples(count: int) -> Iterator[Example]:
            lines = chunk[: len(chunk) - SLACK].split(b"\n") if len(numbers) else []
            for number in numbers[:count].tolist():
                line = lines[number - 1].removesuffix(b"\r")
                yield Example(number, self._columns.of(rule, line) if self._columns else None, shape_of(line))

        problems.note(rule, numbers, examples)


class _ChunkCheck:
    """The check of lines by all rules, once."""

    def __init__(self, name: FileName | None, grammar: Grammar | None, columns: LineColumns | None) -> None:
        self._name, self._grammar, self._columns = name, grammar, columns
        self.problems = Problems()
        self.filled = False
        self._lines: _Chunk

    def check(self, lines: _Chunk, *, first: bool) -> None:
        """Check lines by all rules."""
        lengths = lines.ends + 1 - lines.starts
        if int(lengths.max()) > LINE_BYTES.value:  # left out of the checks that follow
            self.filled = True
            self._lines = lines
            short = lengths <= LINE_BYTES.value
            self._note(LINE_TOO_LONG, lines.numbers[~short])
            if not short.any():
                return
            left = _Chunk.of(lines.array[np.repeat(short, lengths)].tobytes(), 0)
            lines = left._replace(numbers=lines.numbers[short])
        if first and lines.numbers[0] == 1 and lines.text.startswith(_MARK):
            self._lines = lines
            self._note(BYTE_ORDER_MARK, lines.numbers[:1])
            lines = _Chunk.of(lines.text[len(_MARK) :], 1)._replace(numbers=lines.numbers)
        self._lines = lines
        self._check_chunk(lines)

    def _note(self, rule: FileRule, numbers: Positions) -> None:
        """Note lines of the chunk, by their numbers."""

        def examples(count: int) -> Iterator[Example]:
            for number in numbers[:count].tolist():
                index = int(np.searchsorted(self._lines.numbers, number))
                line = self._lines.text[self._lines.starts[index] : self._lines.stops[index]]
                column = self._columns.of(rule, line) if self._columns else column_of_any(rule, line)
                yield Example(number, column, shape_of(line))

        self.problems.note(rule, numbers, examples)

    def _check_chunk(self, lines: _Chunk) -> None:
        def numbers_of(positions: Positions) -> Positions:
            return lines.numbers[_distinct(np.searchsorted(lines.ends, positions))]

        is_text = lines.text.isascii() or is_utf8(lines.text)
        if not is_text:
            self._note(NOT_UTF8, numbers_of(invalid_utf8(lines.array)))
        if len(lines.controls) > len(lines.ends) + len(lines.tabs):
            self._note(NUL, numbers_of(lines.controls[lines.control == 0]))
            returns = lines.controls[lines.control == _RETURN]
            self._note(STRAY_RETURN, numbers_of(returns[lines.array[returns + 1] != _NEWLINE]))
            self._note(CRLF, lines.numbers[lines.stops < lines.ends])
        self._note(BLANK, lines.numbers[lines.blank])
        self.filled = self.filled or not lines.blank.all()
        if self._name:
            check = self._check_signals if self._name.kind in WITH_SIGNALS else self._check_id_columns
            check(lines, self._name)
        if self._grammar:
            for rule, broken in self._grammar.broken(lines.text, lines.starts, is_text=is_text):
                self._note(rule, lines.numbers[broken])

    def _check_signals(self, lines: _Chunk, name: FileName) -> None:
        """Check lines of data files: an ID, or a type and an ID, followed by the signals."""
        array, typed = lines.array, name.kind == "odc"
        right = lines.counts == 1 + typed
        self._note(NOT_THREE_FIELDS if typed else NOT_TWO_FIELDS, lines.numbers[~right & ~lines.blank])
        numbers, starts, stops = lines.numbers[right], lines.starts[right], lines.stops[right]
        tabs = lines.tabs[lines.first[right] + typed]  # before the signals
        if typed:
            before = lines.tabs[lines.first[right]]
            self._note(TYPE_MISSING, numbers[starts == before])
            starts = before + 1
        self._note(WITHOUT_ID, numbers[starts == tabs])
        none = tabs + 1 == stops
        self._note(CLEARS_USER if name.mode == "overwrite" else WITHOUT_SIGNAL, numbers[none])
        gaps = (array[tabs + 1] == _COMMA) | (array[stops - 1] == _COMMA)
        commas, after = array[:-1], array[1:]
        positions = _positions(len(commas), lambda part: (commas[part] == _COMMA) & (after[part] == _COMMA))
        if len(positions):
            gaps |= _in_signals(array, positions, tabs, stops)
        self._note(SIGNAL_EMPTY, numbers[gaps])
        self._check_ids(lines, numbers, starts, tabs, name)

    def _check_id_columns(self, lines: _Chunk, name: FileName) -> None:
        """Check lines of ID synchronization files: IDs that belong together."""
        hashes = name.kind == "c2c-id-sync"
        last = lines.array[lines.stops - 1]
        in_tab = ~lines.blank & (last == _TAB)
        self._note(HASHES_END_IN_TAB if hashes else ENDS_IN_TAB, lines.numbers[in_tab])
        self._note(ENDS_IN_SPACE, lines.numbers[~lines.blank & (last == _SPACE)])
        columns = lines.counts + 1 - in_tab  # a tab at the end is reported already
        least, most = (2, 1 + MOST_HASHES) if hashes else (len(name.dpids),) * 2
        right = ~lines.blank & (columns >= least) & (columns <= most)
        self._note(HASHES_WRONG if hashes else COLUMNS_WRONG, lines.numbers[~right & ~lines.blank])
        between = np.repeat(right, lines.counts)
        between[(lines.first + lines.counts - 1)[in_tab]] = False
        tabs = lines.tabs[between]
        ends_line = np.zeros(int(columns[right].sum()), np.bool_)  # of each column
        ends_line[np.cumsum(columns[right]) - 1] = True
        starts, stops = np.empty((2, len(ends_line)), np.int64)
        stops[ends_line], stops[~ends_line] = (lines.stops - in_tab)[right], tabs
        begins_line = np.roll(ends_line, 1)
        starts[begins_line], starts[~begins_line] = lines.starts[right], tabs + 1
        numbers = np.repeat(lines.numbers[right], columns[right])
        self._note(COLUMN_EMPTY, _distinct(numbers[starts == stops]))
        self._check_ids(lines, numbers, starts, stops, name)

    def _check_ids(
        self, lines: _Chunk, numbers: Positions, starts: Positions, stops: Positions, name: FileName
    ) -> None:
        """Check the IDs between `starts` and `stops`; `numbers` are the numbers of their lines."""
        given = np.flatnonzero(starts < stops)
        if not len(given):
            return
        ids = _texts_between(lines.array, starts[given], stops[given])
        for rule, file_rule in ID_RULES:
            # Bare numbers are IDs more often than cards.
            rejects = rule.rejects(pl.col("id"), personal_kind(pl.col("id"), cards=False))
            # Without the white space around it as well: it must hide nothing, and it may be forbidden itself.
            broken = [
                each.to_frame("id").select(rejects.fill_null(value=False)).to_series()
                for each in (ids, ids.str.strip_chars())
            ]
            self._note(file_rule, _distinct(numbers[given[(broken[0] | broken[1]).to_numpy()]]))
        types = types_of(name)
        matching: dict[FileRule, Mask] = {}  # of all IDs of a line: it may break a rule in several columns
        for index, type_ in enumerate(types):
            of_type = given % len(types) == index  # lines with another number of columns are left out before
            for type_rule, pattern in patterns_of(type_, name.kind):
                matches = ids.str.contains(pattern).to_numpy() & of_type
                matching[type_rule] = matching.get(type_rule, False) | matches
        for type_rule, matches in matching.items():
            self._note(type_rule, _distinct(numbers[given[matches]]))


def _starts_after(ends: Positions) -> Positions:
    """Return the starts of adjacent ranges from their ends."""
    return np.concatenate([np.zeros(1, ends.dtype), ends[:-1]])


def _distinct(positions: Positions) -> Positions:
    """Return ascending positions without duplicates."""
    distinct: Positions = positions[np.diff(positions, prepend=-1) != 0]
    return distinct


def _in_signals(array: Bytes, positions: Positions, tabs: Positions, stops: Positions) -> Mask:
    """Return for each line whether a position is in its signals, outside quotes."""
    line = np.searchsorted(stops, positions)
    inside = line < len(stops)
    positions, line = positions[inside], line[inside]
    quotes = np.flatnonzero(array == _QUOTE)
    quoted = np.searchsorted(quotes, positions) - np.searchsorted(quotes, tabs[line])
    gaps = np.zeros(len(tabs), np.bool_)
    gaps[line[(positions > tabs[line]) & (quoted & 1 == 0)]] = True
    return gaps


def _positions(size: int, test: Callable[[slice], Mask]) -> Positions:
    """Return the positions below `size` for which a test holds, tested in slices so that arrays stay small."""
    starts = range(0, size, _SLICE)
    return np.concatenate([_NONE, *(np.flatnonzero(test(slice(at, at + _SLICE))) + at for at in starts)])


def _texts_between(array: Bytes, starts: Positions, stops: Positions) -> pl.Series:
    """Return the texts between positions as a Series of String; none of them holds a newline."""
    lengths = stops - starts + 1  # with the byte after each, which becomes a newline
    ends = np.cumsum(lengths)
    text = array[np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)]
    text[ends - 1] = _NEWLINE
    return pl.Series([text[:-1].tobytes().decode(errors="replace")]).str.split("\n").explode()
