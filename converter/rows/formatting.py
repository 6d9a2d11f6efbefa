"""How judged rows are formatted, and the rules that come after: the length of lines, collisions, reasons to skip."""

from __future__ import annotations

import polars as pl

from converter.columns.normalize import not_ascii
from converter.rows.judging import Judging
from converter.spec import rules
from converter.spec.ids import ODC_TYPES


class Formatting:
    """How a job formats rows that are judged.

    `steps` are the columns that a query adds to those of `Judging.steps`, one list after the other: `line` (String),
    and `reason` with the remaining rules. `rules` are those of judging, then these; the reasons to skip a row come
    last, from `first_skip`, since a row that breaks a rule is rejected. `colliding` are the IDs whose rows are rejected
    (`folded_hashes`).
    """

    def __init__(self, judging: Judging, most_line_bytes: int, colliding: pl.DataFrame | None) -> None:
        kind, id0 = judging.kind, judging.ids[0]
        line_rules = kind.line_rules(most_line_bytes)
        breakable = (*judging.rules, *line_rules, *kind.late_rules)
        self.rules = (*breakable, *kind.skips)
        self.first_skip = len(breakable)
        self.leads: list[str] = []
        """What stands before the IDs: for Oracle Data Cloud, their type (C13)."""
        if kind.name == "odc":
            self.leads.append(judging.job.output.odc_type or ODC_TYPES[judging.id_types[0].name])
        ids: list[pl.Expr | str] = [*self.leads]
        ids += (pl.when(pl.col("reason").is_null()).then(id_) for id_ in judging.ids)
        reasons = [rules.first_reason(line_rules, len(judging.rules))]
        if colliding is not None and colliding.height:
            # Both hashes of another ID are among those of the colliding ones about once in 2**128 / height**2 times.
            collides = [
                hash_.is_in(pl.lit(colliding[hash_.meta.output_name()]).implode()) for hash_ in folded_hashes(id0)
            ]
            reason = pl.lit(self.index_of(rules.CASE_COLLISION), rules.REASON)
            reasons.append(pl.when(pl.all_horizontal(collides)).then(reason))
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
    # A letter beyond ASCII may have several lower-case forms, but one upper-case form.
    return pl.coalesce(not_ascii(id_).str.to_uppercase(), id_).str.to_lowercase()


def folded_hashes(id_: pl.Expr) -> list[pl.Expr]:
    """Return two hashes of an ID (String) whose case is folded (UInt64): `fold0` and `fold1`.

    Together they stand for the text: two of a billion texts have equal ones with a probability of 1e-21. Processes of
    other versions give other hashes.
    """
    folded = fold_case(id_)
    return [folded.hash(seed).alias(f"fold{seed}") for seed in range(2)]
