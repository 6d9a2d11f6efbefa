"""A sample of the rows of inputs: from the first, middle and last part of each.

Small inputs are read as a whole. Of many, some are read that are spread among them. A packed text is unpacked to its
end, and rows are taken on the way. Of a very large one, and of an input that can be read only once, the first rows are
read.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from converter import kernel
from converter.columns.pool import Bytes
from converter.kernel.form import Grammar
from converter.sources.base import FIRST_BYTES, Block, Budget, Source, Task
from converter.sources.origins.base import Origin, total_size
from converter.sources.reshaped import LineStream
from converter.sources.streams import Ranges
from converter.sources.tables import TableSource, mapped_errors
from converter.sources.texts import Body, TextSource

_MOST_INPUTS = 100
_WHOLE_BYTES = 16 << 20  # of all inputs that are read as a whole
_MOST_BYTES = 64 << 20  # at one place
_BLOCK = 1 << 20
_WINDOW = 1 << 18  # bytes that are searched for the start of a row
_MOST_UNPACKED = 1 << 30  # bytes of a packed text: it takes about half a minute
_LEAST_ROWS = 100  # at a place
_LARGER = 1.25  # the last part than what so many of the first rows take
_NEWLINE, _BACKSLASH = 10, 92


class Sampled(NamedTuple):
    """A block of a sample, and how many bytes of the input its rows take."""

    block: Block
    size: int


class Sample:
    """A sample of at least `least` rows of some inputs, where they have so many.

    Packed texts of more than `most_unpacked` bytes are not unpacked to their end: only their first rows are read.
    `blocks` gives it. Then `is_whole` says whether all rows of the inputs were in it, and `beginnings` are the labels
    of the inputs of which only the first rows were.
    """

    def __init__(
        self, sources: Sequence[Source], columns: Sequence[str], least: int, *, most_unpacked: int | None = None
    ) -> None:
        count = min(len(sources), _MOST_INPUTS)
        self.sources = [sources[number * (len(sources) - 1) // max(count - 1, 1)] for number in range(count)]
        self.is_whole = count == len(sources)
        self.beginnings: list[str] = []
        self._columns = columns
        self._rows = max(-(-least // (3 * max(count, 1))), _LEAST_ROWS)
        self._bytes = _WHOLE_BYTES // max(count, 1)
        self._most_unpacked = _MOST_UNPACKED if most_unpacked is None else most_unpacked
        self._loops = kernel.load()

    def total_rows(self, sources: Sequence[Source], rows: int, size: int) -> int | None:
        """Return how many rows all `sources` have, about, once a sample of `rows` has taken `size` bytes of them.

        It is exact where the sample is whole or all sources know it, and `None` where nothing shows it.
        """
        if self.is_whole:
            return rows
        known = [source.rows for source in sources]
        if None not in known:
            return sum(each or 0 for each in known)
        input_size = total_size(source.origin for source in sources)
        return None if input_size is None else max(round(input_size * rows / max(size, 1)), rows)

    def blocks(self, source: Source) -> Iterator[Sampled]:
        """Yield the sample of one of `sources`. Raises `InputError` where it is damaged."""
        if isinstance(source, TextSource) and source.body.size is not None:
            if source.body.size <= self._bytes:
                yield from self._read(source)
            else:
                self.is_whole = False
                yield from self._places(source)
        elif isinstance(source, TextSource) and _can_be_unpacked(source.origin, self._most_unpacked):
            yield from self._unpacked(source)
        elif isinstance(source, TableSource) and source.sampler:
            with mapped_errors(source.origin):
                shares, is_whole = source.sampler(source.own(self._columns), self._rows)
            self.is_whole &= is_whole
            yield from self._parsed(source.tasks(shares, self._columns, self._loops))
        else:
            yield from self._beginning(source)

    def _beginning(self, source: Source) -> Iterator[Sampled]:
        """Yield the first rows of an input that is read from its start."""
        if isinstance(source, TextSource):
            source = _reading(source, min(_BLOCK, max(self._bytes, FIRST_BYTES)))
        rows = read = 0
        for each in self._read(source):
            if rows >= 3 * self._rows and read >= self._bytes:
                self.is_whole = False
                self.beginnings.append(source.origin.label)
                break
            yield each
            rows += each.block.rows
            read += source.most if isinstance(source, TextSource) else self._bytes

    def _unpacked(self, source: TextSource) -> Iterator[Sampled]:
        """Yield rows of a text that is read from its start: the first, middle and last ones of it."""
        with source.body.open() as stream:
            stream.skip(source.body.skipped)
            parts, size = _parts_of(stream, (source.origin.size or 0) / 2, max(self._bytes, 3 * FIRST_BYTES))
        packed = (source.origin.size or 0) / max(size, 1)  # bytes of the input that a byte of its text takes
        self.is_whole &= len(parts) == 1
        taken = 0
        for number, part in enumerate(parts):
            # Of the last part, no more is needed than the middle one gave.
            part, taken = part[-round(_LARGER * taken) :] if number == 2 else part, 0
            origin = _Text(source.origin.label, part)
            text = source.like(origin)
            text.body = Body(origin, "utf-8", 0, 0, 0)
            begin = self._start_of_row(text, 0) if number else 0
            if begin is not None:
                for each in self._rows_from(text, begin, to_end=number == 2 or len(parts) == 1):
                    taken += each.size
                    yield each._replace(size=round(each.size * packed))

    def _places(self, source: TextSource) -> Iterator[Sampled]:
        """Yield rows of a large text at three places."""
        start, size = source.body.start or 0, source.body.size or 0
        rows = read = 0
        for each in self._rows_from(source, start):
            yield each
            rows, read = rows + each.block.rows, read + each.size
        tail = round(min(max(_LARGER * self._rows * read / max(rows, 1), _WINDOW), size // 3, _MOST_BYTES))
        for place, to_end in ((start + size // 2, False), (start + size - tail, True)):
            begin = self._start_of_row(source, place)
            if begin is not None:
                yield from self._rows_from(source, begin, to_end=to_end)

    def _rows_from(self, source: TextSource, start: int, *, to_end: bool = False) -> Iterator[Sampled]:
        """Yield enough rows of a text from a place where a row starts, or all up to its end."""
        rows = read = 0
        with contextlib.closing(self._read(_reading(source, _BLOCK, start))) as found:
            for each in found:
                yield each
                rows, read = rows + each.block.rows, read + each.size
                if (rows >= self._rows and not to_end) or read >= _MOST_BYTES:
                    break

    def _start_of_row(self, source: TextSource, place: int) -> int | None:
        """Return where the first row after a place starts; `None` where none does nearby.

        Whether a newline is inside quotes depends on all text before it, which is not read: of both cases, the
        one is taken in which more of the rows that follow can be parsed.
        """
        memory = np.empty(min(_WINDOW, (source.origin.size or 0) - place), np.uint8)
        count = Ranges(source.origin).read(memory, place)
        grammar = source.parser(self._columns, self._loops).grammar
        starts = [place + start for start in _starts(memory[:count], grammar)]
        return min(starts, key=lambda start: self._malformed(source, start)) if starts else None

    def _malformed(self, source: TextSource, start: int) -> float:
        """Return which part of the rows that follow a place cannot be parsed."""
        with contextlib.closing(self._read(_reading(source, FIRST_BYTES, start))) as blocks:
            block = next(blocks).block
        return len(block.malformed) / max(block.rows + len(block.malformed), 1)

    def _read(self, source: Source) -> Generator[Sampled]:
        before = (source.body.start or 0) if isinstance(source, TextSource) else 0  # it counts for the first block
        for block, size in self._parsed(source.blocks(self._columns, self._loops, Budget())):
            yield Sampled(block, size - before)
            before = 0

    def _parsed(self, tasks: Iterable[Task]) -> Iterator[Sampled]:
        for task in tasks:
            block = task.parse(None)
            yield Sampled(block, sum(piece.size for piece in block.pieces))


def _can_be_unpacked(origin: Origin, most: int) -> bool:
    return origin.rereadable and origin.size is not None and origin.size <= most


class _Text:
    """A text in memory, as an origin."""

    rereadable = True
    path = None

    def __init__(self, label: str, text: bytes) -> None:
        self.label, self.size, self.identity = label, len(text), id(text)
        self._text = text

    def open(self) -> BinaryIO:
        """Return the text as a stream."""
        return io.BytesIO(self._text)

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`."""
        return self._text[start:stop]

    def fingerprint(self) -> None:
        """Return nothing: there is no run of it."""

    def check_unchanged(self) -> None:
        """Do nothing: it never changes."""


