"""Words and tables for the terminal, as rich renderables. Nothing here prints."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

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
    table.add_column(overflow="fold")
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
