"""The reports of earlier runs, among whatever else lies in `report.dir`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from converter.delivery.run_files import RunFiles
from converter.jobs.run_files import REPORT_SUFFIX
from converter.report import SCHEMA_VERSION


def reports_in(files: RunFiles, since: float = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of runs, as plain data, those that were written last first.

    `since` is UNIX seconds: earlier reports are omitted, and so is what is not a report of this version or cannot be
    read.
    """
    try:
        found = [(each.modified, each.name) for each in files.entries() if each.name.endswith(REPORT_SUFFIX)]
    except OSError:  # the run says so where it writes its own report
        return
    for written, name in sorted(found, reverse=True):
        if written >= since and (report := _read(files, name)):
            yield report


def _read(files: RunFiles, name: str) -> Mapping[str, Any] | None:
    try:
        report = orjson.loads(files.read(name))
    except (OSError, ValueError):
        return None
    is_report = isinstance(report, dict) and report.get("schema_version") == SCHEMA_VERSION
    return report if is_report else None
