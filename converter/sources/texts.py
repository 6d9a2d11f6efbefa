"""Texts parsed in workers: ranges of files, blocks of streams, and many small files at once.

1. A text is cut into blocks near places that depend on its bytes and the block size alone: after the first newline
   outside of quotes, as far as counting the quotes before can tell (`cuts`), since a newline inside them ends no row.
2. A worker parses each block. Its parser says which text at the end is the start of a row without its end. If there is
   any, the cut was inside a row, and the worker of the next block parses that text again, in front of its own.

So rows are exact wherever the cuts are; only the time depends on how many of them were right. A block waits for the one
before it, never for a later one, and tasks are started in order: there is no deadlock.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import sys
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import polars as pl

from converter.columns.pool import Bytes, Pool
from converter.errors import Finding
from converter.kernel.calls import Loops
from converter.kernel.form import SLACK, Form, Grammar
from converter.kernel.sink import Lines
from converter.sources.ahead import ReadAhead, in_background
from converter.sources.base import FIRST_BYTES, Block, Budget, Encoding, Piece, Rest, Roles, Span, Task, numbers_before
from converter.sources.cuts import Cuts
from converter.sources.malformed import MalformedRows, RowNumbers
from converter.sources.origins.base import Origin
from converter.sources.partitions import frame_with_partition, own_columns, with_partition
from converter.sources.reshaped import LineStream
from converter.sources.streams import Ranges, TextStream

_NEWLINE = 10
_PARSED_BYTES = 4 << 20  # for Polars: frames of short rows take many times the memory of their text
WINDOW = 1 << 16
"""How many bytes beside a place are searched for the end of a row, to cut there."""


class Rows(NamedTuple):
    """The rows of texts: as in `Block`, with numbers from the start of the first text.

    `newlines` are how many are in the parsed part of each text; `consumed` bytes of the last text are parsed. `broken`
    values of whole rows hold newlines.
    """

    rows: int
    rest: Rest
    numbers: RowNumbers
    malformed: MalformedRows
    blank: int
    newlines: Sequence[int]
    consumed: int
    lines: Lines | None = None
    broken: int = 0


class Parser(Protocol):
    """Parses texts of one format, for the columns of a job. Workers share it."""

    grammar: Grammar | None
    """Which newlines end no rows: those inside its quotes, and those after its escapes. `None`: all end rows."""
    longest: int
    """How many bytes a row may have."""

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse texts, given with their sizes: `SLACK` bytes of memory follow each.

        Each begins at the start of a row. All but the last one are whole, and so is the last one if `last`; whole texts
        end in a newline. What is returned may refer to the memory.
        """
        ...

    def endless(self, text: bytes) -> Rows:
        """Return the result for the first line of a text whose first row is too long. Raises `InputError`."""
        ...


class Body(NamedTuple):
    """Where the rows of a text are: after `skipped` bytes of text with `lines` newlines.

    `start` is where in the input that is; `None` where the text has to be read from its start, since it is packed,
    in another encoding, or can be read only once. `member` is the file to read where the input is a zip archive.
    `reshape` opens an input whose rows are not lines (`reshaped`). `stop` is where the rows end, if that is before the
    end of the input.
    """

    origin: Origin
    encoding: str
    skipped: int
    lines: int
    start: int | None
    member: str | None = None
    reshape: Callable[[Origin], LineStream] | None = None
    stop: int | None = None

    def open(self) -> LineStream:
        """Open the text. Raises `InputError`."""
        return self.reshape(self.origin) if self.reshape else TextStream(self.origin, self.encoding, self.member)

    @property
    def size(self) -> int | None:
        """How many bytes the rows have, where that is known."""
        stop = self.origin.size if self.stop is None else self.stop
        return None if self.start is None or stop is None else max(stop - self.start, 0)


class TornSpanError(Exception):
    """A span of a text ends inside a row: the text has quotes that are not those of values."""


