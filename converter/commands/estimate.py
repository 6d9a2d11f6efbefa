"""What a run would do with the rows of its input, estimated from a sample of them."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from converter.commands.again import check_found
from converter.commands.plan import Plan
from converter.commands.rejections import advice_on
from converter.errors import TooManyRejectsError
from converter.ledger import Ledger
from converter.rows.pipeline import convert_all
from converter.sources.engine import collect
from converter.sources.sample import Sample

LEAST_ROWS = 10_000


class Estimate(NamedTuple):
    """What a run would do.

    `ledger` counts the rows of the sample, from `inputs` of the inputs. `is_whole` says whether that are all rows; of
    the inputs in `beginnings` only the first rows are in it. `rows` is how many rows the input has, about; `None` where
    that is not known. `rejected` and `skipped` are the shares of all rows, from 0 to 1: inputs count by their sizes.
    """

    ledger: Ledger
    inputs: int
    is_whole: bool
    beginnings: list[str]
    rows: int | None
    rejected: float
    skipped: float

    def as_dict(self, plan: Plan) -> dict[str, Any]:
        """Return the estimate as plain data."""
        ledger = self.ledger
        return {
            "whole": self.is_whole,
            "inputs": self.inputs,
            "beginnings": [plan.job.conceal_path(label) for label in self.beginnings],
            "rows": self.rows,
            "sampled": ledger.read,
            "rejected_share": round(self.rejected, 6),
            "skipped_share": round(self.skipped, 6),
            "rejected": dict(sorted(ledger.rejected.items())),
            "skipped": dict(sorted(ledger.skipped.items())),
            "causes": [{**cause._asdict(), "rows": count} for cause, count in sorted(ledger.causes.items())],
        }


def estimate_outcome(plan: Plan, least: int = LEAST_ROWS) -> Estimate:
    """Judge a sample of at least `least` rows of the input of a plan, if it has so many.

    Reads the first, middle and last part of each input (`converter.sources.sample`). Raises `InputError` where one is
    damaged.
    """
    if plan.records.chosen:
        return _of_chosen(plan)
    sample = Sample(plan.sources, plan.records.selection.columns, least)
    ledger, weights, rejected, skipped, read = Ledger(), 0, 0.0, 0.0, 0
    for source in sample.sources:
        of_source = Ledger()
        for block, size in sample.blocks(source):
            read += size
            of_source += Ledger(read=block.rows + len(block.malformed), rejected=block.malformed.counts())
            if block.rows:
                selected = plan.records.selected(block.rest.frame(), source)
                of_source += Ledger(skipped=selected.skipped)
                texts = plan.records.texts(selected.frame, source)
                of_source += plan.records.tally(collect(source.origin, plan.records.lines(texts)))
        weight = source.origin.size or 1
        weights += weight
        rejected += weight * of_source.rejects / max(of_source.read, 1)
        skipped += weight * of_source.skips / max(of_source.read, 1)
        ledger += of_source
    rows = max(ledger.read, 1)
    if sample.is_whole:
        rejected, skipped, weights = ledger.rejects / rows, ledger.skips / rows, 1
    total = sample.total_rows(plan.sources, ledger.read, read)
    shares = rejected / max(weights, 1), skipped / max(weights, 1)
    return Estimate(ledger, len(sample.sources), sample.is_whole, sample.beginnings, total, *shares)


def _of_chosen(plan: Plan) -> Estimate:
    """Judge all rows that are converted, where these are only some: their places are known once all are counted."""
    ledger = Ledger()
    with contextlib.closing(convert_all(plan.records, plan.sources)) as blocks:
        for block in blocks:
            ledger += block.ledger
    check_found(plan.records.chosen)
    rows = max(ledger.read, 1)
    return Estimate(ledger, len(plan.sources), True, [], ledger.read, ledger.rejects / rows, ledger.skips / rows)


def too_many(plan: Plan, estimate: Estimate) -> TooManyRejectsError | None:
    """Return the error that a run would have too many rejects, if it is to be expected."""
    report, ledger = plan.job.report, estimate.ledger
    rows = estimate.rows or ledger.read
    if report.allows(round(estimate.rejected * rows), rows):
        return None
    about, what = ("", "input") if estimate.is_whole else ("about ", "sample")
    return TooManyRejectsError(
        "E-TOO-MANY-REJECTS",
        f"A run would reject {about}{estimate.rejected:.1%} of {about}{rows:,} rows, and at most {report.max_rejects} "
        f"may be rejected (--max-rejects). Of the {what}, {ledger.summary()}.",
        f"{advice_on(ledger, plan.records.rules)} Nothing was written (--dry-run).",
    )
