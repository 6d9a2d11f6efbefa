"""The counters of the query of `records`, and how they are added to the ledger.

A counter is a column named `COUNTER#INDEX`, with a number or a Boolean for each row. There may be several columns of a
counter, one for each signal or step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.ledger import Cause, Ledger
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
    **{rule.name: ("warnings", rule) for rule in rules.implausible_rules()},
}
"""The counters by name: the counts of the ledger that each is added to, and its rule."""
_CHANGED = "changed:"
MISSING_WORDS = "missing_words"
"""The counter of values that are written and are words for missing ones."""
CLEARED = "cleared"
"""The counter of rows that are written without a signal, so that their users are cleared."""
_OF_VALUES = {rules.VALUE_PERSONAL.name: ("personal",), rules.BAD_VALUE.name: ("dropped", "out_of_range")}
"""The counters of the values that break a rule, by its name."""
_KIND_OF = {f"id_is_{kind}": kind for kind in rules.PERSONAL}


def changed_by(step: str, number: int) -> str:
    """Return the name of the counter of IDs that a step changes; `number` is the index of the ID in the line."""
    return f"{_CHANGED}{step}#{number}"


class Columns(NamedTuple):
    """The columns of the input that rules can be on: of each ID in the line, and of each counter of a signal.

    `kinds` are the names in the query of the kinds of personal data (UInt8), by their counters.
    """

    ids: Sequence[str]
    counters: Mapping[str, str]
    kinds: Mapping[str, str]


def tally(judged: pl.DataFrame, all_rules: Sequence[rules.Rule], columns: Columns) -> Ledger:
    """Count the results of rows that `Records.lines` gave; `reason` is an index in `all_rules`.

    `read` and `written` stay 0: these are counted in the input itself and in the lines.
    """
    ledger = Ledger()
    reasons = np.bincount(judged["reason"].drop_nulls().to_numpy(), minlength=len(all_rules))
    for index, (rule, count) in enumerate(zip(all_rules, reasons.tolist(), strict=True)):
        if not count:
            continue
        (ledger.skipped if rule.skips else ledger.rejected)[rule.name] += count
        if rule.id_ is not None:
            ledger.causes[Cause(rule.name, columns.ids[rule.id_], _KIND_OF.get(rule.name, ""))] += count
        elif rule.name in _OF_VALUES:
            ledger.causes += _causes_of(judged.filter(pl.col("reason") == index), rule, columns)
    accepted = judged.filter(pl.col("reason").is_null())
    for counter, column in columns.counters.items():
        if counter.startswith(f"{MISSING_WORDS}#") and counter in accepted.columns:
            ledger.missing_words[column] += int(accepted[counter].sum())
    if "type" in judged.columns:
        ledger.id_types += count_types(accepted["type"])
    return ledger + tally_counters(accepted)


def _causes_of(rows: pl.DataFrame, rule: rules.Rule, columns: Columns) -> Counter[Cause]:
    """Count rows that a rule on values rejects by the first column that breaks it, and the kind of personal data."""
    causes: Counter[Cause] = Counter()
    for counter, column in columns.counters.items():
        if counter.partition("#")[0] not in _OF_VALUES[rule.name] or counter not in rows.columns:
            continue
        breaks = pl.col(counter) > 0
        broken, rows = rows.filter(breaks), rows.filter(~breaks)
        if rule is rules.VALUE_PERSONAL:
            found = np.bincount(broken[columns.kinds[counter]].to_numpy(), minlength=len(rules.PERSONAL)).tolist()
            of_kinds = zip(rules.PERSONAL, found, strict=True)
            causes.update({Cause(rule.name, column, kind): count for kind, count in of_kinds if count})
        elif broken.height:
            causes[Cause(rule.name, column)] += broken.height
    return causes


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
        if counter == MISSING_WORDS:
            continue  # these are counted by column
        if counter == "signals":
            ledger.signals_written += count
        elif counter == CLEARED:
            ledger.cleared += count
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
