"""A run whose rows are converted by tasks of Spark: what differs from a run on one machine.

1. Tasks give one message for each partition, all of them before anything is taken (`run_tasks`). Where lines are
   gathered, so do those that gather them.
2. The counts of all are added, in the order of partitions, and their parts become parts of this run.
3. What other attempts of tasks have left at the destination is removed.

Everything else is as on one machine: the ledger is proven, then all parts become visible, with the same journal. Since
parts are known only when all tasks are done, a run that died before is begun again, under the same names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

from converter._version import __version__
from converter.commands.account import Account
from converter.commands.conversion import Conversion
from converter.commands.plan import Plan
from converter.commands.progress import Progress
from converter.commands.resume import changed_input, check_engine, check_key
from converter.commands.warnings import Warnings
from converter.delivery import stops
from converter.delivery.destinations import Owner
from converter.delivery.hold import Hold
from converter.delivery.journal import Journal, PastRun
from converter.delivery.threads import run_in_thread
from converter.errors import DestinationError, Finding, LedgerError, Reported, ResumeError
from converter.jobs.events import tell
from converter.jobs.job import Job
from converter.jobs.paths import is_url
from converter.report import Report
from converter.rows.skipped import Place
from converter.spark.hashes import known_hashes, no_results, sees_hashes
from converter.spark.messages import Assignment, Staged, StagedRejects
from converter.spark.suppressed import check_size, sent_list

_KILL_SECONDS = 3.0  # Spark kills what a task has started two seconds after it has stopped the task
_SWEEP_SECONDS = 30.0

Run = Callable[[Plan, Callable[[], None]], "tuple[Sequence[Staged], int | None]"]
"""Runs tasks for a plan, and calls a function now and then. Returns what they made of each partition, and how many rows
Spark has counted itself, if it has."""


class SparkConversion(Conversion):
    """One run of a job on Spark. `run_tasks` runs its tasks."""

    engine = "spark"

    def __init__(
        self,
        run_tasks: Run,
        journal: Journal,
        hold: Hold,
        plan: Plan,
        warnings: list[Finding],
        account: Account,
    ) -> None:
        check_size(plan.records.suppression)
        super().__init__(journal, hold, plan, warnings, account)
        self._run_tasks = run_tasks
        self._counted: int | None = None

    def resume(self, past: PastRun, notify: Callable[[str], None]) -> None:
        """Begin a run that died again, under its names: what its tasks have left is removed."""
        if self._plan.fingerprints != past.run.input:
            raise changed_input(past)
        check_engine(past, self.engine)
        check_key(past, self._plan.key)
        if past.published:
            raise ResumeError(
                "E-RESUME-PARTS",
                f"{len(past.published)} parts of the run {past.run.name} are visible, and others have disappeared: "
                "Spark cannot make these again alone.",
                "Check what has arrived, and run without --resume: that abandons the run and begins a new one.",
            )
        self._run = past.run
        self._begun = True
        for name, state in (attempt for attempts in past.attempts.values() for attempt in attempts):
            self._delivery.retrying(self._plan.destination.discard, name, state)
        self._remove_lost()
        self._journal.begin(self._run)
        notify(f"Resuming {past.run.name}: none of its parts is visible, so all of them are made again.")

    def _convert(self, progress: Callable[[Progress], None]) -> None:
        """Let tasks convert all rows, and take their parts."""
        plan = self._plan._replace(comparison=self._changes.begin_elsewhere(self._plan.records))
        try:
            staged, self._counted = self._run_tasks(plan, lambda: progress(self._progress()))
        except BaseException:
            stops.hold()
            for seconds in (0.0, _KILL_SECONDS):
                time.sleep(seconds)
                self._remove_lost()
            raise
        for each in sorted(staged, key=lambda each: (bool(each.ranges), each.partition)):
            self._take(each)
            progress(self._progress())
        self._results += no_results(plan.job, plan.records)
        self._parts = dict(sorted(self._parts.items()))
        self._phase = "sending"
        self._remove_lost()
        if self._counted is not None and self._counted != self._ledger.read:
            raise LedgerError(
                "E-LEDGER",
                f"Spark has counted {self._counted:,} rows, but tasks have read {self._ledger.read:,}.",
                "Nothing was published; please report this as a bug.",
            )
        self._complete = True

    def _report(self, error: Reported | None = None) -> Report:
        return replace(super()._report(error), spark={"rows": self._counted})

    def _publish(self, warnings: Warnings) -> Report:
        report = super()._publish(warnings)
        self._remove_lost()  # again: an attempt that lost may have begun another part before it was killed
        return report

    def _remove_lost(self) -> None:
        """Remove what attempts have left whose parts are not those of this run, as far as a few seconds allow."""

        def sweep() -> None:
            for name in self._plan.names:
                self._plan.destination.sweep(name, list(self._delivery.arrived.values()))

        task = run_in_thread(sweep)
        wait([task], _SWEEP_SECONDS)
        if task.done() and isinstance(error := task.exception(), DestinationError):
            tell("leftovers", f"Not all that attempts of tasks have left could be removed: {error.message}")

    def _take(self, staged: Staged) -> None:
        """Add what a task has made: its counts, its rejects, and its parts."""
        self._ledger += staged.ledger
        if staged.results:
            self._results += staged.results
        if staged.compared:
            self._changes.take(staged.compared)
        if staged.frequencies:  # a task without rows, or that gathers nothing, knows none
            self._packing.merge(staged.frequencies, staged.first_lines)
        for index, size in staged.bytes_read.items():
            self._bytes_read[self._plan.origins[index].label] += size
        for each in staged.rejects:
            self._take_rejects(each)
        self._rejects.leave_out(staged.left_out)
        self._skips.merge(staged.skips, self._place)
        for part in staged.parts:
            self._parts[part.number] = part.part
            self._delivery.adopt(part.number, part.part, part.text_crc32, part.arrived)

    def _take_rejects(self, rejects: StagedRejects) -> None:
        where = self._where((rejects.file, rejects.partition))
        self._rejects.add(*where, rejects.rows, rejects.rejected, rejects.malformed)
        self._other_encodings.add(self._plan.origins[rejects.file], rejects.malformed)

    def _where(self, place: Place) -> tuple[str, str]:
        label, unit = super()._where(place)
        number, partition = place
        return (f"{label}, partition {partition}" if self._is_frame(number) else label), unit

    def _place(self, place: Place) -> Place:
        """Return the place of an input: rows have numbers in their partition only where it is a DataFrame."""
        return place if self._is_frame(place[0]) else (place[0], 0)

    def _is_frame(self, number: int) -> bool:
        return self._plan.origins[number].size is None


def assignment_of(plan: Plan, stride: int) -> Assignment:
    """Return what the tasks of a plan are to do."""
    return Assignment(
        __version__,
        _with_absolute_paths(plan.job),
        plan.moment.timestamp,
        plan.moment.sent,
        Owner(plan.owner.digest, plan.owner.token),
        plan.records.found,
        plan.key.fingerprint if plan.key else None,
        stride,
        known_hashes() if plan.records.suppression or sees_hashes(plan.job) else (),
        sent_list(plan.records.suppression),
        comparison=plan.comparison,
    )


def _with_absolute_paths(job: Job) -> Job:
    """Return a job whose destination and state mean the same in any folder: tasks run in those of Spark."""
    to, state = _absolute(job.output.to), _absolute(job.delta.state)
    output, delta = job.output.model_copy(update={"to": to}), job.delta.model_copy(update={"state": state})
    return job.model_copy(update={"output": output, "delta": delta})


def _absolute(path: str | None) -> str | None:
    return str(Path(path).absolute()) if path and not is_url(path) else path