def _parts_of(stream: LineStream, middle: float, most: int) -> tuple[list[bytes], int]:
    """Return all of a text that has at most `most` bytes, else a third of these from its start, middle and end each.

    Also returns its size. The middle part is after the place where `middle` bytes of the input have been read.
    """
    first, between, last, total = bytearray(), bytearray(), bytearray(), 0
    block = memoryview(bytearray(_BLOCK))
    while count := stream.readinto(block):
        total += count
        if len(first) < most:
            first += block[:count]
        if stream.position >= middle and len(between) < most // 3:
            between += block[:count]
        last += block[:count]
        del last[: max(len(last) - most // 3, 0)]
    if total <= most:
        return [bytes(first)], total
    first = first[: most // 3]
    ended = [bytes(part[: part.rfind(b"\n") + 1]) for part in (first, between)]  # with a row, most likely
    return [*ended, bytes(last)], total


def _reading(source: TextSource, most: int, start: int | None = None) -> TextSource:
    """Return the same text, which is read `most` bytes at a time; its rows from a place on, if one is given."""
    other = copy.copy(source)
    other.most = min(source.most, most)
    if start is not None:
        other.body = source.body._replace(start=start, skipped=0, lines=0)
    return other


def _starts(window: Bytes, grammar: Grammar | None) -> list[int]:
    """Return where the first row in a text starts: after a newline with an even number of quotes before, or odd."""
    newlines = np.flatnonzero(window == _NEWLINE)
    if grammar and grammar.meanings:
        newlines = newlines[window[newlines - 1] != _BACKSLASH]
    if not grammar or not grammar.quote:
        return (newlines[:1] + 1).tolist()  # type: ignore[no-any-return]
    odd = np.cumsum(window == ord(grammar.quote))[newlines] & 1
    return [int(newlines[odd == parity][0]) + 1 for parity in (0, 1) if np.any(odd == parity)]
