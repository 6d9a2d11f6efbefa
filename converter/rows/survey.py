"""What the first rows of the input show before all of them are converted."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from converter.columns import privacy
from converter.errors import ConverterError
from converter.rows.records import Records
from converter.sources import Source
from converter.sources.base import first_rows
from converter.sources.engine import collect

_SURVEYED = 1_000  # rows


def first_texts(records: Records, sources: Sequence[Source], rows: int) -> tuple[Source, pl.LazyFrame] | None:
    """Return the first rows of the input as `Records.texts` gives them, with their source; `None` where it is empty."""
    first = first_rows(sources, records.columns, rows)
    if first is None:
        return None
    source, frame = first
    return source, records.texts(frame.collect(), source)


def numbers(records: Records, sources: Sequence[Source]) -> frozenset[str]:
    """Return the names in queries of IDs and signals whose bare numbers are no payment cards, as the first rows show.

    IDs whose type has a form of its own are not among them. Where the rows cannot be read there are none: the error is
    reported when the input is converted.
    """
    free = [f"id{number}" for number, type_ in enumerate(records.id_types) if not type_.groups]
    first = first_texts(records, sources, _SURVEYED) if free or records.scanned else None
    if first is None:
        return frozenset()
    source, texts = first
    try:
        rows = collect(source.origin, records.with_ids(texts))
    except ConverterError:
        return frozenset()
    return frozenset(name for name in (*free, *records.scanned) if privacy.numbers_are_ids(rows[name]))
