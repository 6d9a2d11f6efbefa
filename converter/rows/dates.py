"""Dates of rows, as numbers that can be compared."""

from __future__ import annotations

import polars as pl

_MOMENTS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y%m%d %H%M%S%.f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
)
_DAYS = {
    "%Y-%m-%d": "^([0-9]{4}-[0-9]+-[0-9]+)$",
    "%Y%m%d": "^([0-9]{8})$",
    "%d.%m.%Y": r"^([0-9]+\.[0-9]+\.[0-9]{4})$",
}
_UNIX = {1_000_000: "^([0-9]{9,11})$", 1_000: "^([0-9]{12,14})$"}
"""Numbers since 1970, by how many microseconds they count: seconds and milliseconds."""
_EXAMPLE = 1_706_706_309  # 2024-01-31 13:05:09, whose month, day, hour and minute all differ
_DAY = 86_400_000_000
_ZONE = r" ?(?:Z|UTC|GMT|([+-])([0-9]{2}):?([0-9]{2})?)$"


def microseconds(text: pl.Expr, form: str = "") -> pl.Expr:
    """Parse a date or date-time (String): microseconds since 1970 (Int64), null where the text is in no known form.

    Known are ISO 8601, with `-` or without, with any offset; UNIX seconds and milliseconds; and days before months with
    periods, `31.01.2024`. A time without an offset is in UTC. `form` replaces all of these: a format of `strftime`.
    """
    if form:
        return _moment(text, form)
    text = text.str.replace("^([0-9-]{8,10})T", "$1 ")
    zone = text.str.extract_groups(_ZONE).struct
    has_time = text.str.contains(r"^\S+ \S")
    hours, rest = (zone[index].cast(pl.Int64, strict=False).fill_null(0) for index in (1, 2))
    minutes = 60 * hours + rest
    offset = pl.when(has_time).then(pl.when(zone[0] == "-").then(-minutes).otherwise(minutes)).fill_null(0)
    local = pl.when(has_time).then(text.str.replace(_ZONE, "")).otherwise(text)
    moments = [_moment(local, each) for each in _MOMENTS]
    days = [_moment(local.str.extract(pattern, 1), each) for each, pattern in _DAYS.items()]
    numbers = [text.str.extract(pattern, 1).cast(pl.Int64, strict=False) * unit for unit, pattern in _UNIX.items()]
    return pl.coalesce(*(each - offset * 60_000_000 for each in (*moments, *days)), *numbers)


def is_form(form: str) -> bool:
    """Return whether `microseconds` can parse what a format writes: whether it has all that a date needs."""
    moment = pl.Series("", [_EXAMPLE * 1_000_000], pl.Datetime("us", "UTC"))
    try:
        parsed = moment.dt.strftime(form).to_frame().select(microseconds(pl.col(""), form)).item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return parsed is not None and parsed // _DAY == _EXAMPLE * 1_000_000 // _DAY


def _moment(text: pl.Expr, form: str) -> pl.Expr:
    return text.str.to_datetime(form, time_unit="us", strict=False).cast(pl.Int64)
