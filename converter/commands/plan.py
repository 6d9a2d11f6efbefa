"""What a job would do: its input, file names, limits, destination and paths, checked before anything is converted."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from converter.commands.again import read_chosen
from converter.commands.changes import Comparison, read_state, state_print
from converter.commands.resume import fingerprints
from converter.commands.suppress import read_suppression
from converter.delivery.destinations import Destination, Owner, destination_of
from converter.delivery.destinations.base import warnings_of
from converter.delivery.state import State
from converter.delivery.state_places import StatePlace, state_place_of
from converter.delivery.threads import close_connections, run_in_thread
from converter.errors import TAKEN, Finding, codes_of
from converter.jobs.identity import DIGITS
from converter.jobs.job import Job
from converter.jobs.run_files import rejects_path, report_path
from converter.parts.packer import Limits
from converter.remote.retry import Patience
from converter.rows.earlier.preview import limited
from converter.rows.records import Records
from converter.rows.survey import first_texts, survey
from converter.rows.users.preview import gathered
from converter.sources.base import Source
from converter.sources.encodings import survey_encodings
from converter.sources.engine import collect, start
from converter.sources.opening import find_input, layout_of, open_sources
from converter.sources.origins.base import Found, LeftOut, Origin, check_rereadable
from converter.sources.texts import TextSource
from converter.spec.kinds import FileKind
from converter.spec.names import FileName

if TYPE_CHECKING:
    from converter.commands.traits import TraitList
    from converter.parts.pgp import Key
    from converter.sources.frames import Frame

MAX_SECONDS = 100  # timestamps to try for one whose names are free


class Moment(NamedTuple):
    """When a run began: the timestamp in its file names (UNIX seconds), and the day in UTC."""

    timestamp: int
    sent: datetime.date


class OutputPlan(NamedTuple):
    """The names of the parts of each set, their limits, and their destination."""

    names: tuple[FileName, ...]
    limits: Limits
    destination: Destination


class Plan(NamedTuple):
    """What a job would do, checked but not started. `key` is the encryption key, if parts are encrypted.

    Parts belong to sets, one for each data source; most jobs have one set. The parts of all sets are numbered in turns,
    from 1, so that the number of a part does not depend on the order in which parts are made. `findings` are warnings
    about the files of the input and its first rows, and `left_out` are files that are not read. `state` is the one that
    users are compared with, if they are, and `traits` the list that signals are compared with. `comparison` is there
    once other processes are to compare users for a run.
    """

    job: Job
    moment: Moment
    names: tuple[FileName, ...]
    origins: list[Origin]
    sources: list[Source]
    records: Records
    limits: Limits
    key: Key | None
    destination: Destination
    owner: Owner
    findings: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()
    state: State | None = None
    traits: TraitList | None = None
    comparison: Comparison | None = None

    @property
    def lists(self) -> Sequence[Origin]:
        """The origins of the list of `input.suppress`."""
        return self.records.suppression.origins if self.records.suppression else ()

    @property
    def fingerprints(self) -> list[dict[str, Any]] | None:
        """The fingerprints of all that is read, if it can be recognized (`resume.fingerprints`)."""
        found = fingerprints(self.origins, self.job.conceal_path, self.lists)
        return None if found is None else found + state_print(self.job, self.state)

    @property
    def warnings(self) -> list[Finding]:
        """Warnings about the job and its input."""
        return [*self.job.warnings, *self.findings]

    @property
    def name(self) -> FileName:
        """The name of the first set, which is also that of the run."""
        return self.names[0]

    @property
    def report_path(self) -> str:
        """The path or URL of the report."""
        return report_path(self.job, self.name.stem)

    @property
    def rejects_path(self) -> str:
        """The path or URL of the rejects."""
        return rejects_path(self.job, self.name.stem)

    @property
    def may_move(self) -> bool:
        """Whether the run takes the next free second if its timestamp is taken."""
        return self.job.output.timestamp is None

    def next_second(self) -> Plan:
        """Return the same plan with the timestamp of the next second."""
        names = tuple(replace(name, timestamp=name.timestamp + 1) for name in self.names)
        return self._replace(
            moment=self.moment._replace(timestamp=names[0].timestamp),
            names=names,
        )

    def part_name(self, number: int) -> str:
        """Return the name of part `number`."""
        split, index = divmod(number - 1, len(self.names))
        return str(self.names[index].part(split + 1))

    def number_of(self, index: int, split: int) -> int:
        """Return the number of part `split`, counted from 1, of the set `index`, counted from 0."""
        return (split - 1) * len(self.names) + index + 1

    def preview(self, rows: int = 5) -> pl.DataFrame:
        """Return the first rows as `Records.lines` gives them, unless only some are converted; nothing is written.

        Where users are gathered, these are the lines that they come to (`gathered`), and where lines depend on earlier
        ones, those that are left (`limited`).
        """
        first = None if self.records.chosen else first_texts(self.records, self.sources, rows)
        if not first:
            return pl.DataFrame()
        lines = collect(first[0].origin, self.records.lines(first[1]))
        if self.job.record.gathers:
            return gathered(self.records, lines)
        return limited(self.records, lines) if self.job.record.limits else lines


def plan(job: Job, *, now: float | None = None) -> Plan:
    """Check everything that can be checked before converting: files, columns, names, the key, the destination.

    `now` is in UNIX seconds, by default the current time. Raises `JobError`, `InputError` and `DestinationError`.
    """
    with job.concealing():
        place = state_place_of(job)
        with contextlib.closing(place) if place else contextlib.nullcontext():
            return _check_destination(make_plan(job, moment_of(job, now), place=place))


def check_input(job: Job) -> tuple[list[Origin], Sequence[Finding]]:
    """Check the input of a job; return its origins, and warnings about its first rows.

    Raises `JobError` and `InputError`.
    """
    opened = open_input(job)
    return [source.origin for source in opened.sources], opened.findings


def encryption_key(job: Job) -> Key | None:
    """Return the encryption key, or `None` if parts are not encrypted. Raises `EncryptionError`."""
    if job.pgp.key is None or job.output.compression != "pgp":
        return None
    from converter.parts.pgp import read_key  # here, since few jobs need it

    return read_key(job.pgp.key)


def moment_of(job: Job, now: float | None) -> Moment:
    """Return the moment of a run that begins `now`, in UNIX seconds; by default the current time."""
    now = time.time() if now is None else now
    return Moment(job.output.timestamp or int(now), datetime.datetime.fromtimestamp(now, datetime.UTC).date())


def make_plan(job: Job, moment: Moment, frame: Frame | None = None, place: StatePlace | None = None) -> Plan:
    """Return the plan of a job, with its input and key checked; the destination is not connected to.

    `frame` is its input, if it is one, and `place` that of its state, if users are to be compared with it.
    """
    state, of_state = read_state(job, place)
    records, sources, findings, left_out = open_input(job, frame=frame)
    key = encryption_key(job)
    owner = owner_of(job)
    names, limits, destination = output_plan(job, moment, owner)
    return Plan(
        job,
        moment,
        names,
        [source.origin for source in sources],
        sources,
        records,
        limits,
        key,
        destination,
        owner,
        [*findings, *of_state],
        left_out,
        state,
        read_list(job),
    )


class OpenedInput(NamedTuple):
    """The query for the rows of a job, its sources, warnings about its files and first rows, and files not read."""

    records: Records
    sources: list[Source]
    findings: Sequence[Finding]
    left_out: Sequence[LeftOut]


def open_input(job: Job, kind: FileKind | None = None, frame: Frame | None = None) -> OpenedInput:
    """Open the input of a job.

    `kind` replaces the kind of file of the job, and `frame` the files of its input. Raises `JobError` and `InputError`.
    """
    start()  # first: in a forked process, Polars would never return
    max_bytes = _limits(job).line_bytes
    suppression, of_list = read_suppression(job)
    records = Records(job, max_bytes, kind=kind, suppression=suppression)
    records, sources, found = _open_sources(job, records, frame)
    chosen = read_chosen(job, sources)
    first, of_first = survey(records, sources)
    if any(first) or chosen:
        records = records.surveyed(first, chosen)
    of_sources = (each for source in sources if isinstance(source, TextSource) for each in source.findings)
    doubts = [*found.warnings, *of_sources, *survey_encodings(sources, job.input)]
    warnings = [Finding(each.code, job.conceal(each.message), job.conceal(each.hint)) for each in doubts]
    left_out = [each._replace(path=job.conceal_path(each.path)) for each in found.left_out]
    return OpenedInput(records, sources, [*warnings, *of_first, *of_list], left_out)


def read_list(job: Job) -> TraitList | None:
    """Return the list of traits that a job names, if it does. Raises `InputError`."""
    if job.report.traits is None:
        return None
    from converter.commands.traits import read_traits  # here, since few jobs need it

    return read_traits(job.report.traits)


def _limits(job: Job) -> Limits:
    output = job.output
    return Limits(
        output.max_part_bytes,
        output.max_part_raw_bytes,
        compressed=output.compression != "none",
        encrypted=output.compression == "pgp",
    )


def output_plan(job: Job, moment: Moment, owner: Owner) -> OutputPlan:
    """Return the names, limits and destination of a job, without a connection. Raises `JobError`."""
    limits = _limits(job)
    return OutputPlan(job.names(moment.timestamp), limits, destination_of(job, moment.sent, limits.part_bytes, owner))


def _open_sources(job: Job, records: Records, frame: Frame | None) -> tuple[Records, list[Source], Found]:
    """Open the input, and check that it has the columns that the job uses, with types that can be used.

    The records know which of them hold lists.
    """
    selection = records.selection
    if frame is None:
        job.check_path()
        found = find_input(job.input, job.access)
        _check_passes(job, found.origins)
        sources = open_sources(found.origins, job.input, selection.own, records.roles)
    else:
        from converter.sources.frames import open_frame  # here, since loading Arrow takes a while

        sources = [open_frame(frame, job.input, selection.columns, selection.own)]
        found = Found([sources[0].origin])
        _check_passes(job, found.origins)
    records = records.with_lists(sources, unlike(sources))
    use_sources(records, sources)
    return records, sources, found


def unlike(sources: Sequence[Source]) -> Collection[Source]:
    """Return one of the sources for each layout that they have."""
    return {layout_of(source): source for source in reversed(sources)}.values()


def use_sources(records: Records, sources: Sequence[Source]) -> None:
    """Let sources know what their columns are used for, and check their types. Raises `ColumnError`."""
    for source in sources:
        source.roles = records.roles
    for source in unlike(sources):
        records.check_columns(source)


def _check_passes(job: Job, origins: Sequence[Origin]) -> None:
    """Raise `InputError` where a job reads origins twice that can be read only once."""
    if job.id and job.id.case_collisions == "reject":
        advice = "Copy it to a file first, or set id.case_collisions = 'report'."
        check_rereadable(origins, "id.case_collisions = 'reject' reads it twice", advice)


def _check_destination(plan: Plan) -> Plan:
    """Check the destination; return the plan with names that are free. Raises `DestinationError`."""
    try:
        seconds, findings = check_free_names(plan.job, plan.destination, plan.names, plan.job.output.retry_seconds)
        warnings_of(findings)
    except BaseException:
        close_connections(plan.destination)
        raise
    for _ in range(seconds):
        plan = plan.next_second()
    return plan


def check_free_names(
    job: Job, destination: Destination, names: Sequence[FileName], patience: float
) -> tuple[int, list[Finding]]:
    """Check a destination for the parts of a run, at the second of its names, or at the next one that is free.

    Returns how many seconds later that is, and the findings. `patience` are the seconds in which retries have to help.
    Raises `TransientError` where they have not, and `DestinationError`.
    """
    waiting = Patience(patience)
    for seconds in range(MAX_SECONDS):
        moved = [replace(name, timestamp=name.timestamp + seconds) for name in names]
        findings = run_in_thread(partial(check_names, destination, moved, waiting)).result()
        may_move = seconds < MAX_SECONDS - 1 and job.output.timestamp is None
        if not (may_move and codes_of(findings) and codes_of(findings) <= TAKEN):
            break
    return seconds, findings


def check_names(destination: Destination, names: Sequence[FileName], patience: Patience) -> list[Finding]:
    """Check a destination for parts of all sets; return the findings without duplicates.

    Raises `TransientError` where retries have not helped within `patience`.
    """
    findings: list[Finding] = []
    for name in names:
        findings += destination.check(name) if destination.direct else patience.retrying(destination.check, name)
    return list(dict.fromkeys(findings))


def owner_of(job: Job) -> Owner:
    """Return the owner of the partial files of a run that begins now."""
    return Owner(job.digest[:DIGITS])
