"""The guard of files that add to and files that replace the data of one data source, sent on one day (T2).

Audience Manager may process them in either order. What was sent is known by the reports in `report.dir`.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from converter.delivery.run_files import RunFiles
from converter.errors import GuardError
from converter.jobs.job import Job, Transfer
from converter.report.history import reports_in
from converter.spec.names import FileName

_DAY = 24 * 3600
_Sources: TypeAlias = "tuple[tuple[int, ...], int | None]"
"""The data sources of the IDs of a file, and that of the traits."""


def check_modes(document: Job | Transfer, files: RunFiles, names: Sequence[FileName], day: datetime.date) -> None:
    """Raise `GuardError` where files of these names must not be sent on a day (`other_mode`)."""
    if error := other_mode(document, files, names, day):
        raise error


def other_mode(
    document: Job | Transfer, files: RunFiles, names: Sequence[FileName], day: datetime.date
) -> GuardError | None:
    """Return the error that other files of the same data source, with the other mode, were sent to the place that day.

    They may also be among the files themselves. Returns None where there are none, or the user allows both.
    """
    if document.output.allow_both_modes:
        return None
    modes = {_sources(name): name.mode for name in names}
    for name in names:
        if name.mode != modes[_sources(name)]:
            return _error(name, "These files have both modes", "")
    for report in _reports(document, files, day):
        for name in _names_in(report):
            if modes.get(_sources(name), name.mode) != name.mode:
                where = f"; its report is '{report.get('report_path')}'"
                return _error(name, f"The run {report.get('name')} has sent .{name.mode} files on {day}", where)
    return None


def _sources(name: FileName) -> _Sources:
    return name.dpids, name.target


def _reports(document: Job | Transfer, files: RunFiles, day: datetime.date) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of runs that have sent something to the place of a document on a day in UTC."""
    start = datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
    for report in reports_in(files, min(start, time.time() - _DAY)):
        if report.get("place") == document.place and report.get("sent") == day.isoformat():
            yield report


def _names_in(report: Mapping[str, Any]) -> Iterator[FileName]:
    """Yield the names of the parts of a report that are visible."""
    for part in report.get("parts") or ():
        try:
            yield FileName.parse(part["name"])
        except (KeyError, TypeError, ValueError):  # sent with --no-check, or edited
            continue


def _error(name: FileName, what: str, where: str) -> GuardError:
    source = f"the data source {'_'.join(map(str, name.dpids))}"
    source += "" if name.target is None else f", with traits of {name.target}"
    return GuardError(
        "E-BOTH-MODES",
        f"{what} for {source}, to the same place{where}. Audience Manager may process .sync and .overwrite files of "
        "one data source in either order (T2).",
        "Send one kind of them when the other is processed, on another day; or allow both with --allow-both-modes. "
        "Nothing was published.",
    )
