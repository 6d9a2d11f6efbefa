"""The outcome of a run in one line, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.report.texts import counted

_ENDS = {"done": "Done", "refused": "Refused", "failed": "Failed", "stopped": "Stopped"}


def headline(report: Mapping[str, Any]) -> str:
    """Return the outcome of a run in one line."""
    outcome, error = report["outcome"], report.get("error")
    end = _ENDS.get(outcome, str(outcome).capitalize())
    if error:
        return f"{end}: {error['message']}"
    parts = counted(len(report["parts"]), "part")
    if "records" not in report:
        return f"{end}: {counted(len(report['parts']), 'file')} sent."
    records = report["records"]
    written = f"{records['written']:,} of {counted(records['read'], 'row')} are written, in {parts}"
    others = [
        f"{sum(records[fate].values()):,} {fate}" for fate in ("rejected", "skipped") if sum(records[fate].values())
    ]
    return f"{end}: {written}{'; ' if others else ''}{', '.join(others)}."


def next_step(report: Mapping[str, Any]) -> str:
    """Return what to do next, in words."""
    error, records = report.get("error"), report.get("records", {})
    if error:
        visible = counted(len(report["parts"]), "part")
        hint = error.get("hint") or "Look at the reasons below, correct the cause, and run the same command again."
        has_some = report["parts"] and "visible" not in hint
        seen = f" {visible} are visible at the destination." if has_some else ""
        return f"{hint}{seen} More about it: aam-inbound explain {error['code']}"
    if sum(records.get("rejected", {}).values()):
        job = report.get("job_path") or "JOB.toml"
        return (
            "The other rows are delivered. Look at why rows were rejected, correct the settings or the input, and "
            "convert only these rows again: "
            f"aam-inbound convert {job} --rejects-of {report.get('report_path') or 'REPORT.json'}"
        )
    if report.get("warnings"):
        return "Everything is delivered. Read the warnings below."
    return "Everything is delivered: there is nothing to do."
