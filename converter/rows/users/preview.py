"""What some rows come to where users are gathered: shown before a run."""

from __future__ import annotations

import numpy as np
import polars as pl

from converter import kernel
from converter.rows.records import Records
from converter.rows.users.gather import REJECTS, GatherOptions, gather
from converter.rows.users.lines import UserLines, bytes_of, lines_of
from converter.spec import rules


def gathered(records: Records, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of the users that some rows are of, and the rows that are rejected: `line` and `reason`.

    `rows` are as `Records.lines` gives them, and so is the result. It is what a run gives if the input has no others.
    """
    accepted = pl.col("reason").is_null()
    written = rows.filter(accepted)
    parts = [rows.filter(~accepted).select("line", "reason")]
    if written.height:
        of_routes = written.partition_by("route", maintain_order=True) if "route" in rows.columns else [written]
        parts += [part for each in of_routes for part in _gathered(records, each)]
    return pl.concat(parts[1:] + parts[:1])


def _gathered(records: Records, rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the lines of the users of one set of files, and those of their rows that are rejected."""
    ranks = rows["rank"].to_numpy() if "rank" in rows.columns else None
    lines = UserLines(*bytes_of(rows["line"]), np.arange(rows.height, dtype=np.uint64), ranks)
    made = gather(lines, GatherOptions.of(records), kernel.load())
    reasons = {outcome: records.index_of(rule) for outcome, rule in REJECTS.items()}
    rejected = [reasons[outcome] for outcome in made.outcomes.tolist() if outcome in reasons]
    return [
        pl.DataFrame({"line": lines_of(made.text, made.ends)}).with_columns(reason=pl.lit(None, rules.REASON)),
        pl.DataFrame({"line": [None] * len(rejected), "reason": rejected}, {"line": pl.String, "reason": rules.REASON}),
    ]
