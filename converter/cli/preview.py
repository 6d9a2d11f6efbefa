"""What `--dry-run` shows of a plan."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from converter.cli.console import console
from converter.columns.privacy import mask
from converter.commands.encodings import encodings_of
from converter.commands.estimate import Estimate, estimate_outcome
from converter.commands.plan import Plan
from converter.jobs.job import Job
from converter.report.left_out import by_reason
from converter.report.texts import size
from converter.spec.rules import Rule


class Preview(NamedTuple):
    """A plan with its first rows (`Plan.preview`), and what a run of it would do."""

    plan: Plan
    rows: pl.DataFrame
    estimate: Estimate


def preview_of(plan: Plan) -> Preview:
    """Read the first rows and a sample of the input of a plan. Raises `InputError`."""
    first = plan.preview()  # before the sample: an input that can be read once keeps its start until more is read
    with plan.job.concealing():
        return Preview(plan, first, estimate_outcome(plan))


def show(preview: Preview) -> None:
    """Print what a run would do."""
    console().print(_shown(preview))


def as_dict(preview: Preview) -> dict[str, Any]:
    """Return what a run would do as plain data; IDs are masked."""
    plan, job = preview.plan, preview.plan.job
    return {
        "name": plan.name.stem,
        "job": job.public(),
        "input": [{"path": job.conceal_path(each.label), "bytes": each.size} for each in plan.origins],
        "ids": [
            {"column": id_.column, "type": id_.type, "steps": [step.words for step in steps]}
            for id_, steps in zip(job.ids, plan.records.id_steps, strict=True)
        ],
        "columns": list(plan.records.columns),
        "first_part": job.conceal_path(plan.destination.url(plan.part_name(1))),
        "part_bytes": plan.limits.part_bytes,
        "part_raw_bytes": plan.limits.part_raw_bytes,
        "encrypted_for": plan.key.fingerprint if plan.key else None,
        "report": job.conceal_path(plan.report_path),
        "rejects": job.conceal_path(plan.rejects_path),
        "first_rows": [
            {
                "fate": "written" if reason is None else _outcome(plan.records.rules[reason]),
                "id": ids,
                "signals": signals,
            }
            for reason, ids, signals in _first_lines(preview)
        ],
        "gathered": job.record.gathers,
        "estimate": preview.estimate.as_dict(plan),
        "left_out": by_reason(plan.left_out),
        "encodings": encodings_of(plan.sources, job),
    }


def _shown(preview: Preview) -> RenderableType:
    """Return what a run would do: names, columns, first lines with the ID masked, and the fates of rows."""
    plan, job = preview.plan, preview.plan.job
    gathers = job.record.gathers
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    files = [
        f"{job.conceal_path(each.label)} ({'size unknown' if each.size is None else size(each.size)})"
        for each in plan.origins
    ]
    shown = files[:5] + ([f"… and {len(files) - 5:,} more"] if len(files) > 5 else [])
    facts.add_row("reads", "\n".join(shown))
    for id_, steps in zip(job.ids, plan.records.id_steps, strict=True):
        words = ", then ".join(step.words for step in steps) or "as it is"
        facts.add_row("ID", f"column '{id_.column}', type {id_.type}: {words}")
    facts.add_row("columns", ", ".join(plan.records.columns))
    facts.add_row("writes", f"{job.conceal_path(plan.destination.url(plan.part_name(1)))} …")
    facts.add_row("parts", f"at most {size(plan.limits.part_bytes)} ({size(plan.limits.part_raw_bytes)} of text)")
    if plan.key:
        facts.add_row("encrypted", f"for the key {plan.key.fingerprint}, by GnuPG {plan.key.gnupg}")
    facts.add_row("report", job.conceal_path(plan.report_path))
    facts.add_row("rejects", job.conceal_path(plan.rejects_path))
    lines = Text("\nThe first rows, as lines of their users, who may have more rows further on:\n" if gathers else "\n")
    for reason, ids, rest in _first_lines(preview):
        shown_line = "\t".join(filter(None, [ids, rest]))
        lines.append(f"{shown_line if reason is None else _outcome(plan.records.rules[reason])}\n")
    fates = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    fates.add_column(justify="right")
    fates.add_column(overflow="fold")
    for row in _fates(preview.estimate):
        fates.add_row(*map(Text, row))
    return Group(
        facts,
        lines,
        Text(_sampled(preview)),
        fates,
        *map(Text, _unknown(job)),
        Text("Nothing was written (--dry-run)."),
    )


def _unknown(job: Job) -> list[str]:
    """Return what is not known of rows that were judged one by one."""
    found = []
    if job.record.gathers or job.record.limits:
        found.append(
            "Rows were judged one by one: a run may skip or reject more, because of other rows of their users."
        )
    if job.delta.state:
        found.append("Which users have not changed is not known: a run leaves them out.")
    return found


def _sampled(preview: Preview) -> str:
    """Return what the shares of rows are based on."""
    estimate, job = preview.estimate, preview.plan.job
    if estimate.is_whole:
        return f"All {estimate.ledger.read:,} rows were checked:"
    inputs = len(preview.plan.origins)
    of = "" if estimate.rows is None else f" of about {estimate.rows:,}"
    where = "the input" if inputs == 1 else "each input"
    if estimate.inputs < inputs:
        where = f"{estimate.inputs:,} of {inputs:,} inputs"
    text = f"Estimated from {estimate.ledger.read:,}{of} rows, at the start, in the middle and at the end of {where}:"
    if estimate.beginnings:
        first = f"'{job.conceal_path(estimate.beginnings[0])}'"
        more = f" and {len(estimate.beginnings) - 1:,} more" if len(estimate.beginnings) > 1 else ""
        text = f"Estimated from {estimate.ledger.read:,} rows; of {first}{more}, only the first ones were read:"
    return text


def _fates(estimate: Estimate) -> list[tuple[str, str]]:
    """Return which shares of the rows would be written, rejected and skipped, and why, by column."""
    ledger = estimate.ledger
    if not ledger.read:
        return []
    lines = [(_percent(1 - estimate.rejected - estimate.skipped), "written")]
    if ledger.cleared:
        lines.append((_percent(ledger.cleared / ledger.read), "users cleared"))
    for fate, share, counts in (
        ("rejected", estimate.rejected, ledger.rejected),
        ("skipped", estimate.skipped, ledger.skipped),
    ):
        total = max(counts.total(), 1)
        for rule, count in counts.most_common():
            causes = ledger.causes_of(rule)
            rest = count - sum(each for _, each in causes)
            lines += [(_percent(share * each / total), f"{fate}: {cause}") for cause, each in causes]
            lines += [(_percent(share * rest / total), f"{fate}: {rule}")] if rest else []
    return lines


def _percent(share: float) -> str:
    """Return a share with a digit more where it is small."""
    return f"{share:.1%}" if share >= 0.01 or not share else f"{share:.3%}"


def _outcome(rule: Rule) -> str:
    """Return why a row is not written."""
    return f"{'skipped' if rule.skips else 'rejected'}: {rule.name}"


def _first_lines(preview: Preview) -> list[tuple[int | None, str, str]]:
    """Return for each of the first rows the reason why it is not written, the masked IDs, and the signals."""
    rows = preview.rows
    if not rows.height:
        return []
    ids = len(preview.plan.records.id_types)
    fields = pl.col("line").str.strip_suffix("\n").str.split("\t")
    masked_ids = [mask(fields.list.get(index, null_on_oob=True)) for index in range(ids)]
    return rows.select(
        "reason",
        pl.concat_str(masked_ids, separator="\t").alias("id"),
        fields.list.slice(ids).list.join("\t").alias("signals"),
    ).rows()
