"""What a job would do, before anything is converted: its input, its names, its limits, its destination, its paths."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from converter.columns.privacy import numbers_are_ids
from converter.delivery.atomic import AtomicFile
from converter.delivery.delivery import closed, destination_of, run_in_thread, warnings_of
from converter.delivery.destinations import Destination, Owner
from converter.delivery.retry import Patience
from converter.errors import TAKEN, ConverterError, Finding, Reported, codes_of
from converter.jobs.document import Document
from converter.jobs.job import DIGITS, Job
from converter.parts.packer import Limits
from converter.rows.pipeline import collected, start
from converter.rows.records import Records
from converter.sources import InputFile, Source, find_files, open_source
from converter.spec.kinds import FileKind
from converter.spec.names import FileName

if TYPE_CHECKING:
    from converter.parts.pgp import Key

MOST_SECONDS = 100  # that are looked at for one that is free
_SURVEYED = 1_000  # rows: the first ones tell what kind of numbers IDs are


class Moment(NamedTuple):
    """When a run was begun: the timestamp in its names, and the day in UTC."""

    timestamp: int
    sent: datetime.date


class OutputPlan(NamedTuple):
    """What the parts of each set are named, how large they get, and where they go."""

    names: tuple[FileName, ...]
    limits: Limits
    destination: Destination


class Plan(NamedTuple):
    """What a job would do, checked but not begun. `key` is what parts are encrypted for, if they are.

    Files come in sets, of one data source each: nearly always it is one. The parts of all sets are numbered in turns,
    from 1: so each has a number, whichever is made first.
    """

    job: Job
    moment: Moment
    names: tuple[FileName, ...]
    files: list[InputFile]
    sources: list[Source]
    records: Records
    limits: Limits
    key: Key | None
    destination: Destination
    owner: Owner
    report_path: Path
    rejects_path: Path

    @property
    def name(self) -> FileName:
        """The name of the first set, which is that of the run."""
        return self.names[0]

    @property
    def may_move(self) -> bool:
        """Whether a second that is taken means the next free one."""
        return self.job.output.timestamp is None

    def following(self) -> Plan:
        """Return the plan of the same run, named by the next second."""
        names = following(self.names)
        return self._replace(
            moment=self.moment._replace(timestamp=names[0].timestamp),
            names=names,
            report_path=report_path_of(self.job, names[0].stem),
            rejects_path=rejects_path_of(self.job, names[0].stem),
        )

    def part_name(self, number: int) -> str:
        """Return the name of part `number`."""
        split, place = divmod(number - 1, len(self.names))
        return str(self.names[place].part(split + 1))

    def number_of(self, place: int, split: int) -> int:
        """Return the number of part `split` of a set, by its place."""
        return (split - 1) * len(self.names) + place + 1

    def preview(self, rows: int = 5) -> pl.DataFrame:
        """Return the first rows as `Records.lines` gives them, without writing anything."""
        for source, texts in _first(self.records, self.sources, rows):
            return collected(source.file, self.records.lines(texts))
        return pl.DataFrame()


def plan(job: Job, *, now: float | None = None) -> Plan:
    """Check all that can be known before converting: files, columns, names, the key, the destination.

    `now` is UNIX seconds, the clock's when left out. Raises `JobError`, `InputError` and `DestinationError`.
    """
    with concealing(job):
        planned = planned_of(job, moment_of(job, now))
        return _checked(planned)


def target_of(job: Job, now: float | None = None) -> OutputPlan:
    """Return where a job sends to; nothing is asked of it. Raises `JobError` where that cannot be anything."""
    return _target(job, moment_of(job, now), owner_of(job))


def files_of(job: Job) -> list[InputFile]:
    """Check the input of a job. Raises `JobError` and `InputError`."""
    start()
    return [source.file for source in _opened(job, Records(job, _limits(job).line_bytes))]


def key_of(job: Job) -> Key | None:
    """Return the key that parts are encrypted for, if they are. Raises `EncryptionError` where that cannot be done."""
    if job.pgp.key is None or job.output.compression != "pgp":
        return None
    from converter.parts.pgp import read_key  # here, since few ask for it

    return read_key(job.pgp.key)


@contextlib.contextmanager
def concealing(job: Document) -> Iterator[None]:
    """Keep what the job took from the environment out of errors."""
    try:
        yield
    except Reported as error:
        error.reword(job.conceal)
        raise


def moment_of(job: Job, now: float | None) -> Moment:
    """Return the moment of a run that begins `now`, in UNIX seconds; by the clock, when left out."""
    now = time.time() if now is None else now
    return Moment(job.output.timestamp or int(now), datetime.datetime.fromtimestamp(now, datetime.UTC).date())


def planned_of(job: Job, moment: Moment) -> Plan:
    """Check the input and the key of a job, and plan the rest; nothing is asked of the destination."""
    records, sources = reading(job)
    key = key_of(job)
    owner = owner_of(job)
    names, limits, destination = _target(job, moment, owner)
    return Plan(
        job,
        moment,
        names,
        [source.file for source in sources],
        sources,
        records,
        limits,
        key,
        destination,
        owner,
        report_path_of(job, names[0].stem),
        rejects_path_of(job, names[0].stem),
    )


def reading(job: Job, kind: FileKind | None = None) -> tuple[Records, list[Source]]:
    """Open the input of a job; return what becomes of its rows (of another `kind`, where one is given), and sources.

    Raises `JobError` and `InputError`.
    """
    start()  # before anything asks Polars: in a forked process nothing would come back
    most = _limits(job).line_bytes
    records = Records(job, most, kind=kind)
    sources = _opened(job, records)
    if _numbers_are_ids(records, sources):
        records = Records(job, most, cards=False, kind=kind)
    return records, sources


def _first(records: Records, sources: Sequence[Source], rows: int) -> Iterator[tuple[Source, pl.LazyFrame]]:
    """Yield the first rows of the input as `Records.texts` gives them, with their source; nothing where it is empty."""
    for source in sources:
        for piece in source.beginning().pieces(records.columns):
            if piece.rows:
                head = piece.frame.head(rows)
                yield (
                    source,
                    records.texts(head, source.schema, json_lists=source.json_lists, nullable=source.nullable),
                )
                return


def _numbers_are_ids(records: Records, sources: Sequence[Source]) -> bool:
    """Say whether the first rows show that bare numbers are IDs, also where they could be numbers of cards."""
    free = [place for place, type_ in enumerate(records.id_types) if not type_.groups]
    for source, texts in _first(records, sources, _SURVEYED) if free else ():
        try:
            rows = collected(source.file, records.with_ids(texts))
        except ConverterError:
            return False  # what is wrong with the file is told where it is read
        return all(numbers_are_ids(rows[f"id{place}"]) for place in free)
    return False


def _limits(job: Job) -> Limits:
    output = job.output
    return Limits(
        output.max_part_bytes,
        output.max_part_raw_bytes,
        compressed=output.compression != "none",
        encrypted=output.compression == "pgp",
    )


def _target(job: Job, moment: Moment, owner: Owner) -> OutputPlan:
    limits = _limits(job)
    return OutputPlan(job.names(moment.timestamp), limits, destination_of(job, moment.sent, limits.part_bytes, owner))


def _opened(job: Job, records: Records) -> list[Source]:
    """Find the input, and see that it has the columns that the job uses, in a form that can be used."""
    sources = [open_source(file, job.input, records.columns) for file in find_files(job.input)]
    for source in sources:
        records.texts(pl.LazyFrame(), source.schema, json_lists=source.json_lists, nullable=source.nullable)
    return sources


def _checked(plan: Plan) -> Plan:
    """Check the destination, and return the plan with names that are free."""
    patience = Patience(plan.job.output.retry_seconds)
    try:
        for left in reversed(range(MOST_SECONDS)):
            found = run_in_thread(partial(look_at, plan.destination, plan.names, patience)).result()
            if not (left and plan.may_move and codes_of(found) and codes_of(found) <= TAKEN):
                warnings_of(found)
                break
            plan = plan.following()
    except BaseException:
        closed(plan.destination)
        raise
    return plan


def following(names: Sequence[FileName]) -> tuple[FileName, ...]:
    """Return the names of the next second."""
    return tuple(replace(name, timestamp=name.timestamp + 1) for name in names)


def look_at(destination: Destination, names: Sequence[FileName], patience: Patience) -> list[Finding]:
    """Check a destination for parts of all sets; what is found more than once is told once.

    Raises `TransientError` where that has not passed when there is no patience left.
    """
    found: list[Finding] = []
    for name in names:
        found += destination.check(name) if destination.direct else patience.retrying(destination.check, name)
    return list(dict.fromkeys(found))


def room_of(job: Job, limits: Limits, destination: Destination, files: Sequence[InputFile]) -> Finding:
    """See whether there is room for the parts in their folder or, where they are sent, for those on their way."""
    if destination.direct:
        need, what = sum(file.size for file in files), "the parts may take"
        folder, advice = Path(job.output.url), "Free some space, or write elsewhere."
    else:
        need, what = job.output.uploads * limits.part_bytes, "parts on their way may take"
        folder = Path(job.run.spill_dir or tempfile.gettempdir())
        advice = "Set run.spill_dir to a folder with more room, or output.uploads or output.max_part_bytes to less."
    while destination.direct and not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent  # it is made when it is needed
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        key = "output.to" if destination.direct else "run.spill_dir"
        return Finding("E-FOLDER-READ", f"The folder '{folder}' cannot be used: {error.strerror}.", f"Set {key}.")
    if free < need:
        return Finding("W-DISK-SPACE", f"'{folder}' has {free:,} bytes free; {what} {need:,}.", advice)
    return Finding("", f"'{folder}' has room for {'the parts' if destination.direct else 'parts on their way'}.")


def report_folder(job: Job) -> Path:
    """Return where the report, the rejects and the journal of a job are."""
    return Path(job.report.dir)


def discard_reports(job: Job, stem: str) -> None:
    """Remove what a run has not published of its report and its rejects."""
    for path in (report_path_of(job, stem), rejects_path_of(job, stem)):
        AtomicFile(path).discard()


def report_path_of(job: Job, stem: str) -> Path:
    """Return where the report of a run is, by the stem of its names: another job's run may have the same ones."""
    return report_folder(job) / f"{stem}.{job.digest[:DIGITS]}.report.json"


def rejects_path_of(job: Job, stem: str) -> Path:
    """Return where the rejects of a run are, likewise."""
    return report_folder(job) / f"{stem}.{job.digest[:DIGITS]}.rejects.ndjson.gz"


def owner_of(job: Job) -> Owner:
    """Return whose the partial names of a run of a job are, which begins now."""
    return Owner(job.digest[:DIGITS])


def journal_path(job: Job) -> Path:
    """Return where the journal of the job's runs is: the same for the same job, whenever it runs."""
    targets = [] if job.sync else [target for _, _, target in job.routes if target is not None]
    dpids = "_".join(map(str, [*job.dpids, *targets]))
    return report_folder(job) / f"{job.output.kind}_{dpids}.{job.digest[:DIGITS]}.journal"
