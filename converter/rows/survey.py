"""What the first rows of the input show before all of them are converted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from converter.columns import privacy
from converter.errors import ConverterError, Finding, redact
from converter.rows.judging import FirstRows
from converter.rows.order import order_kind
from converter.rows.records import Records
from converter.sources.base import Source, first_rows
from converter.sources.engine import collect
from converter.spec.implausible import FEWEST_SPACELESS

_SURVEYED = 1_000  # rows
_LEAST_REPEATED = 20  # rows
_FEW = 0.02  # of the rows
_LEAST_WORDS = 5  # different IDs
_WORDS = r"\p{L}{2,}\.? +\S*[\p{L}0-9]"
_DATE = r"^(?:(?:19|20)[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]|[0-3]?[0-9][-/.][0-3]?[0-9][-/.](?:19|20)[0-9]{2})\b"


def first_texts(records: Records, sources: Sequence[Source], rows: int) -> tuple[Source, pl.LazyFrame] | None:
    """Return the first rows of the input as `Records.texts` gives them, with their source; `None` where it is empty."""
    first = first_rows(sources, records.selection.columns, max(rows, _SURVEYED) if records.selects else rows)
    if first is None:
        return None
    source, frame = first
    return source, records.texts(records.selected(frame.collect(), source).frame.head(rows), source)


def survey(records: Records, sources: Sequence[Source]) -> tuple[FirstRows, Sequence[Finding]]:
    """Survey the first rows; return also warnings about columns of IDs that most likely are the wrong ones.

    IDs whose type has a form of its own are not looked at.

    Where they cannot be read nothing is found: the error is reported when the input is converted.
    """
    free = [f"id{number}" for number, type_ in enumerate(records.id_types) if not type_.groups]
    order = records.job.record.order
    try:
        first = first_texts(records, sources, _SURVEYED) if free or records.scanned or order else None
        if first is None:
            return FirstRows(), ()
        source, texts = first
        rows = collect(source.origin, records.with_ids(texts))
    except ConverterError:
        return FirstRows(), ()
    numbers = frozenset(name for name in (*free, *records.scanned) if privacy.numbers_are_ids(rows[name]))
    columns = [(id_.column, rows[f"id{number}"].drop_nulls()) for number, id_ in enumerate(records.job.ids)]
    warnings = [
        finding
        for number, (column, ids) in enumerate(columns)
        if f"id{number}" in free
        for finding in _doubts(column, ids)
    ]
    bare = {number: rows[records.bare(number)].drop_nulls() for number in range(len(columns)) if f"id{number}" in free}
    spaceless = frozenset(
        number
        for number, ids in bare.items()
        if len(ids) >= FEWEST_SPACELESS and ids.str.contains(" ", literal=True).sum() <= max(_FEW * len(ids), 1)
    )
    kind = None
    if order:
        type_ = None if records.selection.is_computed(order) else source.schema.get(order)
        kind = order_kind(rows[records.aliases[order]], type_, records.job.record.order_format)
    return FirstRows(numbers, spaceless, kind), warnings


def _doubts(column: str, ids: pl.Series) -> Iterator[Finding]:
    """Yield warnings about what a column of IDs holds in the first rows."""
    few, name = ids.unique(), redact(column)
    hint = "Is it the column with the user IDs? Each user has an ID of their own."
    if len(ids) >= _LEAST_REPEATED and len(few) <= max(len(ids) * _FEW, 1):
        number = "one ID" if len(few) == 1 else f"{len(few):,} different IDs"
        yield Finding("W-ID-REPEATED", f"The first {len(ids):,} rows have {number} in the column '{name}'.", hint)
    if len(few) < _LEAST_WORDS:
        return
    for pattern, what in ((_WORDS, "words with spaces"), (_DATE, "dates")):
        if int(few.str.contains(pattern).sum()) * 2 > len(few):
            yield Finding("W-ID-WORDS", f"Most of the first IDs in the column '{name}' look like {what}.", hint)
