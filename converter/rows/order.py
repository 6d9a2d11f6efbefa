"""Which of the rows of a user is later: what a column holds, as numbers that can be compared."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from polars.datatypes import DataTypeClass

from converter.rows.dates import microseconds

OrderKind = Literal["date", "integer", "number"]
NUMBER = "number"
"""The `record.order_format` of numbers."""
OLDEST = -(1 << 63)
"""The rank of a row whose value is missing."""
_INTEGER = r"^[+-]?[0-9]{1,19}$"
_NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"


def order_kind(values: pl.Series, type_: pl.DataType | DataTypeClass | None, form: str) -> OrderKind:
    """Return what a column holds, by its type, the format that the job gives, and the first values (String)."""
    if form and form != NUMBER:
        return "date"
    given = pl.DataFrame({"value": values.filter(values != "")})
    value = pl.col("value")
    dates, numbers, integers = given.select(
        microseconds(value).count().alias("dates"),
        value.str.contains(_NUMBER).sum().alias("numbers"),
        value.str.contains(_INTEGER).sum().alias("integers"),
    ).row(0)
    if type_ is not None and (type_.is_float() or type_.is_integer()):
        return "number" if type_.is_float() else "integer"
    if not given.height and not form:
        return "date"
    if dates > numbers and not form:  # times in UNIX seconds alone are in order as numbers, too
        return "date"
    return "integer" if numbers == integers else "number"


def rank_of(text: pl.Expr, kind: OrderKind, form: str) -> pl.Expr:
    """Return numbers (Int64) of the order of values (String); null where one cannot be read.

    Whole numbers and dates are exact; other numbers are compared as 64-bit floating-point numbers.
    """
    if kind == "date":
        return microseconds(text, form)
    if kind == "integer":
        return pl.when(text.str.contains(_INTEGER)).then(text.str.strip_prefix("+")).cast(pl.Int64, strict=False)
    number = pl.when(text.str.contains(_NUMBER)).then(text.str.strip_prefix("+")).cast(pl.Float64, strict=False)
    return number.map_batches(_bits, return_dtype=pl.Int64, is_elementwise=True)


def _bits(numbers: pl.Series) -> pl.Series:
    """Return numbers (Float64) as integers of the same order; null where one is missing."""
    bits = (numbers.fill_null(0).to_numpy() + 0.0).view(np.int64)  # there are two zeros, until one is added
    ordered = pl.Series(bits ^ ((bits >> np.int64(63)) & np.int64((1 << 63) - 1)))
    return ordered.zip_with(numbers.is_not_null(), pl.Series([None], dtype=pl.Int64))
