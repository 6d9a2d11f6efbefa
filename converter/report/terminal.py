"""Text for the terminal. Nothing here prints."""

from __future__ import annotations

from converter.jobs.run_files import page_name
from converter.report import Report
from converter.report.texts import counted, figure, size

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
    lines = [figure(figures["total_realized_traits"], "trait", " realized")]
    if removed := figures["total_removed_traits"]:
        lines.append(figure(removed, "trait", " removed"))
    lines.append(figure(figures["no_trait_realized"], "line", " without a trait"))
    signals = report.foreseen["signals"].items()
    return [*lines, *(figure(count, "signal", WORDS[fate]) for fate, count in signals if count)]


def _figures(report: Report) -> list[tuple[str, str]]:
    records, signals = report.records, report.signals
    written = sum(part.lines for part in report.parts)
    as_many = written == records["written"]
    lines = [
        figure(records["read"], "row", f" read, in {report.seconds:,.1f} s ({size(report.bytes_per_second)}/s)"),
        figure(written, "line", " written")
        if as_many
        else figure(records["written"], "row", f" written, in {counted(written, 'line')}"),
        *(
            (f"{count:,}", f"{fate}: {name}")
            for fate in ("rejected", "skipped")
            for name, count in records[fate].items()
        ),
        *((f"{count:,}", _CHANGES[name]) for name, count in (report.changes or {}).items() if count),
        *(figure(each["files"], "file", f" not read: {each['reason']}") for each in report.left_out),
        *(figure(count, "ID", f" changed: {name}") for name, count in report.ids["changed"].items()),
        *(figure(records[name], "user", " cleared") for name in ("cleared",) if name in records),
        figure(signals["written"], "signal", " written"),
        *_foreseen(report),
    ]
    for what in ("dropped", "changed"):
        lines += [figure(count, "signal", f" {what}: {name}") for name, count in signals[what].items()]
    lines += [(size(part.bytes), part.url) for part in report.parts[:10]]
    if len(report.parts) > 10:
        lines.append((size(sum(part.bytes for part in report.parts)), f"in {len(report.parts):,} parts in all"))
    return lines