class TextSource:
    """A source of text. Subclasses set the attributes without a value."""

    has_header = False
    json_lists = False
    lists: frozenset[str] = frozenset()
    columns_hint = ""
    typed: frozenset[str] = frozenset()
    unit: Literal["line", "row"] = "line"
    rows: int | None = None
    origin: Origin
    body: Body
    names: Sequence[str]
    layout: Hashable
    """What is equal for sources whose rows have the same columns and are parsed alike."""
    found: Encoding | None = None
    """The encoding that was found for it, if the job names none."""
    start = b""
    """What an input begins with that has the same layout for certain; empty where the start does not show it."""
    partition: Mapping[str, str] = {}
    """The columns that its path says, with their values."""
    most = sys.maxsize
    """How many bytes are read at a time, at most."""
    findings: Sequence[Finding] = ()
    """Warnings about the input."""
    roles = Roles()
    before = 0
    """How many newlines the input has before this source, if that is a span of it."""
    grammar: Grammar | None = None
    """Which newlines end no rows; see `Parser`."""

    def parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its rows."""
        raise NotImplementedError

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns, all of String. Columns that share a name are one here; a job cannot use them."""
        return {name: pl.String() for name in (*self.names, *self.partition)}

    def whole_parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its rows, with the columns of its partition."""
        if self.partition.keys().isdisjoint(columns):
            return self.parser(columns, loops)
        own = own_columns(columns, self.partition, self.names)
        return _PartitionParser(self.parser(own, loops), own, self.partition, columns, loops)

    def begins(self, start: bytes) -> bool:
        """Return whether another input with this start can be read as this one."""
        return start.startswith(self.start)

    def like(self, origin: Origin) -> Self:
        """Return the source of another input, which begins with `start`."""
        other = copy.copy(self)
        other.origin, other.body = origin, self.body._replace(origin=origin)
        return other

    def beginning(self) -> Self:
        """Return the same source, which reads less at once."""
        other = copy.copy(self)
        other.most = min(self.most, FIRST_BYTES)
        return other

    def within(self, span: Span) -> Self:
        """Return a span of it as a source, whose blocks raise `TornSpanError` if it ends inside a row (`spans`)."""
        other, body = copy.copy(self), self.body
        stop = None if span.stop == body.origin.size else span.stop
        other.before = span.before
        other.body = body._replace(start=span.start, stop=stop, lines=0 if span.before else body.lines)
        return other

    def block(self, budget: Budget, loops: Loops | None) -> int:
        """Return how many bytes of it are read at a time."""
        return min(self.most, budget.block if loops else min(budget.block, _PARSED_BYTES))

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the input, one block at a time."""
        return iter(TextTasks(self, columns, loops, self.block(budget, loops), Pool()))


class _PartitionParser:
    """A parser of a text that adds the columns of its partition; see `Parser`."""

    def __init__(
        self,
        parser: Parser,
        own: Sequence[str],
        partition: Mapping[str, str],
        columns: Sequence[str],
        loops: Loops | None,
    ) -> None:
        self._parser = parser
        self._own = own
        self._partition = partition
        self._columns = columns
        self._loops = loops
        self.grammar, self.longest = parser.grammar, parser.longest

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse texts; see `Parser`."""
        return self._completed(self._parser.parse(texts, None, last=last), form)

    def endless(self, text: bytes) -> Rows:
        """Return the result for a row that is too long; see `Parser`."""
        return self._completed(self._parser.endless(text), None)

    def _completed(self, rows: Rows, form: Form | None) -> Rows:
        if rows.rest.chunks is None:
            frame = frame_with_partition(rows.rest.frame(), self._partition, self._columns)
            return rows._replace(rest=Rest.of_frame(frame))
        chunks = [with_partition(chunk, self._own, self._partition, self._columns) for chunk in rows.rest.chunks]
        if form is None or self._loops is None or len(chunks) != 1:
            return rows._replace(rest=Rest.of_chunks(chunks, self._columns))
        lines = self._loops.frame_lines(chunks, form).numbered_by(rows.numbers)
        left = [chunks[0].take(lines.irregular)] if len(lines.irregular) else []
        return rows._replace(
            rest=Rest.of_chunks(left, self._columns), numbers=rows.numbers[lines.irregular], lines=lines
        )


class _Link:
    """What the worker of a block tells that of the next block.

    `state` is what counting quotes shows at the place near which the two are cut (`Cuts`). `rest` is the text that was
    left over: the start of a row. Where the worker fails, the next one fails too.
    """

    def __init__(self) -> None:
        self.state: Future[int] = Future()
        self.rest: Future[bytes] = Future()

    @classmethod
    def to_first(cls) -> _Link:
        """Return what precedes the first block of a text."""
        link = cls()
        link.state.set_result(0)
        link.rest.set_result(b"")
        return link

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Pass on what is raised inside."""
        try:
            yield
        except BaseException as error:
            for each in (self.state, self.rest):
                if not each.done():
                    each.set_exception(error)
            raise


class _Part(NamedTuple):
    """The text of a block: the `size` bytes at the start of `memory`, followed by one more and `SLACK` bytes.

    `read` is how many bytes of the input were read for it, and `last` whether the text ends with it. If a span of the
    text ends with it (`ends_span`), no row may be left over.
    """

    memory: Bytes
    size: int
    read: int
    last: bool
    ends_span: bool = False


