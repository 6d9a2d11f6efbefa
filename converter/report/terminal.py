"""Words and tables for the terminal, as rich renderables. Nothing here prints."""

from __future__ import annotations

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from converter.convert import Plan
from converter.privacy import masked
from converter.report import Report

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Return a number of bytes as people say it, in powers of 1,000."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError(count)


def summary(report: Report) -> RenderableType:
    """Return a short table of what a run did."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    records, signals = report.records, report.signals
    table.add_row(f"{records['read']:,}", f"rows read, in {report.seconds:,.1f} s ({size(report.bytes_per_second)}/s)")
    table.add_row(f"{records['written']:,}", "lines written")
    for name, count in records["rejected"].items():
        table.add_row(f"{count:,}", f"rejected: {name}")
    table.add_row(f"{signals['written']:,}", "signals written")
    for what in ("dropped", "changed"):
        for name, count in signals[what].items():
            table.add_row(f"{count:,}", f"signals {what}: {name}")
    for part in report.parts[:10]:
        table.add_row(size(part.bytes), part.url)
    if len(report.parts) > 10:
        table.add_row(size(sum(part.bytes for part in report.parts)), f"in {len(report.parts):,} parts in all")
    warnings = [Text(f"Warning: {warning}", style="yellow") for warning in report.warnings]
    return Group(table, *warnings)


def preview(plan: Plan) -> RenderableType:
    """Return what a run would do: names, columns, first lines with the ID masked."""
    job = plan.job
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    files = [f"{file.path} ({size(file.size)})" for file in plan.files]
    shown = files[:5] + ([f"… and {len(files) - 5:,} more"] if len(files) > 5 else [])
    facts.add_row("reads", "\n".join(shown))
    facts.add_row("ID", f"column '{job.id.column}', type {job.id.type}, " + " then ".join(_steps(plan)))
    facts.add_row("columns", ", ".join(plan.records.columns))
    facts.add_row("writes", f"{plan.destination.url(plan.part_name(1))} …")
    facts.add_row("parts", f"at most {size(plan.limits.part_bytes)} ({size(plan.limits.part_raw_bytes)} of text)")
    facts.add_row("report", str(plan.report_path))
    facts.add_row("rejects", str(plan.rejects_path))
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
