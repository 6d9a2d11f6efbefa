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
    accepted = judged["reason"].is_null()
    if "type" in judged.columns:
        types = np.bincount(judged["type"].filter(accepted).to_numpy(), minlength=len(RECOGNIZED))
        ledger.id_types += Counter(dict(zip(RECOGNIZED, types.tolist(), strict=True)))
    for column in judged.columns if accepted.any() else ():
        counter, is_counter, _ = column.partition("#")
        count = int(judged[column].filter(accepted).sum()) if is_counter else 0
        if counter == "signals":
            ledger.signals_written += count
        elif counter.startswith(_CHANGED) and count:
            ledger.ids_changed[counter.removeprefix(_CHANGED)] += count
        elif count:
            counts, rule = _COUNTERS[counter]
            getattr(ledger, counts)[rule.name] += count
    return ledger


def tally_changed_ids(texts: pl.DataFrame) -> Ledger:
    """Count the IDs that each step changed, of rows that `Records.texts` gave with these counters."""
    ledger = Ledger()
    for column in texts.columns:
        if column.startswith(_CHANGED) and (count := int(texts[column].sum())):
            ledger.ids_changed[column.partition("#")[0].removeprefix(_CHANGED)] += count
    return ledger
