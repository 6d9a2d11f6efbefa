"""Runs that send changes only: the state that a job compares with, and the one that a run makes (`delta.state`)."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from converter.delivery.journal import PastRun
from converter.delivery.publication import Artifact, ArtifactFile
from converter.delivery.run_files import RunFiles
from converter.delivery.state import NextState, State
from converter.delivery.state_places import RECORD, StatePlace
from converter.delivery.state_record import StateFile, StateRecord, salt_id
from converter.errors import Finding, JobError
from converter.jobs.job import Job
from converter.rows.delta.changes import ChangeCounts
from converter.rows.delta.known import BYTES_A_USER
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.stage import Changes
from converter.rows.records import Records

_SHARE = 2
"""The share of the memory that the state may take."""


def hold_state(place: StatePlace | None) -> AbstractContextManager[None]:
    """Hold the lock of a state, if there is one. Raises `DestinationError` where another process has it."""
    return place.lock() if place else contextlib.nullcontext()


def read_state(job: Job, place: StatePlace | None) -> tuple[State | None, list[Finding]]:
    """Return the state of a job, if it has one, and warnings about it. Raises `JobError` where it cannot be used."""
    if place is None:
        return None, []
    state = State.read(place)
    record, findings = state.record, []
    if record is None:
        return state, []
    if (record.kind, record.sources) != (job.output.kind, sources_of(job)):
        raise JobError(
            "E-STATE-OTHER",
            f"The state '{job.delta.state}' is of files of kind '{record.kind}' for {_named(record.sources)}, but the "
            f"job makes files of kind '{job.output.kind}' for {_named(sources_of(job))}.",
            "Name another folder in delta.state: each data source has a state of its own.",
        )
    if (record.lines, record.mode) != (job.lines_digest, job.output.mode):
        findings.append(
            Finding(
                "W-STATE-JOB",
                f"The job is not as it was in the run {record.run}, which wrote the state '{job.delta.state}'.",
                "Users whose lines differ for that reason are sent as changed ones.",
            )
        )
    if job.delta.removes and not record.traits:
        message = f"The state '{job.delta.state}' has no traits yet, so none are removed in this run."
        findings.append(Finding("W-STATE-TRAITS", message, "The next run removes those that users lose from now on."))
    elif job.delta.gone == "remove" and not record.ids:
        message = f"The state '{job.delta.state}' has no IDs yet, so users who are gone are only counted in this run."
        findings.append(Finding("W-STATE-IDS", message, "The next run removes the traits of users who are gone then."))
    return state, findings


def state_notices(job: Job) -> list[str]:
    """Return sentences about what a state holds that may surprise."""
    path = job.conceal_path(job.delta.state or "")
    has_ids = job.delta.state is not None and job.delta.gone == "remove"
    return [f"The state '{path}' holds user IDs as they are sent (delta.gone = 'remove')."] if has_ids else []


def sources_of(job: Job) -> list[dict[str, int | None]]:
    """Return the data sources of a job's files, as a state has them."""
    return [{"dpid": dpid, "target": target} for _, dpid, target in job.routes]


def _named(sources: Sequence[dict[str, int | None]]) -> str:
    each = (f"{source['dpid']}" + (f" (target {source['target']})" if source["target"] else "") for source in sources)
    return f"data source {', '.join(each)}"


def state_print(job: Job, state: State | None) -> list[dict[str, Any]]:
    """Return what tells the state of a job from an earlier or a later one, as fingerprints of the input have it."""
    if job.delta.state is None or state is None:
        return []
    record = state.record
    written = {"generation": record.generation, "run": record.run} if record else {"generation": 0}
    return [{"list": True, "path": job.conceal_path(job.delta.state), **written}]


def is_up_to_date(place: StatePlace | None, past: PastRun, day: str) -> bool:
    """Return whether a run that is done has written the state of a job on this day, so that no user is due."""
    record = State.read(place).record if place else None
    return record is None or (record.run, record.day) == (past.run.name, day)


class Comparison(NamedTuple):
    """What a process needs that compares users for a run of another one: the record of the state, and the options."""

    record: StateRecord | None
    options: DeltaOptions


class ComparedElsewhere(NamedTuple):
    """What became of users that another process has compared, and its files of the next state."""

    counts: ChangeCounts
    files: Sequence[StateFile]


class RunChanges:
    """The changes of a run, and the state that it makes; without a state, nothing.

    `name` is that of the run, and `sent` its day.
    """

    def __init__(self, job: Job, state: State | None, name: str, sent: datetime.date) -> None:
        self._job = job
        self._state = state
        self._sent = sent
        self._next = NextState(state.place, name) if state else None
        self._salt = b""
        self._options: DeltaOptions | None = None
        self._changes: Changes | None = None

    def begin(self, records: Records) -> Changes | None:
        """Begin the next state, and return what compares users with the present one. Raises `DestinationError`."""
        if self._state is None or self._next is None:
            return None
        self._salt = self._next.begin(self._state)
        self._options = DeltaOptions.of(self._job, records, self._salt, self._sent)
        self._changes = Changes(self._options, self._next, in_memory=self._fits())
        return self._changes

    def begin_elsewhere(self, records: Records) -> Comparison | None:
        """Begin the next state, and return what other processes need to compare users. Raises `DestinationError`."""
        if self.begin(records) is None or self._state is None or self._options is None:
            return None
        return Comparison(self._state.record, self._options)

    def take(self, compared: ComparedElsewhere) -> None:
        """Take what another process has made of all users of some files. Raises `DestinationError`."""
        assert self._changes is not None  # noqa: S101 - for the type checker: it was begun
        assert self._next is not None  # noqa: S101 - as above
        self._changes.counts = self._changes.counts.plus(compared.counts)
        self._next.adopt(compared.files)

    def _fits(self) -> bool:
        """Whether the state can be in memory, and rows are lines whose hashes are in it."""
        record = self._state.record if self._state else None
        job, delta = self._job, self._job.delta
        if record is None or job.record.rows != "user" or delta.full:
            return False
        has_all = (record.traits or not delta.removes) and (record.ids or delta.gone != "remove")
        return has_all and record.users * BYTES_A_USER <= job.run.memory // _SHARE

    @property
    def counts(self) -> ChangeCounts | None:
        """What became of users so far."""
        return self._changes.counts if self._changes else None

    @property
    def artifacts(self) -> list[Artifact]:
        """The next state, if there is one."""
        return [self._next] if self._next else []

    def describe(self) -> None:
        """Say in the next state what it is of, once all users were compared."""
        if self._next and self._options and self._changes:
            self._next.describe(
                day=self._sent.isoformat(),
                kind=self._job.output.kind,
                sources=sources_of(self._job),
                mode=self._job.output.mode,
                lines=self._job.lines_digest,
                salt=salt_id(self._salt),
                traits=self._options.keeps_traits,
                ids=self._options.removes_gone,
                counts=counts_of(self._changes.counts),
            )


def counts_of(counts: ChangeCounts) -> dict[str, int]:
    """Return the counts as reports have them."""
    users = {name: getattr(counts, name) for name in ("new", "changed", "refreshed", "unchanged", "gone", "removed")}
    return {**users, "traits_removed": counts.traits, "keys_lost": counts.keys}


def artifacts_of(past: PastRun, files: RunFiles, place: StatePlace | None) -> list[Artifact]:
    """Return the artifacts that an earlier run has prepared; its journal has the names of those among its `files`.

    The next state is one of them, where there is a `place` for it.
    """
    others: list[Artifact] = [ArtifactFile(files, name) for name in past.artifacts if name != RECORD]
    return [NextState(place, past.run.name), *others] if place else others
