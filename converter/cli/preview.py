"""What `--dry-run` shows of a plan."""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from converter.cli.console import console
from converter.cli.lines import warning_line
from converter.columns.privacy import mask
from converter.commands.plan import Plan
from converter.report.terminal import size
from converter.spec.rules import Rule


def show(plan: Plan) -> None:
    """Print what a run would do."""
    console().print(_preview(plan))


def as_dict(plan: Plan) -> dict[str, Any]:
    """Return what a run would do as plain data; IDs are masked."""
    job = plan.job
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
        "report": job.conceal_path(str(plan.report_path)),
        "rejects": job.conceal_path(str(plan.rejects_path)),
        "first_rows": [
            {
                "fate": "written" if reason is None else _outcome(plan.records.rules[reason]),
                "id": ids,
                "signals": signals,
            }
            for reason, ids, signals in _first_lines(plan)
        ],
    }


def _preview(plan: Plan) -> RenderableType:
    """Return what a run would do: names, columns, first lines with the ID masked."""
    job = plan.job
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
    facts.add_row("report", job.conceal_path(str(plan.report_path)))
    facts.add_row("rejects", job.conceal_path(str(plan.rejects_path)))
    lines = Text("\n")
    for reason, ids, rest in _first_lines(plan):
        shown_line = "\t".join(filter(None, [ids, rest]))
        lines.append(f"{shown_line if reason is None else _outcome(plan.records.rules[reason])}\n")
    warnings = [Text(warning_line(warning), style="yellow") for warning in job.warnings]
    return Group(facts, lines, *warnings, Text("Nothing was written (--dry-run)."))


def _outcome(rule: Rule) -> str:
    """Return why a row is not written."""
    return f"{'skipped' if rule.skips else 'rejected'}: {rule.name}"


def _first_lines(plan: Plan) -> list[tuple[int | None, str, str]]:
    """Return for each of the first rows the reason why it is not written, the masked IDs, and the signals."""
    rows = plan.preview()
    if not rows.height:
        return []
    ids = len(plan.records.id_types)
    fields = pl.col("line").str.strip_suffix("\n").str.split("\t")
    masked_ids = [mask(fields.list.get(index, null_on_oob=True)) for index in range(ids)]
    return rows.select(
        "reason",
        pl.concat_str(masked_ids, separator="\t").alias("id"),
        fields.list.slice(ids).list.join("\t").alias("signals"),
    ).rows()
