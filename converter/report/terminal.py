"""Text for the terminal. Nothing here prints."""

from __future__ import annotations

from converter.jobs.run_files import page_name
from converter.report import Report
from converter.report.texts import size

_CHANGES = {
    "new": "users: new",
    "changed": "users: changed",
    "refreshed": "users: sent again",
    "unchanged": "users: unchanged, so not sent",
    "gone": "users: gone from the input",
    "removed": "users: gone from the input, their traits removed",
    "traits_removed": "traits removed",
    "keys_lost": "keys lost, which cannot be taken back",
}
"""The counts of `Report.changes`, in words."""


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the summary of a run: lines of a number and its meaning, then the paths of page, report and rejects."""
    paths = {"report": report.report_path, "rejects": report.rejects_path}
    where = [(name, path) for name, path in paths.items() if path]
    if report.outcome == "nothing to do":
        why = f"the run {report.name} is finished, and its input has not changed since"
        return [("done", f"nothing to do: {why}"), *where]
    page = [("page", page_name(report.report_path))] if report.report_path and report.job["report"]["page"] else []
    return [*_figures(report), *page, *where]


def _foreseen(report: Report) -> list[tuple[str, str]]:
    """Return what the receipt will say about traits, where that is known."""
    if report.foreseen is None or "signals" not in report.foreseen:
        return []
    from converter.report.foreseen import WORDS  # here, since few jobs need it

    figures = report.foreseen["figures"]
    lines = [(f"{figures['total_realized_traits']:,}", "traits realized")]
    if removed := figures["total_removed_traits"]:
        lines.append((f"{removed:,}", "traits removed"))
    lines.append((f"{figures['no_trait_realized']:,}", "lines without a trait"))
    return [*lines, *((f"{count:,}", WORDS[fate]) for fate, count in report.foreseen["signals"].items() if count)]


def _figures(report: Report) -> list[tuple[str, str]]:
    records, signals = report.records, report.signals
    written = sum(part.lines for part in report.parts)
    in_lines = "lines written" if written == records["written"] else f"rows written, in {written:,} lines"
    lines = [
        (f"{records['read']:,}", f"rows read, in {report.seconds:,.1f} s ({size(report.bytes_per_second)}/s)"),
        (f"{records['written']:,}", in_lines),
        *(
            (f"{count:,}", f"{fate}: {name}")
            for fate in ("rejected", "skipped")
            for name, count in records[fate].items()
        ),
        *((f"{count:,}", _CHANGES[name]) for name, count in (report.changes or {}).items() if count),
        *((f"{each['files']:,}", f"files not read: {each['reason']}") for each in report.left_out),
        *((f"{count:,}", f"IDs changed: {name}") for name, count in report.ids["changed"].items()),
        *((f"{records[name]:,}", "users cleared") for name in ("cleared",) if name in records),
        (f"{signals['written']:,}", "signals written"),
        *_foreseen(report),
    ]
    for what in ("dropped", "changed"):
        lines += [(f"{count:,}", f"signals {what}: {name}") for name, count in signals[what].items()]
    lines += [(size(part.bytes), part.url) for part in report.parts[:10]]
    if len(report.parts) > 10:
        lines.append((size(sum(part.bytes for part in report.parts)), f"in {len(report.parts):,} parts in all"))
    return lines
