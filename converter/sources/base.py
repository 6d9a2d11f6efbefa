"""What all formats have in common: blocks of rows, the tasks that give them, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl

from converter import kernel
from converter.columns.buffers import Chunk, frame_of
from converter.errors import EngineError, InputError, LedgerError
from converter.kernel.calls import Loops
from converter.kernel.form import Form
from converter.kernel.sink import Lines
from converter.sources.malformed import NONE, MalformedRows, RowNumbers
from converter.sources.origins.base import Origin

PANICS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises; a panic is not even an `Exception`."""

FIRST_BYTES = 1 << 17
"""How much of a text is read for its first rows: some thousand of them."""

_MOST_MALFORMED = 1 << 14  # rows, after which the first one that is whole is not looked for any more
_MOST_BLOCK = 6 << 20  # measured: of twice the size they take as long and more memory, of a quarter longer
_LEAST_BLOCK = 1 << 18
_SHARE = 14  # the lines of a block take three times the memory of its text; a writer and compressors hold some more


class Roles(NamedTuple):
    """The columns of a job that hold IDs, lists of traits or codes, and lists of values. All others hold values."""

    ids: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()


class Encoding(NamedTuple):
    """An encoding that was found, by its name in Python, and how certain it is."""

    name: str
    certainty: Literal["certain", "likely", "a guess"]


class Piece(NamedTuple):
    """The part of one input that a block holds.

    `numbers` is how many row numbers it takes: physical lines of text, those of a header included, or rows of tables.
    `size` is how many bytes of the input are read with it.
    """

    origin: Origin
    numbers: int
    size: int


class Rest:
    """The `count` rows of a block that have no line yet, with the columns of the job.

    `chunks`, where it is set, has them as string views without nulls, in the order of the job's columns.
    """

    def __init__(self, count: int, frame: Callable[[], pl.DataFrame], chunks: Sequence[Chunk] | None = None) -> None:
        self.count = count
        self.chunks = chunks
        self._frame = frame

    @classmethod
    def of_chunks(cls, chunks: Sequence[Chunk], columns: Sequence[str]) -> Rest:
        """Return rows that are views of texts; their frame refers to the same memory."""
        return cls(sum(chunk.rows for chunk in chunks), partial(frame_of, chunks, columns), chunks)

    @classmethod
    def of_frame(cls, frame: pl.DataFrame) -> Rest:
        """Return rows that are a frame."""
        return cls(frame.height, lambda: frame)

    @classmethod
    def joined(cls, parts: Sequence[Rest]) -> Rest:
        """Return the rows of several parts with the same columns."""
        chunks = [chunk for part in parts for chunk in part.chunks or ()]
        all_views = all(part.chunks is not None for part in parts)

        def frame() -> pl.DataFrame:
            return pl.concat([part.frame() for part in parts], rechunk=True)

        return cls(sum(part.count for part in parts), frame, chunks if all_views else None)

    def frame(self) -> pl.DataFrame:
        """Return the rows as a frame, whose columns are those of the job by their names, typed or text."""
        return self._frame()


class Block(NamedTuple):
    """Rows of one input, or of several small ones.

    `rows` is how many whole rows there are, counted in the input itself: those of `lines` and those of `rest`. Beside
    them are the `malformed` rows, which cannot be parsed, and `blank` lines; `broken` values hold newlines. `numbers`
    are the row numbers of the rows of `rest`, counted from 0 at the block's start through all its `pieces`; so are
    those of malformed rows.
    """

    pieces: tuple[Piece, ...]
    rows: int
    rest: Rest
    numbers: RowNumbers
    malformed: MalformedRows = NONE
    blank: int = 0
    lines: Lines | None = None
    broken: int = 0

    def malformed_by_piece(self) -> list[int]:
        """Return how many malformed rows are in each piece."""
        ends = np.cumsum([piece.numbers for piece in self.pieces])
        pieces = np.searchsorted(ends, self.malformed.numbers, side="right")
        counts: list[int] = np.bincount(pieces, minlength=len(self.pieces)).tolist()
        return counts


class Span(NamedTuple):
    """A span of an input that is read alone: its bytes or its row groups, from `start` up to `stop`.

    `before` is how many row numbers the input has before it.
    """

    start: int
    stop: int
    before: int


