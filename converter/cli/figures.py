"""The figures of progress, as words."""

from __future__ import annotations

from converter.commands.progress import Progress
from converter.report.texts import size


def facts_of(progress: Progress) -> list[str]:
    """Return the figures of a run, the most important ones first."""
    total, parts = progress.bytes_total, progress.parts
    read = size(progress.bytes_read) if total is None else f"{size(progress.bytes_read)} of {size(total)}"
    if progress.phase == "connecting":
        return [f"{progress.retries:,} retries"] if progress.retries else []
    made = "" if progress.bytes_sent == progress.bytes_written else f" of {size(progress.bytes_written)}"
    counts = {"rejected": progress.rejected, "skipped": progress.skipped, "retries": progress.retries}
    if progress.phase == "reading":
        rejected = [f"{progress.rejected:,} rejected"] if progress.rejected else []
        return [f"{progress.rows or 0:,} rows", f"{read} read", *rejected]
    of_rows = [] if progress.rows is None else [f"{progress.rows:,} rows", f"{read} read"]
    return [
        *of_rows,
        f"{size(progress.bytes_sent)}{made} sent",
        f"{progress.arrived:,} of {parts:,} parts there",
        *(f"{count:,} {name}" for name, count in counts.items() if count),
    ]
