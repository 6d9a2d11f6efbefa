"""What all formats have in common: blocks of rows as lazy frames, the tasks that give them, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.errors import EngineError, InputError, LedgerError
from converter.kernel.calls import Bytes, Loops
from converter.sources.origins.base import Origin
from converter.spec.rules import Rule

RowNumbers = npt.NDArray[np.int64]
PANICS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises; a panic is not even an `Exception`."""

FIRST_BYTES = 1 << 17
"""How much of a text is read for its first rows: some thousand of them."""


class MalformedRow(NamedTuple):
    """A row that cannot be parsed: its physical line, the rule that it breaks, its length in bytes and its text."""

    row: int
    rule: Rule
    length: int
    text: bytes


class Block(NamedTuple):
    """Rows of an input as a lazy frame, with what is known of them without Polars.

    `rows` is how many rows `frame` must have, counted in the input itself; `malformed` are the rows beside them that
    cannot be parsed, and `blank` is the number of blank lines. `locate` maps indices of rows in `frame`, from 0, to
    row numbers as reports have them: the physical line of text formats, the row of others, both from 1. `position` is
    how many bytes of the input are read with the block. `without_unparsable`, where it is set, returns the block
    without the rows that Polars cannot parse; it is called after Polars failed.
    """

    origin: Origin
    frame: pl.LazyFrame
    rows: int
    locate: Callable[[RowNumbers], RowNumbers]
    position: int
    malformed: tuple[MalformedRow, ...] = ()
    blank: int = 0
    without_unparsable: Callable[[], Block] | None = None


class WholeRows(NamedTuple):
    """Rows of regular delimited text, as the compiled loops find them (`Loops.whole_rows`), not parsed yet.

    `memory` holds the `size` bytes of text and `kernel.layout.SLACK` more; there are `rows` rows in it, blank lines
    among them. `first` is the physical line of the first row, from 1, and `position` how many bytes of the input are
    read. `parse` parses some rows of such text; its block counts lines from 0.
    """

    memory: Bytes
    size: int
    rows: int
    first: int
    position: int
    separator: str
    parse: Callable[[memoryview], Block]


class Task(NamedTuple):
    """What turns a part of an input into a block, in a worker. Tasks do not depend on each other.

    `text` is set where the part is regular text that the compiled loops can format without parsing it.
    """

    parse: Callable[[], Block]
    text: WholeRows | None = None


class Source(Protocol):
    """One input of some format.

    Opening it and `blocks` raise `InputError` where it is damaged.
    """

    origin: Origin
    has_header: bool
    """Whether the names are the first row of a text, and might be a row with values."""
    json_lists: bool
    """Whether a list stands in a column as the text of a JSON list."""
    nullable: bool
    """Whether a value may be null: in delimited text a missing one is empty."""
    tasks_are_small: bool
    """Whether tasks hold little memory while they wait for a worker: frames take more than text."""

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

    def blocks(self, columns: Sequence[str], loops: Loops | None = None) -> Iterator[Task]:
        """Yield tasks for the whole input, in order; their frames have at least `columns`.

        With `loops`, tasks have a `text` where the format is delimited text and its rows are regular.
        """
        ...


def first_rows(sources: Sequence[Source], columns: Sequence[str], rows: int) -> tuple[Source, pl.LazyFrame] | None:
    """Return the first rows of the first source that has any, up to `rows`, and that source.

    The frame has at least `columns`. `None` if there are no rows. Raises `InputError` where a source is damaged.
    """
    for source in sources:
        for task in source.beginning().blocks(columns):
            block = task.parse()
            if block.rows:
                return source, block.frame.head(rows)
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
