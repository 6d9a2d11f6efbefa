"""The text form of every type of column.

- Text and categories: as they are.
- Integers: decimal digits.
- Floats: the shortest digits that are read back as the same number, without an exponent (`1e21` is
  `1000000000000000000000`); NaN and infinities count as missing.
- Decimals: all of their digits, `12.30`.
- Booleans: `true`, `false`.
- Dates: `2024-01-31`.
- Times and date-times: `13:05:00`, `2024-01-31 13:05:00`, with a fraction only if it is not zero; with a time zone in
  UTC, ending in `Z`. Values outside the years 0001 to 9999, or outside a day, are `OUT_OF_RANGE`.
- Lists of trait IDs: their items in these forms, joined by a separator.
- Lists of values: their items in these forms, with `lists.ITEM` before each.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl
from polars.datatypes import DataTypeClass

from converter.columns.lists import ITEM, joined_values
from converter.errors import ColumnError

OUT_OF_RANGE = "\x1a(out of range)"
"""The text of a date or time that cannot be written. It begins with a control character, which no value keeps."""
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days from 1970
_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def as_text(column: pl.Expr, name: str, type_: pl.DataType | DataTypeClass, separator: str | None = None) -> pl.Expr:
    """Return a column as text (String), null where the value is missing.

    `separator` joins the items of a list column. Raises `ColumnError` for lists without it, and for structs, binaries
    and durations.
    """
    if type_ == pl.String:
        return column
    if isinstance(type_, pl.List | pl.Array) and separator is not None:
        items = column.list if isinstance(type_, pl.List) else column.arr.to_list().list
        texts = items.eval(as_text(pl.element(), name, type_.inner))
        return joined_values(texts) if separator == ITEM else texts.list.join(separator, ignore_nulls=True)
    if isinstance(type_, pl.Datetime):
        day = _DAY[type_.time_unit]
        within = _within(column, column.cast(pl.Int64), _FIRST_DAY * day, (_LAST_DAY + 1) * day)
        if type_.time_zone:
            return _marked(column, within.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ"))
        return _marked(column, within.dt.strftime("%Y-%m-%d %H:%M:%S%.f"))
    if type_ == pl.Time:
        nanoseconds = column.cast(pl.Int64)
        within = _within(nanoseconds, nanoseconds, 0, _DAY["ns"]).cast(pl.Time)
        return _marked(column, within.dt.strftime("%H:%M:%S%.f"))
    if type_ == pl.Date:
        within = _within(column, column.cast(pl.Int32), _FIRST_DAY, _LAST_DAY + 1)
        return _marked(column, within.dt.strftime("%Y-%m-%d"))
    if type_.is_float():
        return _float_as_text(column)
    if type_.is_integer() or type_.is_decimal() or type_ in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null):
        return column.cast(pl.String)
    raise ColumnError(
        "E-COLUMN-TYPE",
        f"The column '{name}' is of type {type_}, which has no text form.",
        "Lists can be signals and traits; other types must be converted to text, numbers or dates first.",
    )


def _within(values: pl.Expr, numbers: pl.Expr, start: int, end: int) -> pl.Expr:
    """Return the values whose numbers are from `start` to before `end`, null for others."""
    most = (1 << 63) - 1  # in nanoseconds, the bounds do not fit Int64
    return pl.when(numbers.is_between(max(start, -most), min(end, most), closed="left")).then(values)


def _marked(values: pl.Expr, texts: pl.Expr) -> pl.Expr:
    """Return the texts, with `OUT_OF_RANGE` where there is a value without a text."""
    return pl.when(values.is_not_null() & texts.is_null()).then(pl.lit(OUT_OF_RANGE)).otherwise(texts)


def check_id_type(name: str, type_: pl.DataType | DataTypeClass, label: str) -> None:
    """Raise `ColumnError` unless a column of this type can hold user IDs: text, categories and whole numbers can.

    `label` names the input in the message.
    """
    exact = (
        type_.is_integer()
        or type_ in (pl.String, pl.Categorical, pl.Enum)
        or (isinstance(type_, pl.Decimal) and not type_.scale)
    )
    if not exact:
        raise ColumnError(
            "E-COLUMN-TYPE",
            f"The ID column '{name}' of '{label}' is of type {type_}, in which user IDs do not keep their digits.",
            "Store the IDs as text or as integers.",
        )


def _float_as_text(column: pl.Expr) -> pl.Expr:
    finite = pl.when(column.is_finite()).then(column)
    text = finite.cast(pl.String)
    with_exponent = pl.when(text.str.contains("e", literal=True)).then(text)
    return pl.coalesce(with_exponent.map_batches(_without_exponent, return_dtype=pl.String, is_elementwise=True), text)


def _without_exponent(texts: pl.Series) -> pl.Series:
    """Write numbers (String with an exponent) without exponents: in Python, once for each distinct number."""
    distinct = texts.drop_nulls().unique()
    if not len(distinct):
        return texts
    return texts.replace_strict(
        distinct, [format(Decimal(text), "f") for text in distinct], return_dtype=pl.String, default=None
    )
