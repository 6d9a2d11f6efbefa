"""Dates of rows, as numbers that can be compared."""

from __future__ import annotations

import polars as pl


def microseconds(text: pl.Expr) -> pl.Expr:
    """Parse a date or date-time (String), in ISO 8601 (UTC) or in UNIX seconds: microseconds since 1970 (Int64).

    Null where the text is in neither form.
    """
    iso = text.str.replace("T", " ", literal=True).str.replace(r"(Z|[+-]00:?00)$", "")
    formats = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    moments = [iso.str.to_datetime(form, time_unit="us", strict=False) for form in formats[:2]]
    day = iso.str.to_date(formats[2], strict=False).cast(pl.Datetime("us"))
    seconds = text.str.extract("^([0-9]{9,11})$", 1).cast(pl.Int64, strict=False) * 1_000_000
    return pl.coalesce(*(moment.cast(pl.Int64) for moment in (*moments, day)), seconds)
