"""How judged rows are formatted, and the rules that come after: the length of lines, collisions, reasons to skip."""

from __future__ import annotations

import polars as pl

from converter.rows.judging import Judging
from converter.spec import rules
from converter.spec.ids import ODC_TYPES


class Formatting:
    """How a job formats rows that are judged.

    `steps` are the columns that a query adds to those of `Judging.steps`, one list after the other: `line` (String),
    and `reason` with the remaining rules. `rules` are those of judging, then these; the reasons to skip a row come
    last, from `first_skip`, since a row that breaks a rule is rejected. `colliding` are IDs (String, by `fold_case`)
    whose rows are rejected.
    """

    def __init__(self, judging: Judging, most_line_bytes: int, colliding: pl.Series | None) -> None:
        kind, id0 = judging.kind, judging.ids[0]
        line_rules = kind.line_rules(most_line_bytes)
        breakable = (*judging.rules, *line_rules, *kind.late_rules)
        self.rules = (*breakable, *kind.skips)
        self.first_skip = len(breakable)
        ids: list[pl.Expr | str] = [pl.when(pl.col("reason").is_null()).then(id_) for id_ in judging.ids]
        if kind.name == "odc":
            ids = [judging.job.output.odc_type or ODC_TYPES[judging.id_types[0].name], *ids]
        reasons = [rules.first_reason(line_rules, len(judging.rules))]
        if colliding is not None and len(colliding):
            collides = fold_case(id0).is_in(pl.lit(colliding).implode())
            reasons.append(pl.when(collides).then(pl.lit(self.index_of(rules.CASE_COLLISION), rules.REASON)))
        if kind.skips:
            reasons.append(rules.first_reason(kind.skips, self.first_skip))
        self.steps = [
            [kind.line(ids, judging.signals.formatted).alias("line")],
            *([pl.coalesce("reason", reason).alias("reason")] for reason in reasons),
        ]

    def index_of(self, rule: rules.Rule) -> int:
        """Return the index in `rules` of the rule with the name of this one."""
        return [each.name for each in self.rules].index(rule.name)


def fold_case(id_: pl.Expr) -> pl.Expr:
    """Fold the case of an ID (String): IDs that differ only by case become equal."""
    return id_.str.to_uppercase().str.to_lowercase()
