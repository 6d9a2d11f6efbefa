"""NDJSON: one JSON object a line. Numbers keep the digits they are written with.

Polars would parse `12.30` as a number and return `12.3`, and lose digits beyond its number types. So numbers are put in
quotes before Polars parses them, and every value is text. A line that is not one JSON object is rejected with its
number; it is found when Polars cannot parse its block. Invalid JSON that Polars would accept (half a surrogate pair,
and what begins like a number, once it is in quotes) is searched for before.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from converter.columns.utf8 import is_utf8
from converter.errors import EngineError, InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Form, Loops
from converter.sources.base import FIRST_BYTES, Block, Budget, MalformedRow, Piece, Rest, RowNumbers, Task
from converter.sources.engine import collect
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.spec.rules import ROW_NOT_JSON, ROW_NOT_TEXT

_BLOCK = 16 << 20
_LONGEST_LINE = 64 << 20
_HEAD = 1 << 20
_SAMPLE = 1000
_NEWLINE, _SPACE, _QUOTE, _MINUS, _ZERO, _COLON, _BACKSLASH = 10, 32, 34, 45, 48, 58, 92
_NUMBERS = re.compile(rb"(?:-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)? )*+")
_NUMBER_TO_QUOTE = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{200}|(?<![0-9])0[0-9]")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")

_IN_NUMBER = np.zeros(256, np.bool_)
_IN_NUMBER[np.frombuffer(b"0123456789+-.eE", np.uint8)] = True
_IN_WORD = _IN_NUMBER.copy()
_IN_WORD[np.frombuffer(b"abcdfghijklmnopqrstuvwxyz", np.uint8)] = True
_STARTS_NUMBER = np.zeros(256, np.bool_)
_STARTS_NUMBER[np.frombuffer(b"0123456789-", np.uint8)] = True


class NdjsonSource:
    """One NDJSON input; its columns are the keys of the first thousand lines, and those that the job names."""

    has_header = False
    json_lists = True
    nullable = True

    def __init__(self, origin: Origin, options: Input, *, block: int = _BLOCK) -> None:
        self.origin = origin
        self._options = options
        self._block = block
        names = dict.fromkeys(options.columns)
        for line in self._head().split(b"\n")[:_SAMPLE]:
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
        self.names = tuple(names)

    def _head(self) -> bytes:
        """Return the start of the input: a megabyte, or more where the first line is longer."""
        with TextStream(self.origin, self._options.encoding) as stream:
            head = b""
            buffer = bytearray(_HEAD)
            while b"\n" not in head and len(head) <= _LONGEST_LINE and (count := stream.readinto(memoryview(buffer))):
                head += buffer[:count]
        return head

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The keys; every value is text."""
        return {name: pl.String() for name in self.names}

    def beginning(self) -> Self:
        """Return the same source, which reads less at once."""
        small = copy.copy(self)
        small._block = FIRST_BYTES
        return small

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the input, some 16 MB at a time."""
        del loops, budget
        schema = {name: pl.String() for name in columns}
        position = 0
        with TextStream(self.origin, self._options.encoding) as stream:
            for block in self._read(stream):
                array = np.frombuffer(block, np.uint8)
                newlines = np.flatnonzero(array == _NEWLINE)
                piece = Piece(self.origin, len(newlines), stream.position - position)
                yield Task(self, partial(self._parse, block, newlines, schema, piece))
                position = stream.position

    def _read(self, stream: TextStream) -> Iterator[bytes]:
        """Yield blocks of whole lines."""
        rest = b""
        size = self._block
        while True:
            buffer = np.empty(size, np.uint8)  # of which a small file touches only the start
            count = stream.readinto(buffer.data)
            if not count:
                break
            block = rest + buffer[:count].tobytes()
            end = block.rfind(b"\n") + 1
            if not end and len(block) > _LONGEST_LINE:
                raise InputError(
                    "E-LINE-ENDLESS",
                    f"The input '{self.origin.label}' has a line of more than {_LONGEST_LINE >> 20} MiB without end.",
                    "Is it NDJSON, one JSON object a line?",
                )
            if end:
                yield block[:end]
            rest = block[end:]
        if rest:
            yield rest + b"\n"

    def _parse(
        self, block: bytes, newlines: RowNumbers, schema: Mapping[str, pl.DataType], piece: Piece, form: Form | None
    ) -> Block:
        del form  # no loop makes lines of objects yet
        starts = np.concatenate([[0], newlines[:-1] + 1])
        lengths = newlines - starts
        array = np.frombuffer(block, np.uint8)
        blank = (lengths == 0) | ((lengths == 1) & (array[starts] == 13))
        numbers = np.flatnonzero(~blank)
        text, sound = _quote_numbers(block, newlines)
        if blank.any():
            text = b"".join(line + b"\n" for line in text.split(b"\n") if line not in (b"", b"\r"))
        if sound and not _has_half_pairs(text):
            with contextlib.suppress(InputError, EngineError):
                frame = collect(self.origin, _frame(text, schema))
                if frame.height == len(numbers):
                    return Block((piece,), len(numbers), Rest.of_frame(frame), numbers, (), int(blank.sum()))
        text, numbers, malformed = _parsable(block.split(b"\n")[:-1], numbers)
        frame = collect(self.origin, _frame(text, schema))
        return Block((piece,), len(numbers), Rest.of_frame(frame), numbers, tuple(malformed), int(blank.sum()))


def _parsable(lines: list[bytes], numbers: RowNumbers) -> tuple[bytes, RowNumbers, list[MalformedRow]]:
    """Remove the lines that are not one JSON object each. Only a block that has some comes here."""
    malformed = []
    parsed = np.ones(len(numbers), np.bool_)
    for index, number in enumerate(numbers.tolist()):
        text = lines[number]
        if not _is_object(text):
            parsed[index] = False
            malformed.append(MalformedRow(number, ROW_NOT_JSON if is_utf8(text) else ROW_NOT_TEXT, len(text), text))
    good: RowNumbers = numbers[parsed]
    whole = b"".join(lines[number] + b"\n" for number in good.tolist())
    whole, _ = _quote_numbers(whole, np.flatnonzero(np.frombuffer(whole, np.uint8) == _NEWLINE))
    return whole, good, malformed


def _frame(text: bytes, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    return pl.scan_ndjson(text, schema=dict(schema)) if text else pl.LazyFrame(schema=dict(schema))


def _is_object(line: bytes) -> bool:
    """Return whether a line is one JSON object."""
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        if not _NUMBER_TO_QUOTE.search(line):
            return False
    # The reason may be a number too large for any type, or one like 007: in quotes, both are valid.
    text, sound = _quote_numbers(line + b"\n", np.array([len(line)]))
    try:
        return sound and isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _quote_numbers(text: bytes, newlines: RowNumbers) -> tuple[bytes, bool]:
    """Put numbers outside strings in double quotes; return also whether all are valid, and all strings are closed."""
    array = np.frombuffer(text, np.uint8)
    quotes = _unescaped_quotes(array, text)
    sound = not (np.searchsorted(quotes, newlines) & 1).any()
    word = _IN_WORD[array]
    edges = np.flatnonzero(np.diff(word, prepend=False, append=False))
    starts, ends = edges[0::2], edges[1::2]
    outside = ((np.searchsorted(quotes, starts) & 1) == 0) & _STARTS_NUMBER[array[starts]]
    starts, ends = starts[outside], ends[outside]
    if not len(starts):
        return text, sound
    sound = sound and _are_numbers(array, starts, ends)
    quoted = np.full(len(array) + 2 * len(starts), _QUOTE, np.uint8)
    kept = np.ones(len(quoted), np.bool_)
    kept[starts + 2 * np.arange(len(starts))] = False
    kept[ends + 2 * np.arange(len(starts)) + 1] = False
    quoted[kept] = array
    return quoted.tobytes(), sound


def _are_numbers(array: npt.NDArray[np.uint8], starts: RowNumbers, ends: RowNumbers) -> bool:
    """Return whether all these words are JSON numbers, which may begin with zeros, and none of them is a key."""
    after = array[ends]
    if (after <= _SPACE).any():
        others = np.flatnonzero(array > _SPACE)
        after = array[others[np.minimum(np.searchsorted(others, ends), len(others) - 1)]]
    if (after == _COLON).any():
        return False
    signed = array[starts] == _MINUS
    digits = ends - starts - signed
    lengths = ends - starts + 1
    until = np.cumsum(lengths)
    words = array[np.repeat(starts - until + lengths, lengths) + np.arange(until[-1])]
    words[until - 1] = _SPACE
    # Most are only digits, perhaps with a sign: the few others are matched by a pattern.
    usual = (words - _ZERO <= 9) | (words == _SPACE)
    usual[(until - lengths)[signed]] = True
    others = digits == 0
    others[np.searchsorted(until, np.flatnonzero(~usual), side="right")] = True
    return _NUMBERS.fullmatch(words[np.repeat(others, lengths)].tobytes()) is not None


def _has_half_pairs(text: bytes) -> bool:
    """Return whether the text may contain an escaped half of a surrogate pair without the other half."""
    return (b"\\ud" in text or b"\\uD" in text) and _HALF_PAIR.search(text) is not None


def _unescaped_quotes(array: npt.NDArray[np.uint8], text: bytes) -> npt.NDArray[np.int64]:
    """Return the positions of the quotes that no backslash escapes."""
    quotes = np.flatnonzero(array == _QUOTE)
    if b'\\"' not in text:
        return quotes
    # A quote is escaped by an odd number of backslashes directly before it.
    others = np.flatnonzero(array != _BACKSLASH)
    before = np.searchsorted(others, quotes) - 1
    run = quotes - np.where(before >= 0, others[before], -1) - 1
    return np.asarray(quotes[(run & 1) == 0])
