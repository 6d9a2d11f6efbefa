"""NDJSON: one JSON object a line. Numbers keep the digits they are written with.

The engine would read `12.30` as a number and give `12.3` back, and digits beyond its number types are lost. So
numbers are put in quotes before it sees them, and every value is text. A line that is not one JSON object is
rejected with its number; it shows when the engine cannot parse the piece that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from converter.errors import InputError
from converter.job import Input
from converter.sources.base import BadRow, InputFile, Piece, Rows
from converter.sources.streams import TextStream
from converter.spec.rules import ROW_NOT_JSON, ROW_NOT_TEXT

_BLOCK = 16 << 20
_LONGEST_LINE = 64 << 20
_SAMPLE = 1000
_NEWLINE, _QUOTE, _BACKSLASH = 10, 34, 92

_IN_NUMBER = np.zeros(256, np.bool_)
_IN_NUMBER[np.frombuffer(b"0123456789+-.eE", np.uint8)] = True
_IN_WORD = _IN_NUMBER.copy()
_IN_WORD[np.frombuffer(b"abcdfghijklmnopqrstuvwxyz", np.uint8)] = True
_STARTS_NUMBER = np.zeros(256, np.bool_)
_STARTS_NUMBER[np.frombuffer(b"0123456789-", np.uint8)] = True


class NdjsonSource:
    """One NDJSON file; its columns are the keys of the first thousand lines, and those that the job names."""

    json_lists = True
    nullable = True

    def __init__(self, file: InputFile, options: Input, *, block: int = _BLOCK) -> None:
        self.file = file
        self._options = options
        self._block = block
        names = dict.fromkeys(options.columns)
        with TextStream(file, options.encoding) as stream:
            head = bytearray(1 << 20)
            count = stream.readinto(memoryview(head))
        for line in bytes(head[:count]).split(b"\n")[:_SAMPLE]:
            try:
                found = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(found, dict):
                names.update(dict.fromkeys(found))
        self._names = tuple(names)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The keys; every value is text."""
        return {name: pl.String() for name in self._names}

    @property
    def repeated(self) -> set[str]:
        """Keys cannot be told apart by place."""
        return set()

    def pieces(self, columns: tuple[str, ...], loops: object = None) -> Iterator[Piece]:
        """Yield the file, some 16 MB at a time."""
        schema = {name: pl.String() for name in columns}
        line = 1
        with TextStream(self.file, self._options.encoding) as stream:
            for block in self._blocks(stream):
                array = np.frombuffer(block, np.uint8)
                newlines = np.flatnonzero(array == _NEWLINE)
                yield self._piece(block, newlines, line, schema, stream.position)
                line += len(newlines)

    def _blocks(self, stream: TextStream) -> Iterator[bytes]:
        """Yield stretches of whole lines."""
        rest = b""
        size = self._block
        while True:
            buffer = np.empty(size, np.uint8)  # of which a small file touches but the start
            count = stream.readinto(buffer.data)
            if not count:
                break
            block = rest + buffer[:count].tobytes()
            end = block.rfind(b"\n") + 1
            if not end and len(block) > _LONGEST_LINE:
                raise InputError(
                    f"The input '{self.file.path}' has a line of more than {_LONGEST_LINE >> 20} MiB without an end.",
                    "Is it NDJSON, one JSON object a line?",
                )
            if end:
                yield block[:end]
            rest = block[end:]
        if rest:
            yield rest + b"\n"

    def _piece(
        self, block: bytes, newlines: Rows, first: int, schema: Mapping[str, pl.DataType], position: int
    ) -> Piece:
        starts = np.concatenate([[0], newlines[:-1] + 1])
        lengths = newlines - starts
        array = np.frombuffer(block, np.uint8)
        blank = (lengths == 0) | ((lengths == 1) & (array[starts] == 13))
        lines = np.flatnonzero(~blank) + first

        def locate(places: Rows) -> Rows:
            return np.asarray(lines[places])

        def mend() -> Piece:
            return self._mended(piece, block.split(b"\n")[:-1], lines, first, schema)

        text = _quote_numbers(block)
        if blank.any():
            text = b"".join(line + b"\n" for line in text.split(b"\n") if line not in (b"", b"\r"))
        piece = Piece(
            self.file,
            _frame(text, schema),
            len(lines),
            locate,
            position,
            whole=True,
            blank=int(np.count_nonzero(blank)),
            mend=mend,
        )
        return piece

    def _mended(
        self, piece: Piece, lines: list[bytes], numbers: Rows, first: int, schema: Mapping[str, pl.DataType]
    ) -> Piece:
        """Take out the lines that are not one JSON object each. Only a piece that has some comes here."""
        bad = []
        not_text = set()
        for place in (numbers - first).tolist():
            try:
                lines[place].decode("utf-8")
            except UnicodeDecodeError:
                not_text.add(place)
        texts = pl.Series(
            [None if place in not_text else lines[place].decode("utf-8") for place in (numbers - first).tolist()],
            dtype=pl.String,
        )
        parsed = texts.str.json_path_match("$").str.starts_with("{").fill_null(value=False).to_numpy()
        for place in np.flatnonzero(~parsed).tolist():
            number = int(numbers[place])
            text = lines[number - first]
            rule = ROW_NOT_TEXT if number - first in not_text else ROW_NOT_JSON
            bad.append(BadRow(number, rule, len(text), text))
        good: Rows = numbers[parsed]

        def locate(places: Rows) -> Rows:
            return good[places]

        text = b"".join(lines[number - first] + b"\n" for number in good.tolist())
        return piece._replace(
            frame=_frame(_quote_numbers(text), schema), rows=len(good), locate=locate, bad=tuple(bad), mend=None
        )


def _frame(text: bytes, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    return pl.scan_ndjson(text, schema=dict(schema)) if text else pl.LazyFrame(schema=dict(schema))


def _quote_numbers(text: bytes) -> bytes:
    """Put every number outside strings in double quotes."""
    array = np.frombuffer(text, np.uint8)
    quotes = _unescaped_quotes(array, text)
    word = _IN_WORD[array]
    edges = np.flatnonzero(np.diff(word, prepend=False, append=False))
    starts, ends = edges[0::2], edges[1::2]
    outside = ((np.searchsorted(quotes, starts) & 1) == 0) & _STARTS_NUMBER[array[starts]]
    starts, ends = starts[outside], ends[outside]
    if not len(starts):
        return text
    return np.insert(array, np.stack([starts, ends], axis=1).ravel(), _QUOTE).tobytes()


def _unescaped_quotes(array: npt.NDArray[np.uint8], text: bytes) -> npt.NDArray[np.int64]:
    """Return the places of the quotes that no backslash escapes."""
    quotes = np.flatnonzero(array == _QUOTE)
    if b'\\"' not in text:
        return quotes
    # A quote is escaped by an odd number of backslashes: those after the last other byte before it.
    others = np.flatnonzero(array != _BACKSLASH)
    before = np.searchsorted(others, quotes) - 1
    run = quotes - np.where(before >= 0, others[before], -1) - 1
    return np.asarray(quotes[(run & 1) == 0])
