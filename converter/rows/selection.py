"""Which rows of an input are taken (`input.filter`), and the columns that are computed from its own (`input.computed`).

Both are SQL of Polars over whole columns of a block: it costs one query more, and its lines are made as those of any
other block. In SQL, columns have the types of the input (those of text formats are text), and a missing value is NULL.
`rows.sql` makes sure that a row has the same result in any block.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.text import as_text
from converter.errors import ColumnError, InputError, JobError, nearest, redact
from converter.jobs.sections.table import Table
from converter.rows.skipped import MOST_SKIPPED
from converter.rows.sql import Column, columns_of
from converter.sources.base import PANICS, Source
from converter.sources.header import check_columns
from converter.spec.rules import FILTER_UNKNOWN, FILTERED_OUT

_RESULT = "\0result"
_MOST_SHOWN = 10  # columns, in a message
_MOST_DIGITS = 38  # of a decimal of Polars


class Selected(NamedTuple):
    """The rows that are taken of a frame, with the columns that are used; their indices, and why others are skipped.

    `firsts` are, by the name of the rule, the indices of the first rows that are skipped, and the same columns of them.
    """

    frame: pl.DataFrame
    rows: npt.NDArray[np.int64]
    skipped: Counter[str]
    firsts: Mapping[str, tuple[npt.NDArray[np.int64], pl.DataFrame]]


class _Step(NamedTuple):
    """What a query computes: the SQL text, its key in the job, and the columns that it names."""

    name: str
    sql: str
    key: str
    columns: Sequence[Column]


class ValueInRowError(InputError):
    """A value of a row cannot be computed: that with the index `row` in the frame that was selected from.

    `message` is what happens, without the place.
    """

    def __init__(self, message: str, label: str, row: int, kind: str) -> None:
        self.row, self._message, self._kind = row, message, kind
        super().__init__(
            "E-SQL-VALUE",
            f"{message} '{label}' ({kind}).",
            "Most likely a text is not a number or a date. TRY_CAST(column AS DOUBLE) gives NULL where CAST fails.",
        )

    def at(self, label: str, place: str) -> InputError:
        """Return the error with the place of the row in its input, such as `line 7`."""
        return InputError(self.code, f"{self._message} {place} of '{label}' ({self._kind}).", self.hint)


class Selection:
    """How rows of a table are selected; `used` are the names of the columns that are needed of it.

    Raises `JobError` for SQL that does not concern one row alone.
    """

    def __init__(self, options: Table, used: Sequence[str]) -> None:
        self.used = tuple(used)
        steps = [
            _Step(each.name, each.sql, f"input.computed of '{redact(each.name)}'", ()) for each in options.computed
        ]
        if options.filter:
            steps.append(_Step(_RESULT, options.filter, "input.filter", ()))
        steps = [step._replace(columns=columns_of(step.sql, step.key)) for step in steps]
        wanted = {*used, _RESULT}
        self._steps: list[_Step] = []
        for step in reversed(steps):  # a column that nothing uses is not computed
            if step.name in wanted:
                wanted = wanted - {step.name} | {column.name for column in step.columns}
                self._steps.insert(0, step)
        wanted.discard(_RESULT)
        self._filters = bool(options.filter)
        self._null_values = list(options.null_values)
        self._named = [name for name in self._names() if name in wanted]
        """The columns of the input that SQL names."""
        self.own = tuple(name for name in used if name in wanted)
        """The columns of the input that are used as they are, or replaced."""
        self.columns = (*self.own, *(name for name in self._named if name not in self.own))
        """The columns of the input that are read."""

    @property
    def applies(self) -> bool:
        """Whether rows are selected, or columns are computed."""
        return bool(self._steps)

    def is_computed(self, name: str) -> bool:
        """Return whether a column is not one of the input."""
        return any(step.name == name for step in self._steps)

    def origins_of(self, name: str) -> set[str]:
        """Return the columns of the input that a column is computed from, or is."""
        origins = {name}
        for step in reversed(self._steps):
            if step.name in origins:
                origins = origins - {step.name} | {column.name for column in step.columns}
        return origins

    def check(self, source: Source) -> Mapping[str, pl.DataType]:
        """Check that a source has the columns that are named, and that the SQL fits their types.

        Returns the types of the columns that are used. Raises `ColumnError`, and `JobError`.
        """
        if not self.applies:
            return source.schema
        self._check_names(source)
        check_columns(source, self.columns)
        source.typed = frozenset(self._named)
        empty = pl.DataFrame(schema={name: _type_in_queries(source.schema[name]) for name in self.columns})
        for number, step in enumerate(self._steps, 1):
            try:
                types = self._query(empty, self._steps[:number]).collect(engine="in-memory").schema
            except PANICS as error:
                raise self._invalid(step, error, source) from error
        if self._filters and types[_RESULT] not in (pl.Boolean, pl.Null):
            raise JobError(
                "E-SQL",
                f"input.filter is of type {types[_RESULT]}, but a condition is true or false.",
                "Compare it with something: column = 'value'.",
            )
        return {name: types[name] if self.is_computed(name) else source.schema[name] for name in self.used}

    def apply(self, frame: pl.DataFrame, source: Source, wanted: Container[str] = ()) -> Selected:
        """Select rows of a block of a source; give the first ones that are skipped by the rules that are `wanted`.

        Raises `ValueInRowError` where a value cannot be computed.
        """
        if not self.applies:
            return Selected(frame, np.arange(frame.height), Counter(), {})
        frame = frame.with_columns(
            as_text(pl.col(name), name, type_).alias(name)
            for name in self._named
            if (type_ := frame.schema[name]) != _type_in_queries(type_)
        )
        try:
            result = self._query(frame, self._steps).collect(engine="in-memory")
        except PANICS as error:
            raise self._failed(frame, source, error) from error
        if not self._filters:
            return Selected(result.select(self.used), np.arange(frame.height), Counter(), {})
        kept = result[_RESULT].cast(pl.Boolean)
        rows = np.flatnonzero(kept.fill_null(value=False).to_numpy())
        unknown = kept.null_count()
        skipped = Counter({FILTERED_OUT.name: frame.height - len(rows) - unknown, FILTER_UNKNOWN.name: unknown})
        result, skipped = result.select(self.used), +skipped
        firsts = {
            rule.name: (some := np.flatnonzero(are_skipped.to_numpy())[:MOST_SKIPPED], result[some])
            for rule, are_skipped in ((FILTERED_OUT, ~kept.fill_null(value=True)), (FILTER_UNKNOWN, kept.is_null()))
            if rule.name in skipped and rule.name in wanted
        }
        return Selected(result.filter(kept) if skipped else result, rows, skipped, firsts)

    def _names(self) -> Iterator[str]:
        """Yield the columns that SQL names, each once."""
        yield from dict.fromkeys(column.name for step in self._steps for column in step.columns)

    def _query(self, frame: pl.DataFrame, steps: Sequence[_Step]) -> pl.LazyFrame:
        texts = [name for name in self._named if frame.schema[name] == pl.String]
        missing = ["", *self._null_values]
        query = frame.lazy().with_columns(pl.when(~pl.col(name).is_in(missing)).then(pl.col(name)) for name in texts)
        for step in steps:
            query = query.sql(f'SELECT *, ({step.sql}) AS "{_RESULT}" FROM self')  # noqa: S608 - checked by `rows.sql`
            if step.name != _RESULT:
                query = query.with_columns(pl.col(_RESULT).alias(step.name)).drop(_RESULT)
        return query

    def _check_names(self, source: Source) -> None:
        """Raise `ColumnError` where SQL names a column that a source does not have."""
        known = [*source.schema]
        for step in self._steps:
            for column in step.columns:
                if column.name in known:
                    continue
                shown = ", ".join(f"'{redact(each)}'" for each in known[:_MOST_SHOWN])
                more = ", …" * (len(known) > _MOST_SHOWN)
                quotes = f"A text is in single quotes: '{column.name}'. " if column.quoted else ""
                raise ColumnError(
                    "E-COLUMN-MISSING",
                    f"{step.key} names the column '{column.name}', which the input '{source.origin.label}' does not "
                    f"have{nearest(column.name, known) or '.'}",
                    f"{quotes}{source.columns_hint}Columns are {shown}{more}.",
                )
            if step.name not in known:
                known.append(step.name)

    def _invalid(self, step: _Step, error: BaseException, source: Source) -> JobError:
        """Return the error that Polars does not take an SQL text; with no rows, its message quotes the job alone."""
        types = ", ".join(
            f"'{redact(column.name)}' is {_type_in_queries(source.schema[column.name])}"
            for column in step.columns
            if column.name in source.schema
        )
        types = f" ({types})" if types else ""
        return JobError(
            "E-SQL",
            f"{step.key} cannot be used: {str(error).strip().splitlines()[0].removesuffix('.')}{types}.",
            "Texts are in single quotes. Columns of text formats are text: CAST(column AS DOUBLE) makes numbers.",
        )

    def _failed(self, frame: pl.DataFrame, source: Source, error: BaseException) -> ValueInRowError:
        """Return the error that a value cannot be computed, without the message of Polars, which may quote it."""

        def fails(rows: int, steps: int = len(self._steps)) -> bool:
            """Return whether one of the first rows makes one of the first steps fail."""
            try:
                self._query(frame.head(rows), self._steps[:steps]).collect(engine="in-memory")
            except PANICS:
                return True
            return False

        row = bisect.bisect_left(range(frame.height), 1, key=lambda row: int(fails(row + 1)))
        numbers = range(1, len(self._steps))
        key = next((self._steps[number - 1].key for number in numbers if fails(row + 1, number)), self._steps[-1].key)
        return ValueInRowError(f"{key} fails for a value of", source.origin.label, row, type(error).__name__)


def _type_in_queries(type_: pl.DataType) -> pl.DataType:
    """Return the type that a column has in SQL: its own, or text where Polars has it in another form (`typed`)."""
    if isinstance(type_, pl.Decimal) and type_.precision > _MOST_DIGITS:
        return pl.String()
    is_plain = type_.is_numeric() or type_.is_nested() or type_ in (pl.Boolean, pl.Date, pl.Null)
    return type_ if is_plain or isinstance(type_, pl.Datetime) else pl.String()