_Read = Callable[[_Link, _Link], _Part]


class TextTasks:
    """The tasks of a text, which is read `block` bytes at a time.

    A stream is read where tasks are taken or, if `ahead`, in a thread of its own. `close` stops reading.
    """

    def __init__(
        self,
        source: TextSource,
        columns: Sequence[str],
        loops: Loops | None,
        block: int,
        pool: Pool,
        *,
        ahead: bool = False,
    ) -> None:
        self._source = source
        self._columns = columns
        self._parser = source.whole_parser(columns, loops)
        self._cuts = Cuts(source.grammar, loops)
        self._block = block
        self._pool = pool
        self._parts: Generator[_Part] | ReadAhead[_Part] | None = None
        if source.body.size is None:
            parts = self._read_stream()
            self._parts = ReadAhead(parts) if ahead else parts

    def close(self) -> None:
        """Stop reading."""
        if self._parts:
            self._parts.close()

    def __iter__(self) -> Iterator[Task]:
        yield from numbers_before(self._source, self._source.before, self._columns)
        before, lines = _Link.to_first(), self._source.body.lines
        for read in self._of_stream(self._parts) if self._parts else self._of_ranges():
            after = _Link()
            yield Task(self._source, partial(self._run, read, before, after, lines))
            before, lines = after, 0

    def _of_stream(self, parts: Iterator[_Part]) -> Iterator[_Read]:
        for part in parts:
            yield partial(_given, part)
            del part  # it is large, and the next one is made now

    def _of_ranges(self) -> Iterator[_Read]:
        ranges = Ranges(self._source.body.origin)
        for start in range(0, self._source.body.size or 1, self._block):
            fetch = partial(self._fetch, ranges, start)
            # As many are on their way as there may be blocks that are begun and not awaited.
            yield partial(self._read_range, in_background(fetch).result if ranges.waits else fetch, start)

    def _run(self, read: _Read, before: _Link, after: _Link, lines: int, form: Form | None) -> Block:
        """Parse a block; `lines` precede it that are not in its text."""
        with after.failing():
            part = read(before, after)
            rows, rest = self._rows(part, before.rest, form)
            if part.ends_span and rest:
                raise TornSpanError
            after.rest.set_result(rest)
        return block_of(rows, [Piece(self._source.body.origin, lines + sum(rows.newlines), part.read)], [lines])

    def _fetch(self, ranges: Ranges, start: int) -> tuple[Bytes, int]:
        """Read the bytes of a block, and those after it in which it may end. Returns also how many there are."""
        body = self._source.body
        memory = self._pool.lease(min(self._block + WINDOW, (body.size or 0) - start) + 1 + SLACK)
        return memory, ranges.read(memory[: -1 - SLACK], (body.start or 0) + start)

    def _read_range(self, fetch: Callable[[], tuple[Bytes, int]], start: int, before: _Link, after: _Link) -> _Part:
        """Read the block near `start` bytes of the rows, up to the first newline after the place where it ends."""
        body = self._source.body
        assert body.start is not None and body.size is not None  # noqa: S101, PT018 - for the type checker
        left = body.size - start
        memory, filled = fetch()
        own = min(self._block, filled)  # fewer where the input was cut off meanwhile, which is noticed at its end
        state = before.state.result()
        state_after = self._cuts.state_after(memory[:own], state)
        after.state.set_result(state_after)
        first = self._cuts.find(memory[: min(WINDOW, filled)], state)[0] if start else 0
        last = left <= self._block
        end = filled if last else own + self._cuts.find(memory[own:filled], state_after)[0]
        read = min(left, self._block) + (0 if start or self._source.before else body.start)
        ends_text, ends_span = last and body.stop is None, last and body.stop is not None
        return _Part(memory[first:], max(end - first, 0), read, ends_text, ends_span)

    def _read_stream(self) -> Generator[_Part]:
        """Read a stream; where there is a newline outside of quotes near the end of what is read, it is cut there.

        Parts do not touch each other in memory.
        """
        body = self._source.body
        with body.open() as stream:
            stream.skip(body.skipped)
            position, state, kept = 0, 0, np.empty(0, np.uint8)
            last = False
            while not last:
                memory = self._pool.lease(len(kept) + self._block + 1 + SLACK)
                memory[: len(kept)] = kept
                filled = len(kept) + stream.readinto(memory[len(kept) : len(kept) + self._block].data)
                last = filled < len(kept) + self._block
                end = filled
                if not last:
                    before = max(filled - WINDOW, 0)
                    state = self._cuts.state_after(memory[:before], state)
                    end = before + self._cuts.find(memory[before:filled], state)[1]
                    state = self._cuts.state_after(memory[before:end], state)
                kept = memory[end:filled].copy()
                yield _Part(memory, end, stream.position - position, last)
                position = stream.position
                del memory

    def _rows(self, part: _Part, rest: Future[bytes], form: Form | None) -> tuple[Rows, bytes]:
        """Parse a block and prove that it begins at the start of a row; return also what it leaves over."""
        rows = None if rest.done() else parse_whole(self._parser, part.memory, part.size, form, last=part.last)
        text, size = part.memory, part.size
        if left := rest.result():
            size += len(left)
            text, rows = self._pool.lease(size + 1 + SLACK), None
            text[: len(left)] = np.frombuffer(left, np.uint8)
            text[len(left) : size] = part.memory[: part.size]
        if rows is None:
            rows = parse_whole(self._parser, text, size, form, last=part.last)
        return rows, text[rows.consumed : size].tobytes()


