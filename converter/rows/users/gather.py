r"""The lines of users, gathered: what is sent of the rows of each user, and what becomes of each row.

By signals, the signals of all rows of a user become one line: each once, sorted by their bytes, in several lines where
one would be too long. By lines, the lines of a user stay as they are, in the order of the input.

Users come in the order of the hashes of their IDs, and of the IDs where these are equal.

Of the values of one key, the one of the latest row is sent, where rows have an order; of equally late ones that with
the greatest bytes. Of a trait that is added and removed, what is later is sent; where that cannot be told, neither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from converter.kernel.calls import Loops
from converter.kernel.gather import CONFLICT, CUT, REPEATED, SEVERAL, SUPERSEDED, WRITTEN, Gathered
from converter.kernel.sink import Positions
from converter.rows.records import Records
from converter.rows.spill import hashes_of
from converter.rows.users.lines import SIGNAL, UserLines, bytes_of, ids_of, signals_in
from converter.spec import rules
from converter.spec.limits import USER_LINES

OUTCOMES = 6
REJECTS = {CONFLICT: rules.TRAIT_CONFLICT, SEVERAL: rules.SEVERAL_VALUES, CUT: rules.USER_OVER_LIMIT}
SKIPS = {SUPERSEDED: rules.ROW_SUPERSEDED, REPEATED: rules.ROW_REPEATED}
"""Why rows of an outcome are rejected, or skipped."""
_UNLIMITED = 1 << 62  # lines
_KEY = r'^("[^"]*"=)'
_TRAIT = "^(?:d_sid=|d_unsid=)?([0-9]+)$"
_REMOVAL = "d_unsid="


class GatherOptions(NamedTuple):
    """How lines are gathered: their signals, if `by_signals`, or as they are.

    The ID of a line is after `skipped` other fields. A user has at most `most_lines` lines of at most
    `most_line_bytes` bytes. `rejects_many`: where a key has several values and rows no order, none of them is sent;
    otherwise all are. `drops_repeated`: of equal lines only the first one is kept.
    """

    by_signals: bool
    skipped: int
    most_line_bytes: int
    most_lines: int
    rejects_many: bool = False
    drops_repeated: bool = False

    @classmethod
    def of(cls, records: Records) -> GatherOptions:
        """Return the options of a job."""
        record = records.job.record
        return cls(
            record.rows == "signal",
            len(records.leads),
            records.most_line_bytes,
            USER_LINES.value if record.rows == "signal" or record.user_lines == "enforce" else _UNLIMITED,
            rejects_many=record.many_values == "reject",
            drops_repeated=record.repeated == "drop",
        )


def gather(lines: UserLines, options: GatherOptions, loops: Loops | None = None) -> Gathered:
    """Gather the lines of users; all lines of each user must be among them."""
    if loops:
        return _by_loops(lines, options, loops)
    texts = lines.texts()
    if not len(texts):
        nothing = np.zeros(0, np.int64)
        no_rows = np.zeros(0, np.uint8)
        return Gathered(lines.text, nothing, np.zeros(1, np.int64), nothing, no_rows, [0] * OUTCOMES, 0)
    ids = ids_of(texts, options.skipped)
    distinct = ids.unique()
    order = pl.DataFrame({"id": distinct, "hash": hashes_of(distinct)}).sort("hash", "id").with_row_index("user")
    rows = pl.DataFrame({"text": texts, "id": ids}).join(order.select("id", "user"), on="id", maintain_order="left")
    return (_by_signals if options.by_signals else _by_lines)(rows, lines, options)


def _by_loops(lines: UserLines, options: GatherOptions, loops: Loops) -> Gathered:
    if not options.by_signals:
        return loops.gather_lines(
            lines.text,
            lines.ends,
            options.skipped,
            lines.at,
            drop_repeated=options.drops_repeated,
            most_lines=options.most_lines,
        )
    return loops.gather_signals(
        lines.text,
        lines.ends,
        options.skipped,
        lines.ranks,
        reject_several=options.rejects_many,
        most_line_bytes=options.most_line_bytes,
        most_lines=options.most_lines,
    )


def _by_lines(rows: pl.DataFrame, lines: UserLines, options: GatherOptions) -> Gathered:
    rows = rows.with_columns(at=pl.Series(lines.at)).with_row_index("row").sort("user", "at")
    repeated = pl.lit(value=False)
    if options.drops_repeated:
        repeated = ~pl.col("text").is_first_distinct()
    rows = rows.with_columns(repeated=repeated).with_columns(number=(~pl.col("repeated")).cum_sum().over("user"))
    outcome = (
        pl.when("repeated").then(REPEATED).when(pl.col("number") > options.most_lines).then(CUT).otherwise(WRITTEN)
    )
    rows = rows.with_columns(outcome=outcome.cast(pl.UInt8))
    kept = rows.filter(pl.col("outcome") == WRITTEN)
    text, ends = bytes_of(kept["text"])
    users = _firsts(kept["user"])
    signals = rows.select("outcome", count=signals_in(pl.col("text")).str.count_matches(SIGNAL))
    counts = np.bincount(signals["outcome"].to_numpy(), signals["count"].to_numpy(), OUTCOMES).astype(np.int64)
    outcomes, over = rows.sort("row")["outcome"].to_numpy(), rows.filter(pl.col("outcome") == CUT)["user"].n_unique()
    return Gathered(text, ends, users, np.diff(users), outcomes, counts.tolist(), over)


def _by_signals(rows: pl.DataFrame, lines: UserLines, options: GatherOptions) -> Gathered:
    ranks = pl.lit(0, pl.Int64) if lines.ranks is None else pl.Series(lines.ranks)
    split = (
        rows.lazy()
        .select("user", rank=ranks, signal=signals_in(pl.col("text")))
        .with_row_index("row")
        .with_columns(pl.col("signal").str.extract_all(SIGNAL))
        .explode("signal")
        .collect()
    )
    judged = _judged(split, options, ordered=lines.ranks is not None)
    heads = rows.select("user", head=pl.col("text").str.extract(r"^((?:[^\t]*\t)+)")).unique("user").sort("user")
    judged = _numbered(judged, heads, options)
    sent = judged.filter(pl.col("outcome") == WRITTEN)
    made = sent.group_by("user", "line", maintain_order=True).agg(pl.col("signal").str.join(","))
    made = made.join(heads, on="user", maintain_order="left")
    text, ends = bytes_of(made.select(pl.concat_str("head", "signal", pl.lit("\n"))).to_series())
    outcomes = (
        split.join(judged.select("user", "signal", "outcome"), on=["user", "signal"])
        .group_by("row")
        .agg(pl.col("outcome").min())
        .sort("row")["outcome"]
    )
    counts = np.bincount(judged["outcome"].to_numpy(), minlength=OUTCOMES)
    counts[REPEATED] = split.height - judged.height
    written = np.bincount(rows["user"].filter(outcomes == WRITTEN).to_numpy(), minlength=heads.height)
    users, over = _firsts(made["user"]), judged.filter(pl.col("outcome") == CUT)["user"].n_unique()
    return Gathered(text, ends, users, written[written > 0], outcomes.to_numpy(), counts.tolist(), over)


def _judged(split: pl.DataFrame, options: GatherOptions, *, ordered: bool) -> pl.DataFrame:
    """Return the distinct signals of each user, sorted by their bytes, and what becomes of each."""
    signal, rank, removes = pl.col("signal"), pl.col("rank"), pl.col("removes")
    value_key, trait = signal.str.extract(_KEY), signal.str.extract(_TRAIT)
    distinct = (
        split.lazy()
        .group_by("user", "signal")
        .agg(pl.col("rank").max())
        .with_columns(
            key=pl.coalesce(value_key, trait), is_trait=trait.is_not_null(), removes=signal.str.starts_with(_REMOVAL)
        )
        .sort("user", "signal")
    )
    of_key = ["user", "key"]
    added, removed = (rank.filter(each).max().over(of_key) for each in (~removes, removes))
    opposite = pl.when("removes").then(added).otherwise(removed)
    several = pl.lit(value=False)
    superseded = pl.lit(value=False)
    if ordered:
        superseded = pl.struct("rank", "signal").rank("ordinal", descending=True).over(of_key) > 1
    elif options.rejects_many:
        several = pl.len().over(of_key) > 1
    has_value = pl.col("key").is_not_null() & ~pl.col("is_trait")
    outcome = (
        pl.when("is_trait")
        .then(pl.when(opposite == rank).then(CONFLICT).when(opposite > rank).then(SUPERSEDED).otherwise(WRITTEN))
        .when(has_value & superseded)
        .then(SUPERSEDED)
        .when(has_value & several)
        .then(SEVERAL)
        .otherwise(WRITTEN)
    )
    return distinct.with_columns(outcome=outcome.cast(pl.UInt8)).collect()


def _numbered(judged: pl.DataFrame, heads: pl.DataFrame, options: GatherOptions) -> pl.DataFrame:
    """Add to the signals that are sent the number of their `line`; those beyond the last line are cut."""
    size = pl.col("signal").str.len_bytes().cast(pl.Int64) + 1  # with the comma, or the newline of the last one
    is_sent = pl.col("outcome") == WRITTEN
    judged = judged.with_columns(size=pl.when(is_sent).then(size).otherwise(0), line=pl.lit(0, pl.Int64))
    rooms = options.most_line_bytes - heads["head"].str.len_bytes().cast(pl.Int64).to_numpy()
    users, sizes = judged["user"].to_numpy(), judged["size"].to_numpy()
    totals = np.bincount(users, sizes, len(rooms)).astype(np.int64)
    large = np.flatnonzero(totals > rooms)
    if not len(large):
        return judged
    numbers, outcomes = np.zeros(len(users), np.int64), judged["outcome"].to_numpy().copy()
    firsts, lasts = (np.searchsorted(users, large, side=side) for side in ("left", "right"))
    for user, first, last in zip(large.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        sums, start, line = np.cumsum(sizes[first:last]), 0, 0
        while start < last - first and line < options.most_lines:
            done = int(sums[start - 1]) if start else 0
            end = int(np.searchsorted(sums, done + rooms[user], side="right"))
            numbers[first + start : first + end] = line
            start, line = end, line + 1
        cut = outcomes[first + start : last]
        cut[cut == WRITTEN] = CUT
    return judged.with_columns(line=pl.Series(numbers), outcome=pl.Series(outcomes))


def _firsts(users: pl.Series) -> Positions:
    """Return the indices of the first line of each user, and the number of lines."""
    numbers = users.to_numpy()
    changes = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    first = [0] if len(numbers) else []
    return np.concatenate([np.array(first, np.int64), changes, np.array([len(numbers)], np.int64)])
