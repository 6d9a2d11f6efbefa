"""What every source has in common: files, pieces of them as lazy frames, and rows that cannot be taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.errors import EngineError, InputError, LedgerError
from converter.sources.origins.base import Origin
from converter.spec.rules import Rule

RowNumbers = npt.NDArray[np.int64]
PANICS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises; a panic is not even an `Exception`."""

LOOK_BYTES = 1 << 17
"""What is read of a text for a look at its first rows: some thousand of them."""


class BadRow(NamedTuple):
    """A row that cannot be taken apart: its physical line, the rule, its length in bytes and its text."""

    row: int
    rule: Rule
    length: int
    text: bytes


class Piece(NamedTuple):
    """A stretch of a file as a lazy frame, with what is known of it without the engine.

    `rows` is how many rows `frame` must give, counted in the file itself; `bad` are the rows beside them that
    could not be taken apart. `locate` maps places in `frame`, counted from 0, to rows as reports name them:
    the physical line for text formats, the row for others, both counted from 1. `position` is how many bytes of
    the file are read once the piece is. `mend`, where there is one, gives the piece without the rows that the engine
    cannot parse, once it could not.
    """

    origin: Origin
    frame: pl.LazyFrame
    rows: int
    locate: Callable[[RowNumbers], RowNumbers]
    position: int
    bad: tuple[BadRow, ...] = ()
    blank: int = 0
    mend: Callable[[], Piece] | None = None


class Source(Protocol):
    """One file of some format.

    `schema` names its columns and their types. `pieces` reads it once, from the start; it never collects.
    Both raise `InputError` where the file is damaged.
    """

    origin: Origin
    json_lists: bool
    """Whether a list stands in a column as the text of a JSON list."""
    nullable: bool
    """Whether a value may be null: in delimited text a missing one is empty."""

    @property
    def repeated(self) -> set[str]:
        """Names that stand for more than one column."""
        ...

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        ...

    def beginning(self) -> Source:
        """Return a source of the same file for a look at its first rows, which need not read much."""
        ...

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """Yield the file in order; each frame has at least `columns`."""
        ...


def damaged(origin: Origin, error: BaseException) -> InputError:
    """Say that a file cannot be read; what the library said is left out, since it may quote the data."""
    return InputError(
        "E-INPUT-DAMAGED",
        f"The input '{origin.label}' is damaged or not of its format ({type(error).__name__}).",
        "Get the file again, or set input.format.",
    )


def engine_failed(origin: Origin, error: BaseException) -> EngineError:
    """Say that the engine failed at rows of a file that is not damaged; what it said may quote the data."""
    return EngineError(
        "E-ENGINE",
        f"Polars failed at rows of '{origin.label}' ({type(error).__name__}).",
        "Nothing was published; please report this as a bug, with what --debug prints.",
    )


def lost(origin: Origin, found: int, came: int) -> LedgerError:
    """Return the error that rows found in the file did not come through."""
    return LedgerError(
        "E-LEDGER",
        f"The input '{origin.label}' has {found:,} rows in a stretch of which {came:,} came through.",
        "Nothing was published; please report this as a bug.",
    )
