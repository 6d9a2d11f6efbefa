"""What `--dry-run` shows of a plan."""

from __future__ import annotations

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from converter.cli.console import console
from converter.convert import Plan
from converter.privacy import masked
from converter.report.terminal import size


def show(plan: Plan) -> None:
    """Print what a run would do."""
    console().print(_preview(plan))


def _preview(plan: Plan) -> RenderableType:
    """Return what a run would do: names, columns, first lines with the ID masked."""
    job = plan.job
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    files = [f"{job.conceal_path(str(file.path))} ({size(file.size)})" for file in plan.files]
    shown = files[:5] + ([f"… and {len(files) - 5:,} more"] if len(files) > 5 else [])
    facts.add_row("reads", "\n".join(shown))
    facts.add_row("ID", f"column '{job.id.column}', type {job.id.type}, " + " then ".join(_steps(plan)))
    facts.add_row("columns", ", ".join(plan.records.columns))
    facts.add_row("writes", f"{job.conceal_path(plan.destination.url(plan.part_name(1)))} …")
    facts.add_row("parts", f"at most {size(plan.limits.part_bytes)} ({size(plan.limits.part_raw_bytes)} of text)")
    facts.add_row("report", job.conceal_path(str(plan.report_path)))
    facts.add_row("rejects", job.conceal_path(str(plan.rejects_path)))
    lines = Text("\n")
    for reason, id_, rest in _first_lines(plan):
        lines.append(f"{id_}\t{rest}" if reason is None else f"rejected: {plan.records.rules[reason].name}\n")
    warnings = [Text(f"Warning: {warning}", style="yellow") for warning in job.warnings]
    return Group(facts, lines, *warnings, Text("Nothing was written (--dry-run)."))


def _steps(plan: Plan) -> list[str]:
    steps = ["trimmed"] if plan.job.id.trim else ["as it is"]
    if case := plan.records.case:
        steps.append(f"{case} case")
    return steps


def _first_lines(plan: Plan) -> list[tuple[int | None, str, str]]:
    """Return the first rows: the reason why it is rejected, else the masked ID and the signals of the line."""
    rows = plan.preview()
    if not rows.height:
        return []
    fields = pl.col("line").str.split_exact("\t", 1)
    return rows.select(
        "reason", masked(fields.struct.field("field_0")).alias("id"), fields.struct.field("field_1").alias("signals")
    ).rows()
