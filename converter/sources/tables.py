"""Tables of typed columns: Parquet and Arrow IPC, whose readers are in modules of their own.

1. A reader gives shares of the rows, in order, each of a bounded size, with the columns that the job uses. All readers
   are those of Arrow: a damaged file makes them raise an error, where other readers crash the process.
2. A worker reads each share, validates it, and makes string views of it (`columns`): texts where they stand, numbers
   and dates in their text form. The kernel turns these into lines, or they become a frame. Lists of traits, and numbers
   where there is no kernel, become typed columns of Polars (`typed`).
3. The number of rows comes from the file's own metadata; the rows that are read are counted against it.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from converter.columns.buffers import VIEW_BYTES, Chunk, Views, frame_of
from converter.columns.pool import Pool
from converter.columns.text import as_text
from converter.errors import InputError
from converter.kernel.calls import Loops
from converter.kernel.form import Form
from converter.sources.base import (
    PANICS,
    Block,
    Budget,
    Piece,
    Rest,
    Roles,
    Task,
    damaged,
    engine_failed,
    numbers_before,
)
from converter.sources.columns import views_of
from converter.sources.malformed import NONE, MalformedRows, RowNumbers
from converter.sources.origins.base import Origin
from converter.sources.partitions import constant, own_columns
from converter.sources.typed import Types, decoded, series_of, validate
from converter.spec.rules import ROW_NOT_TEXT

BLOCK_BYTES = 1 << 26
"""How much memory the rows of a block take, about, at most."""
_BLOCK_ROWS = 1 << 17
_LARGER = 2  # than blocks of text: columns and views take less than twice the memory of the text that is made of them
_FIRST_ROWS = 1 << 10  # of a block, where only the first rows are needed
_IMPOSSIBLE = 1 << 44  # bytes: no system has so much memory
_UNSUPPORTED = re.compile("support|encrypt", re.IGNORECASE)  # in messages about files that Arrow cannot read
# What Arrow raises where a file is damaged: a name that is not UTF-8 is a `ValueError`.
_DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError)


class Share(NamedTuple):
    """Some rows of an input, and how many bytes of it are read with them, about.

    `read` is called once, in a worker, and gives each column as arrays that follow each other. It raises what Arrow
    raises. Rows that are `deleted` have numbers, and are not read.
    """

    rows: int
    size: int
    read: Callable[[], list[list[pa.Array]]]
    deleted: npt.NDArray[np.bool_] | None = None


Reader = Callable[[Sequence[str], "Bounds"], Iterator[Share]]
"""Shares out some columns of an input."""
Sampler = Callable[[Sequence[str], int], "tuple[list[Share], bool]"]
"""Shares out at least so many rows of the first, middle and last part of an input, or all rows: then it says so."""


class Bounds(NamedTuple):
    """How many rows a share has at most, and how many bytes of memory they take at most, about."""

    rows: int
    size: int

    def rows_of(self, columns: Sequence[pa.Array]) -> int:
        """Return how many rows a share may have that are, on average, like those of these columns."""
        return max(min(self.rows, int(self.size / max(sum(map(_bytes_a_row, columns)), 1))), 1)


class TableSource:
    """One input of typed columns, of which `read` gives shares of at most `most_rows` rows.

    `count` returns how many it has, where it says so itself; `sampler` reads a few of them, if it can be read anywhere.
    With `only_texts`, only columns that are text in the input become views: `input.null_values` are for these alone.
    """

    has_header = False
    json_lists = False
    lists: frozenset[str] = frozenset()
    columns_hint = ""
    roles = Roles()
    unit: Literal["line", "row"] = "row"

    partition: Mapping[str, str] = {}
    """The columns that its path says, with their values."""
    before = 0
    """How many rows the input has before those of this source, if that is a span of it."""

    def __init__(
        self,
        origin: Origin,
        schema: pa.Schema,
        read: Reader,
        *,
        count: Callable[[], int] | None = None,
        sampler: Sampler | None = None,
        only_texts: bool = False,
        most_rows: int | None = None,
    ) -> None:
        self.origin = origin
        self._count = count
        self.sampler = sampler
        self._read = read
        self._only_texts = only_texts
        self._most_rows = most_rows
        self._pool = Pool()
        self.typed: frozenset[str] = frozenset()
        """The columns that keep their types, for queries."""
        self.names = tuple(schema.names)
        self._types = Types(origin.label, schema)

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is known before they are read. Raises `InputError`."""
        with mapped_errors(self.origin):
            return self._count() if self._count else None

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types; asking for one that cannot be read raises `ColumnError`."""
        constants: Mapping[str, pl.DataType] = dict.fromkeys(self.partition, pl.String())
        return ChainMap(dict(constants), cast("dict[str, pl.DataType]", self._types)) if constants else self._types

    def own(self, columns: Sequence[str]) -> Sequence[str]:
        """Return those of the columns that are read from the input, and not the ones of its partition."""
        return own_columns(columns, self.partition, self.names) if self.partition else columns

    def beginning(self) -> TableSource:
        """Return the same source, in small blocks."""
        other = copy.copy(self)
        other._most_rows = _FIRST_ROWS
        return other

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        """Yield the input in blocks; workers read them."""
        bounds = Bounds(self._most_rows or _BLOCK_ROWS, min(_LARGER * budget.block, BLOCK_BYTES))
        yield from numbers_before(self, self.before, columns)
        with mapped_errors(self.origin):
            yield from self.tasks(self._read(self.own(columns), bounds), columns, loops)

    def tasks(self, shares: Iterable[Share], columns: Sequence[str], loops: Loops | None) -> Iterator[Task]:
        """Yield the tasks that read shares."""
        for share in shares:
            yield Task(self, partial(self._parse, share, columns, loops))

    def _parse(self, share: Share, columns: Sequence[str], loops: Loops | None, form: Form | None) -> Block:
        with mapped_errors(self.origin):
            arrays = dict(zip(self.own(columns), share.read(), strict=True))
            for array in (each for column in arrays.values() for each in column):
                validate(array)
            arrays, numbers, malformed = _decoded(arrays, share)
            rows = len(numbers)
            texts = {name: column for name, column in arrays.items() if loops and self._is_text(name)}
            views = self._views(rows, texts, loops) if loops else {}
            typed = [_series(name, self._types[name], column) for name, column in arrays.items() if name not in texts]
        for name, value in self.partition.items():
            if name in columns and loops:
                views[name] = constant(value, rows)
            elif name in columns:
                typed.append(pl.Series(name, [value], pl.String).new_from_index(0, rows))
        if views and not typed:
            views = {name: views[name] for name in columns}
        piece = Piece(self.origin, share.rows, share.size)
        chunks = [Chunk(tuple(views.values()), rows)] if views else []
        if typed:
            frame = frame_of(chunks, list(views)).with_columns(typed) if views else pl.DataFrame(typed)
            return Block((piece,), rows, Rest.of_frame(frame.select(columns)), numbers, malformed)
        if form is None or loops is None:
            return Block((piece,), rows, Rest.of_chunks(chunks, columns), numbers, malformed)
        lines = loops.frame_lines(chunks, form).numbered_by(numbers)
        rest = [chunks[0].take(lines.irregular)] if len(lines.irregular) else []
        left = Rest.of_chunks(rest, columns)
        return Block((piece,), rows, left, numbers[lines.irregular], malformed, lines=lines)

    def _is_text(self, name: str) -> bool:
        type_ = self._types[name]
        if name in self.typed:
            return False
        return type_ == pl.String or not (isinstance(type_, pl.List) or self._only_texts)

    def _views(self, rows: int, columns: Mapping[str, Sequence[pa.Array]], loops: Loops) -> dict[str, Views]:
        size = VIEW_BYTES * rows
        memory = self._pool.lease(size * len(columns))
        return {
            name: views_of(loops, arrays, memory[size * number : size * (number + 1)])
            for number, (name, arrays) in enumerate(columns.items())
        }


def _decoded(
    columns: Mapping[str, Sequence[pa.Array]], share: Share
) -> tuple[dict[str, list[pa.Array]], RowNumbers, MalformedRows]:
    """Turn bytes into text. Returns the rows in which all are UTF-8, their numbers, and those that are malformed."""
    texts: dict[str, list[pa.Array]] = {}
    are_wrong = np.zeros(share.rows, np.bool_)
    for name, arrays in columns.items():
        texts[name], first = [], 0
        for array in arrays:
            text, wrong = decoded(array)
            are_wrong[[first + each for each in wrong]] = True
            texts[name].append(text)
            first += len(array)
    are_left_out = are_wrong
    if share.deleted is not None:
        are_wrong, are_left_out = are_wrong & ~share.deleted, are_wrong | share.deleted
    numbers = np.flatnonzero(~are_left_out)
    if len(numbers) < share.rows:
        texts = {name: list(_without(arrays, are_left_out)) for name, arrays in texts.items()}
    malformed = [(number, ROW_NOT_TEXT, b"") for number in np.flatnonzero(are_wrong).tolist()]
    return texts, numbers, MalformedRows.of_rows(malformed) if malformed else NONE


def _without(arrays: Sequence[pa.Array], are_left_out: npt.NDArray[np.bool_]) -> Iterator[pa.Array]:
    """Yield the rows of arrays that are not left out."""
    first = 0
    for array in arrays:
        left_out = are_left_out[first : first + len(array)]
        first += len(array)
        try:
            yield array.filter(pa.array(~left_out))
        except pa.ArrowNotImplementedError:  # of views, and of types that hold some
            edges = [-1, *np.flatnonzero(left_out).tolist(), len(array)]
            yield from (array[start + 1 : end] for start, end in itertools.pairwise(edges) if end > start + 1)
    if are_left_out.all():
        yield arrays[0][:0]


def _bytes_a_row(column: pa.Array) -> float:
    """Return how many bytes of memory a row takes, with its view; of a dictionary, the average of its entries."""
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    return VIEW_BYTES + float(values.nbytes / max(len(values), 1))


def _series(name: str, type_: pl.DataType, arrays: Sequence[pa.Array]) -> pl.Series:
    series = pl.concat([series_of(name, array) for array in arrays], rechunk=True)
    if series.dtype == type_ or isinstance(type_, pl.List):
        return series
    return (
        series.to_frame().select(as_text(pl.col(name), name, type_).alias(name)).to_series()
    )  # it is stored as another type


def open_native(origin: Origin, *, mapped: bool = False) -> pa.NativeFile:
    """Open an origin for Arrow: a local file by its path, memory-mapped if `mapped`."""
    if origin.path is None:
        return pa.PythonFile(origin.open(), "r")
    return pa.memory_map(str(origin.path)) if mapped else pa.OSFile(str(origin.path))


@contextlib.contextmanager
def mapped_errors(origin: Origin) -> Iterator[None]:
    """Turn errors of Arrow into those of the input: it is damaged, or uses what is not supported."""
    try:
        yield
    except pa.ArrowMemoryError as error:
        asked = re.search(r"size (\d+)", str(error))
        if asked is None or int(asked[1]) < _IMPOSSIBLE:
            raise
        raise damaged(origin, error) from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError("E-INPUT-READ", f"The input '{origin.label}' cannot be read: {error.strerror}.") from error
        if isinstance(error, pa.ArrowNotImplementedError) or _UNSUPPORTED.search(str(error)):
            raise InputError(
                "E-INPUT-UNSUPPORTED",
                f"The input '{origin.label}' uses something of its format that cannot be read, or is damaged.",
                "Write it with other settings (compression, encoding, encryption), or get it again.",
            ) from error
        raise damaged(origin, error) from error
    except PANICS as error:
        raise engine_failed(origin, error) from error
