"""How often values occur by key: exact up to a limit of values for each key, then of the most frequent ones.

Counts of blocks are added up by Polars. Each value has a rest, at first its count. Where a key has more values than the
limit, the rest of the first value beyond it is subtracted from those of all, and added to the error of the key; as many
values are kept as the limit allows, those with the largest rests. This is the sketch of Misra and Gries, which can be
merged in this way (Agarwal and others, "Mergeable summaries"): a value occurs at most as often as its rest and the
error say, and one that was dropped at most as often as the error, which is at most the number of signals of the key
divided by the limit. It occurs at least as often as it was counted since it is kept. What comes out depends on the
order of the blocks and on where they are cut, and on nothing else.
"""

from __future__ import annotations

import polars as pl

LIMIT = 10_000
"""The values of a key that are counted, by default."""
MOST_KEYS = 10_000
"""The keys whose values are counted: the most frequent ones."""
_MOST_ENTRIES = 2_000_000  # of all keys together
_MOST_BYTES = 256 << 20  # of their texts
_PENDING = 200_000  # counts that wait: to add them up takes time for all that is kept

_COUNTS = {"key": pl.String, "value": pl.String, "count": pl.UInt64, "rest": pl.UInt64}
_TOTALS = {"key": pl.String, "total": pl.UInt64, "error": pl.UInt64}


class Tally:
    """The counts of values by key. With `limit` values of a key or fewer, they are exact."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts = pl.DataFrame(schema=_COUNTS)
        self._totals = pl.DataFrame(schema=_TOTALS)
        self._pending: list[pl.DataFrame] = []
        self._waiting = 0
        self.other_keys = 0
        """How often keys occur that were dropped, since there are more than `MOST_KEYS`."""

    def add(self, counts: pl.DataFrame) -> None:
        """Add the counts of a block: `key` and `value` (String), each pair once, and `count` (an unsigned integer)."""
        if counts.height:
            counts = counts.with_columns(rest="count")
            self._pending.append(counts.select(pl.col(name).cast(type_) for name, type_ in _COUNTS.items()))
            self._waiting += counts.height
            if self._waiting > max(_PENDING, self._counts.height):
                self._settle()

    def totals(self) -> pl.DataFrame:
        """Return the keys in their order: `key`, how often it occurs (`total`), and the `error` of its counts."""
        self._settle()
        return self._totals.sort("key")

    def counts(self) -> pl.DataFrame:
        """Return `key`, `value`, `count` and `at_most`, by key; of each key the most frequent values first."""
        self._settle()
        found = self._counts.join(self._totals.select("key", "error"), on="key")
        found = found.select("key", "value", "count", at_most=pl.col("rest") + pl.col("error"))
        return found.sort("key", "count", "value", descending=[False, True, False])

    def _settle(self) -> None:
        if not self._pending:
            return
        added = pl.concat(self._pending)
        self._pending, self._waiting = [], 0
        totals = added.group_by("key").agg(pl.col("count").sum().alias("total"), error=pl.lit(0, pl.UInt64))
        both = pl.concat([self._totals, totals]).group_by("key")
        self._totals = self._fewer_keys(both.agg(pl.col("total").sum(), pl.col("error").sum()))
        both = pl.concat([self._counts, added]).group_by("key", "value")
        counts = both.agg(pl.col("count").sum(), pl.col("rest").sum())
        self._counts = self._cut(counts.join(self._totals, on="key", how="semi"))

    def _fewer_keys(self, totals: pl.DataFrame) -> pl.DataFrame:
        """Return the totals of the most frequent keys, and count the others."""
        if totals.height <= MOST_KEYS:
            return totals
        totals = totals.sort("total", "key", descending=[True, False])
        self.other_keys += int(totals[MOST_KEYS:]["total"].sum())
        return totals[:MOST_KEYS]

    def _cut(self, counts: pl.DataFrame) -> pl.DataFrame:
        """Return the counts of at most so many values of each key as the limit and the memory allow."""
        limit, size = self._limit, int(counts.estimated_size()) + 1
        fits = min(_MOST_ENTRIES, counts.height * _MOST_BYTES // size)
        if counts.height > fits:
            limit = min(limit, max(1, fits // self._totals.height))
        most = pl.col("rest").top_k(limit + 1).min()
        over = counts.group_by("key").agg(pl.len().alias("values"), cut=most).filter(pl.col("values") > limit)
        if not over.height:
            return counts
        over = over.select("key", "cut")
        self._totals = (
            self._totals.join(over, on="key", how="left")
            .with_columns(pl.col("error") + pl.col("cut").fill_null(0))
            .drop("cut")
        )
        cut = counts.join(over, on="key").sort("rest", "count", "value", descending=[True, True, False])
        rest = pl.when(pl.col("rest") > pl.col("cut")).then(pl.col("rest") - pl.col("cut")).otherwise(0)
        kept = cut.group_by("key").head(limit).with_columns(rest.cast(pl.UInt64).alias("rest")).select(_COUNTS.keys())
        return pl.concat([counts.join(over, on="key", how="anti"), kept])
