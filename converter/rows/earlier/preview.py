"""What becomes of some rows where lines depend on earlier ones: shown before a run."""

from __future__ import annotations

import polars as pl

from converter.rows.records import Records
from converter.spec import rules
from converter.spec.limits import USER_LINES


def limited(records: Records, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows without repeated ones, and with a `reason` for those beyond the limit of a user, as the job says.

    `rows` are as `Records.lines` gives them, and so is the result. It is what a run gives if the input has no others.
    """
    record, accepted = records.job.record, pl.col("reason").is_null()
    if record.repeated == "drop":
        rows = rows.filter(~accepted | pl.struct("reason", "line").is_first_distinct())
    if record.user_lines == "enforce":
        is_over = accepted & (accepted.cum_sum().over(records.id_names) > USER_LINES.value)
        reason = pl.lit(records.index_of(rules.USER_OVER_LIMIT), rules.REASON)
        rows = rows.with_columns(reason=pl.when(is_over).then(reason).otherwise("reason"))
    return rows
