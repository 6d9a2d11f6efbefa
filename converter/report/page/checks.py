"""What the page of a check of inbound files shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.report.foreseen import labeled
from converter.report.page.room import Room
from converter.report.texts import cleaned, counted


def check_shown(report: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Return the values of the page; `report` is what `CheckReport.as_dict` gives."""
    omitted: list[str] = []
    data = cleaned(report, room.text)
    files = sorted(data["files"], key=lambda file: -sum(each["level"] == "error" for each in file["findings"]))
    if len(files) > room.items:
        omitted.append(f"{len(files) - room.items:,} of {len(files):,} files, those with fewer errors")
    shown = []
    for file in files[: room.items]:
        findings = file["findings"][: room.items]
        if len(file["findings"]) > len(findings):
            omitted.append(f"{len(file['findings']) - len(findings):,} findings of {file['path']}")
        shown.append(
            {
                **file,
                "findings": [{**each, "examples": each["examples"][: room.examples]} for each in findings],
            }
        )
    errors, warnings = data["errors"], data["warnings"]
    counts = f"{counted(errors, 'error')} and {counted(warnings, 'warning')} in {counted(len(data['files']), 'file')}."
    return {
        "title": "Check of inbound files",
        "outcome": "refused" if errors else "done",
        "headline": f"Errors found: {counts}" if errors else f"No errors: {counts}",
        "next_step": "Correct the lines below, then check the files again: Audience Manager would drop or misread them."
        if errors
        else "The files can be sent: aam-inbound send FILES --to URL.",
        "foreseen": labeled((data.get("foreseen") or {}).get("figures", {})),
        "files": shown,
        "omitted": omitted,
        "data": {"files": len(data["files"]), "errors": errors, "warnings": warnings},
    }