class Task(NamedTuple):
    """What turns a part of an input into a block.

    `parse` is called once, in a worker, with the form of a line for the job's columns or with none. Tasks are started
    in order, since one may wait for what an earlier one finds out. A block of several inputs has columns as `source`.
    """

    source: Source
    parse: Callable[[Form | None], Block]


class Budget(NamedTuple):
    """What a run may use: the number of threads that convert, and `run.memory` in bytes."""

    threads: int = 1
    memory: int = 512 * 10**6

    @property
    def ahead(self) -> int:
        """How many tasks may be started before the first of them is awaited."""
        return self.threads + 2

    @property
    def block(self) -> int:
        """How many bytes of text a block has: all those under way fit into a part of the memory."""
        return max(min(self.memory // (_SHARE * self.ahead), _MOST_BLOCK), _LEAST_BLOCK)


class Source(Protocol):
    """One input of some format.

    Opening it and `blocks` raise `InputError` where it is damaged.
    """

    origin: Origin
    has_header: bool
    """Whether the names are the first row of a text, and might be a row with values."""
    json_lists: bool
    """Whether a list stands in a column as the text of a JSON list."""
    lists: frozenset[str]
    """The columns of text that hold lists in the first rows."""
    columns_hint: str
    """What helps where it lacks a column."""
    roles: Roles
    """What the job uses the columns for; set where that is known."""
    typed: frozenset[str]
    """Columns that keep their types in blocks, for queries; set where that is known. Of text, all are texts."""
    unit: Literal["line", "row"]
    """What row numbers count: physical lines of text, a header included, or rows of a table."""

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is known before they are read."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The names of all columns, in order; a name may be there more than once."""
        ...

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        ...

    def beginning(self) -> Source:
        """Return a source of the same input that reads little at once, for the first rows."""
        ...

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield tasks for the whole input, in order; their blocks have `columns`. `loops`: those of the kernel."""
        ...


def numbers_before(source: Source, before: int, columns: Sequence[str]) -> Iterator[Task]:
    """Yield the task of a block without rows, which takes the row numbers before a span of an input, if any."""
    if before:
        piece, numbers = Piece(source.origin, before, 0), np.empty(0, np.int64)
        yield Task(source, lambda _: Block((piece,), 0, Rest.of_chunks([], columns), numbers))


@runtime_checkable
class Divisible(Protocol):
    """A source of which spans can be read alone, on other machines too."""

    def within(self, span: Span) -> Source:
        """Return a span of it as a source."""
        ...


def first_rows(sources: Sequence[Source], columns: Sequence[str], rows: int) -> tuple[Source, pl.LazyFrame] | None:
    """Return the first rows of the first source that has any, up to `rows`, and that source.

    The frame has `columns`. `None` if there are no rows, or all of the first thousands are malformed: this takes no
    longer the longer the input is. Raises `InputError` where a source is damaged.
    """
    loops = kernel.load()
    tasks = ((source, task) for source in sources for task in source.beginning().blocks(columns, loops, Budget()))
    malformed = 0
    for source, task in tasks:
        block = task.parse(None)
        if block.rows:
            return source, block.rest.frame().head(rows).lazy()
        malformed += len(block.malformed)
        if malformed > _MOST_MALFORMED:
            break
    return None


def damaged(origin: Origin, error: BaseException) -> InputError:
    """Return the error that an input is damaged. It omits the library's message, which may quote the data."""
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{origin.label}' is damaged or not of its format ({type(error).__name__}).",
        "Get the file again, or set input.format.",
    )


def engine_failed(origin: Origin, error: BaseException) -> EngineError:
    """Return the error that Polars failed on a valid input. It omits Polars' message, which may quote the data."""
    return EngineError(
        "E-ENGINE",
        f"Polars failed at rows of '{origin.label}' ({type(error).__name__}).",
        "Nothing was published; please report this as a bug, with what --debug prints.",
    )


def rows_lost(origin: Origin, expected: int, actual: int) -> LedgerError:
    """Return the error that a block of an input should have `expected` rows but has `actual` ones."""
    return LedgerError(
        "E-LEDGER",
        f"A block of the input '{origin.label}' has {expected:,} rows, but {actual:,} were converted.",
        "Nothing was published; please report this as a bug.",
    )
