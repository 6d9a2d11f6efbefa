"""The volume guard: what a run reads and writes, compared with the last delivered runs of its job (`max_change`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from converter.delivery.run_files import RunFiles
from converter.errors import GuardError
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.report.history import reports_in
from converter.sources.base import Source

if TYPE_CHECKING:
    from converter.commands.estimate import Estimate

_MOST_RUNS, _LEAST_RUNS = 5, 3
ROWS, BYTES, USERS = "rows read", "bytes written", "users written"
"""What is compared; bytes are those of the lines, before compression, and users are known where they are gathered."""


class _Usual(NamedTuple):
    """The medians of what the last delivered runs of a job have read and written, and how many runs these are."""

    runs: int
    medians: Mapping[str, float]


class VolumeGuard:
    """Refuses a run that reads or writes far less or far more than the last delivered runs of its job.

    Where there are fewer than three of these, nothing is refused.
    """

    def __init__(self, job: Job, files: RunFiles) -> None:
        self._most = job.max_change
        is_off = self._most == "off"
        self._share = Decimal(0) if is_off else Decimal(self._most.removesuffix("%")) / 100
        self._writes_changes = job.delta.state is not None  # which may be any number
        self._usual = _Usual(0, {}) if is_off else _usual_volume(job, files)

    def check(self, ledger: Ledger, size: int, consequence: str) -> None:
        """Raise `GuardError` unless a run is near the usual, by its `ledger` and the `size` of its lines in bytes.

        `consequence` is a sentence about what was published.
        """
        users = {USERS: ledger.users} if ledger.users else {}
        written = {} if self._writes_changes else {BYTES: size, **users}
        self._check({ROWS: ledger.read, **written}, consequence)

    def check_known(self, sources: Sequence[Source], consequence: str) -> None:
        """Raise `GuardError` where sources know how many rows they have, and these are not near the usual."""
        rows = [source.rows for source in sources] if self._usual.medians else [None]
        if None not in rows:
            self._check({ROWS: sum(each or 0 for each in rows)}, consequence)

    def check_so_far(self, rows: int, consequence: str) -> None:
        """Raise `GuardError` where more `rows` were read than a run may, before its end."""
        if rows > self._usual.medians.get(ROWS, rows):
            self._check({ROWS: rows}, consequence, " so far")

    def of_estimate(self, estimate: Estimate) -> GuardError | None:
        """Return the error that is to be expected by the number of rows of the input, if there is one."""
        figures = {} if estimate.rows is None else {ROWS: estimate.rows}
        far, about = self._far(figures), "" if estimate.is_whole else " (about)"
        return self._error(far, figures, "Nothing was written (--dry-run).", about) if far else None

    def _check(self, figures: Mapping[str, int], consequence: str, so_far: str = "") -> None:
        if far := self._far(figures):
            raise self._error(far, figures, consequence, so_far)

    def _far(self, figures: Mapping[str, int]) -> list[str]:
        """Return the names of the figures that are far from the usual ones."""
        medians = {name: Decimal(self._usual.medians.get(name, count)) for name, count in figures.items()}
        return [name for name, count in figures.items() if abs(count - medians[name]) > self._share * medians[name]]

    def _error(self, far: Sequence[str], figures: Mapping[str, int], consequence: str, so_far: str) -> GuardError:
        compared = " and ".join(
            f"{figures[name]:,} {name}{so_far}, where the median is {self._usual.medians[name]:,.0f}" for name in far
        )
        return GuardError(
            "E-VOLUME",
            f"The run differs too much from the last {self._usual.runs} delivered runs of this job: {compared}. "
            f"At most {self._most} less or more is allowed (report.max_change).",
            "Check whether the input is complete. If it is right, run once with --accept-volume (in Python: "
            f"accept_volume=True). {consequence}",
        )


def _usual_volume(job: Job, files: RunFiles) -> _Usual:
    """Return what the last five delivered runs of a job have read and written, by their reports in `report.dir`."""
    past = list(itertools.islice(_delivered(job, files), _MOST_RUNS))
    if len(past) < _LEAST_RUNS:
        return _Usual(len(past), {})
    import statistics  # here, since it loads much, and first runs need none

    known = [name for name in past[0] if all(name in each for each in past)]
    return _Usual(len(past), {name: statistics.median(each[name] for each in past) for name in known})


def _delivered(job: Job, files: RunFiles) -> Iterator[dict[str, int]]:
    """Yield the figures of the runs of a job that were delivered, the last ones first."""
    series = job.series
    for report in reports_in(files):
        if report.get("series") == series and report.get("outcome") == "done" and (figures := _figures_in(report)):
            yield figures


def _figures_in(report: Mapping[str, Any]) -> dict[str, int] | None:
    try:
        records, size = report["records"], sum(int(part["raw_bytes"]) for part in report["parts"])
        users = {USERS: int(records["users"])} if "users" in records else {}
        return {ROWS: int(records["read"]), BYTES: size, **users}
    except (KeyError, TypeError, ValueError):  # it was edited
        return None
