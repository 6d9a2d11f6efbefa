"""The reports of earlier runs in a report folder, whatever else lies there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from converter.jobs.run_files import REPORT_SUFFIX
from converter.report import SCHEMA_VERSION


def reports_in(folder: Path, since: float = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of runs in a folder, as plain data, those that were written last first.

    `since` is UNIX seconds: reports that were written earlier are omitted, and so is what is no report of this version
    or cannot be read.
    """
    found: list[tuple[float, str]] = []
    try:
        with os.scandir(folder) as entries:
            found += ((each.stat().st_mtime, each.path) for each in entries if each.name.endswith(REPORT_SUFFIX))
    except OSError:  # there is none yet, or the run says so where it writes its own report
        return
    for written, path in sorted(found, reverse=True):
        if written >= since and (report := _read(Path(path))):
            yield report


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        report = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    is_report = isinstance(report, dict) and report.get("schema_version") == SCHEMA_VERSION
    return report if is_report else None
