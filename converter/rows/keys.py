"""Keys of pairs that are in a column: which of them can be sent."""

from __future__ import annotations

import functools

import polars as pl

from converter.columns import privacy
from converter.jobs.sections.record import RESERVED_KEYS

_FORM, _DIGITS = "^[A-Za-z0-9_][A-Za-z0-9_-]*$", "^[0-9]+$"


def is_unusable(key: pl.Expr) -> pl.Expr:
    """Return whether no trait rule can name a key (String), or it has another meaning (Boolean)."""
    return ~key.str.contains(_FORM) | key.str.contains(_DIGITS) | key.str.to_lowercase().is_in(list(RESERVED_KEYS))


def is_personal(key: pl.Expr) -> pl.Expr:
    """Return whether values of a key (String) are personal data by its name (Boolean)."""
    return key.map_batches(_are_personal, return_dtype=pl.Boolean, is_elementwise=True)


def sendable(keys: pl.Series, *, scanned: bool) -> frozenset[str]:
    """Return those of some keys (String) that can be sent; by their names as well, where they are scanned."""
    key = pl.col("key")
    good = pl.DataFrame({"key": keys.unique()}).lazy().filter(~is_unusable(key))
    return frozenset((good.filter(~is_personal(key)) if scanned else good).collect()["key"])


def _are_personal(keys: pl.Series) -> pl.Series:
    distinct = keys.unique()
    return keys.is_in(distinct.filter(pl.Series([*map(_is_personal, distinct)], dtype=pl.Boolean)).implode())


@functools.lru_cache(1 << 12)
def _is_personal(key: str) -> bool:
    return privacy.personal_by_name(key) is not None