def _given(part: _Part, before: _Link, after: _Link) -> _Part:
    """Return a part that was read before it was asked for."""
    del before
    after.state.set_result(0)  # nobody needs it
    return part


def parse_whole(parser: Parser, text: Bytes, size: int, form: Form | None, *, last: bool) -> Rows:
    """Parse the first `size` bytes of a text. One more and `SLACK` bytes of memory follow; no row may be too long."""
    if last and size and text[size - 1] != _NEWLINE:
        text[size] = _NEWLINE
        size += 1
    if size <= parser.longest:
        return parser.parse([(text[: size + SLACK], size)] if size else [], form, last=last)
    parts = []
    start = 0
    while start < size:  # each time it begins at a row, so that it does not matter how blocks were cut
        end = min(start + parser.longest, size)
        rows = parser.parse([(text[start : end + SLACK], end - start)], None, last=last and end == size)
        if not rows.consumed:
            if end == size:
                break
            rows = parser.endless(text[start:end].tobytes())
        parts.append(rows)
        start += rows.consumed
    rows = joined(parts)
    return rows._replace(newlines=[sum(rows.newlines)], consumed=start)


def parse_gathered(sources: Sequence[TextSource], parser: Parser, pool: Pool, form: Form | None) -> Block:
    """Read and parse small files that have the same layout, in a worker."""
    memory = pool.lease(sum((source.body.size or 0) + 1 for source in sources) + SLACK)
    texts, at = [], 0
    for source in sources:
        body = source.body
        size = Ranges(body.origin).read(memory[at : at + (body.size or 0)], body.start or 0)
        if size and memory[at + size - 1] != _NEWLINE:
            memory[at + size] = _NEWLINE
            size += 1
        texts.append((memory[at : at + size + SLACK], size))
        at += size
    rows = parser.parse(texts, form, last=True)
    bodies = [source.body for source in sources]
    pieces = [
        Piece(body.origin, body.lines + newlines, body.origin.size or 0)
        for body, newlines in zip(bodies, rows.newlines, strict=True)
    ]
    return block_of(rows, pieces, [body.lines for body in bodies])


def block_of(rows: Rows, pieces: Sequence[Piece], lines: Sequence[int]) -> Block:
    """Return the block of rows of texts, each of which is a piece, with so many `lines` before its text."""
    numbers, malformed, made = rows.numbers, rows.malformed, rows.lines
    if any(lines):
        ends, before = np.cumsum(rows.newlines), np.cumsum(lines)

        def shifted(numbers: RowNumbers) -> RowNumbers:
            shifted: RowNumbers = numbers + before[np.searchsorted(ends, numbers, side="right")]
            return shifted

        numbers = shifted(numbers)
        malformed = malformed.moved(shifted(malformed.numbers))
        if made and made.numbers is not None:
            made = dataclasses.replace(made, numbers=shifted(made.numbers))
    return Block(tuple(pieces), rows.rows, rows.rest, numbers, malformed, rows.blank, made, rows.broken)


def joined(parts: Sequence[Rows]) -> Rows:
    """Join the rows of texts that follow each other, none of which has a line yet."""
    starts = itertools.accumulate((sum(part.newlines) for part in parts), initial=0)
    moved = list(zip(parts, starts, strict=False))
    return Rows(
        sum(part.rows for part in parts),
        Rest.joined([part.rest for part in parts]),
        np.concatenate([part.numbers + start for part, start in moved]),
        MalformedRows.joined([part.malformed.moved(part.malformed.numbers + start) for part, start in moved]),
        sum(part.blank for part in parts),
        [newlines for part in parts for newlines in part.newlines],
        parts[-1].consumed,
        broken=sum(part.broken for part in parts),
    )
