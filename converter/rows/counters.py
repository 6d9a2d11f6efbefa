"""The counters of the query of `records`, and how they are added to the ledger.

A counter is a column named `COUNTER#INDEX`, with a number or a Boolean for each row. There may be several columns of a
counter, one for each signal or step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from converter.ledger import Ledger
from converter.spec import rules
from converter.spec.ids import RECOGNIZED

_COUNTERS = {
    "missing": ("signals_dropped", rules.VALUE_MISSING),
    "dropped": ("signals_dropped", rules.VALUE_DROPPED),
    "out_of_range": ("signals_dropped", rules.VALUE_OUT_OF_RANGE),
    "not_digits": ("signals_dropped", rules.TRAIT_NOT_DIGITS),
    "not_clean": ("signals_dropped", rules.CODE_NOT_CLEAN),
    "personal": ("signals_dropped", rules.VALUE_PERSONAL_DROPPED),
    "cleaned": ("signals_changed", rules.VALUE_CLEANED),
    "commas": ("signals_changed", rules.COMMA_REPLACED),
    "doubtful": ("warnings", rules.ID_DOUBTFUL),
}
"""The counters by name: the counts of the ledger that each is added to, and its rule."""
_CHANGED = "changed:"


def changed_by(step: str, number: int) -> str:
    """Return the name of the counter of IDs that a step changes; `number` is the index of the ID in the line."""
    return f"{_CHANGED}{step}#{number}"


def tally(judged: pl.DataFrame, all_rules: Sequence[rules.Rule]) -> Ledger:
    """Count the results of rows that `Records.lines` gave; `reason` is an index in `all_rules`.

    `read` and `written` stay 0: these are counted in the input itself and in the lines.
    """
    ledger = Ledger()
    reasons = np.bincount(judged["reason"].drop_nulls().to_numpy(), minlength=len(all_rules))
    for rule, count in zip(all_rules, reasons.tolist(), strict=True):
        if count:
            (ledger.skipped if rule.skips else ledger.rejected)[rule.name] += count
    accepted = judged.filter(pl.col("reason").is_null())
    if "type" in judged.columns:
        ledger.id_types += count_types(accepted["type"])
    return ledger + tally_counters(accepted)


def tally_counters(rows: pl.DataFrame) -> Ledger:
    """Count what the counters of rows say, all of which are written."""
    ledger = Ledger()
    counters = [column for column in rows.columns if "#" in column] if rows.height else []
    for column, count in (
        rows.select(pl.col(counters).cast(pl.Int64).sum()).row(0, named=True).items() if counters else ()
    ):
        counter = column.partition("#")[0]
        if not count:
            continue
        if counter == "signals":
            ledger.signals_written += count
        elif counter.startswith(_CHANGED):
            ledger.ids_changed[counter.removeprefix(_CHANGED)] += count
        else:
            counts, rule = _COUNTERS[counter]
            getattr(ledger, counts)[rule.name] += count
    return ledger


def count_types(types: pl.Series) -> Counter[str]:
    """Count IDs by their type, which is an index in `RECOGNIZED` (without nulls)."""
    counts = np.bincount(types.to_numpy(), minlength=len(RECOGNIZED))
    return Counter({name: count for name, count in zip(RECOGNIZED, counts.tolist(), strict=True) if count})
