"""The capability `convert`: the wiring of sources, records, parts, a destination and the report.

1. Everything that can be known before is checked: the job, the files, their columns, the destination.
2. Pieces of the input are converted to lines by a few workers, and taken in order.
3. Their text goes into parts, their rejects into the rejects file, their counts into the ledger.
4. The ledger is proven, the input unchanged, the rejects few enough: then all parts become visible together.

A journal tells what has happened, so that a run that died can be finished: its parts are cut as they were, and those
that have arrived are not made again.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from converter._version import __version__
from converter.delivery import Delivery, aside, delivery_of, destination_of, warnings_of
from converter.destinations import Destination
from converter.engine import Converted, collected, convert_all
from converter.errors import (
    ConverterError,
    DestinationError,
    EmptyInputError,
    LedgerError,
    ResumeError,
    StoppedError,
    TooManyRejectsError,
)
from converter.job import Job
from converter.journal import Journal, Past, locked
from converter.journal import Run as JournalRun
from converter.ledger import Ledger
from converter.parts import Cutter, Limits, Packer, Part, PartWriter, Planned
from converter.records import Records
from converter.report import Report, records_of, signals_of
from converter.report.rejects import RejectsFile
from converter.sources import InputFile, Source, find_files, open_source
from converter.spec.names import FileName
from converter.spec.rules import SOURCE_RULES


@dataclass(frozen=True)
class Progress:
    """How far a run is: bytes of the input, rows and rejects so far, parts made and arrived, bytes written, seconds."""

    bytes_read: int
    bytes_total: int
    rows: int
    rejected: int
    parts: int
    arrived: int
    bytes_written: int
    seconds: float


class Moment(NamedTuple):
    """When a run was begun: the timestamp in its names, and the day in UTC."""

    timestamp: int
    sent: datetime.date


class Target(NamedTuple):
    """What parts are named, how large they get, and where they go."""

    name: FileName
    limits: Limits
    destination: Destination


class Plan(NamedTuple):
    """What a job would do, checked but not begun."""

    job: Job
    moment: Moment
    name: FileName
    files: list[InputFile]
    sources: list[Source]
    records: Records
    limits: Limits
    destination: Destination
    report_path: Path
    rejects_path: Path

    def part_name(self, number: int) -> str:
        """Return the name of part `number`, counted from 1."""
        return str(self.name.part(number))

    def preview(self, rows: int = 5) -> pl.DataFrame:
        """Return the first rows as `Records.lines` gives them, without writing anything."""
        source = self.sources[0]
        for piece in source.pieces(self.records.columns):
            if not piece.rows:
                continue
            texts = self.records.texts(
                piece.frame.head(rows), source.schema, json_lists=source.json_lists, nullable=source.nullable
            )
            return collected(source.file, self.records.lines(texts))
        return pl.DataFrame()


def plan(job: Job, *, now: float | None = None) -> Plan:
    """Check all that can be known before converting: files, columns, names, the destination.

    `now` is UNIX seconds, the clock's when left out. Raises `JobError`, `InputError` and `DestinationError`.
    """
    with _concealing(job):
        planned = _planned(job, _moment(job, now))
        _checked(planned)
        return planned


def target_of(job: Job, now: float | None = None) -> Target:
    """Return where a job sends to; nothing is asked of it. Raises `JobError` where that cannot be anything."""
    return _target(job, _moment(job, now))


def files_of(job: Job) -> list[InputFile]:
    """Check the input of a job. Raises `JobError` and `InputError`."""
    return [source.file for source in _opened(job, Records(job, _limits(job).line_bytes))]


def convert(
    job: Job,
    *,
    progress: Callable[[Progress], None] | None = None,
    notify: Callable[[str], None] | None = None,
    now: float | None = None,
    resume: bool = False,
) -> Report:
    """Convert as the job says and return the report, which is also written to `report.dir`.

    `resume` finishes a run of the same job that died, if there is one; where the last run is finished, it only returns
    its report. `progress` is called now and then, in this thread, and `notify` with sentences about what is resumed.
    Raises a `ConverterError`; nothing is published then, or the error says so. The report and the rejects are written
    as well where too many rows were rejected.
    """
    journal = Journal(_journal_path(job))
    with _concealing(job), locked(journal.path):
        past = journal.read()
        say = notify or (lambda _: None)
        try:
            if not (resume and past):
                run = _Run(job, journal, _planned(job, _moment(job, now)))
                run.begin(past)
            elif past.report:
                return _resumed(job, journal, past, say)
            else:
                run = _Run(job, journal, _planned(job, _moment_of(past)))
                run.go_on(past, say)
            return run.report(progress or (lambda _: None))
        finally:
            journal.close()


@contextlib.contextmanager
def _concealing(job: Job) -> Iterator[None]:
    """Keep what the job took from the environment out of errors."""
    try:
        yield
    except ConverterError as error:
        error.args = tuple(job.conceal(text) for text in error.args)
        raise


def _moment(job: Job, now: float | None) -> Moment:
    now = time.time() if now is None else now
    return Moment(job.output.timestamp or int(now), datetime.datetime.fromtimestamp(now, datetime.UTC).date())


def _moment_of(past: Past) -> Moment:
    return Moment(past.run.timestamp, datetime.date.fromisoformat(past.run.sent))


def _planned(job: Job, moment: Moment) -> Plan:
    records = Records(job, _limits(job).line_bytes)
    sources = _opened(job, records)
    name, limits, destination = _target(job, moment)
    folder = _report_folder(job)
    return Plan(
        job,
        moment,
        name,
        [source.file for source in sources],
        sources,
        records,
        limits,
        destination,
        _report_path(folder, name.stem),
        _rejects_path(folder, name.stem),
    )


def _limits(job: Job) -> Limits:
    output = job.output
    return Limits(output.max_part_bytes, output.max_part_raw_bytes, output.compression == "gzip")


def _target(job: Job, moment: Moment) -> Target:
    output, limits = job.output, _limits(job)
    name = FileName(
        kind=output.kind,
        dpids=(output.dpid,),
        timestamp=moment.timestamp,
        mode=output.mode,
        target=output.target,
        extension=".gz" if output.compression == "gzip" else "",
    )
    return Target(name, limits, destination_of(job, moment.sent, limits.part_bytes))


def _opened(job: Job, records: Records) -> list[Source]:
    """Find the input, and see that it has the columns that the job uses, in a form that can be used."""
    sources = [open_source(file, job.input, records.columns) for file in find_files(job.input)]
    for source in sources:
        records.texts(
            pl.LazyFrame(schema=source.schema), source.schema, json_lists=source.json_lists, nullable=source.nullable
        )
    return sources


def _checked(plan: Plan) -> list[str]:
    """Check the destination; return warnings."""
    try:
        return warnings_of(aside(lambda: plan.destination.check(plan.name)).result())
    except BaseException:
        plan.destination.close()
        raise


def _report_folder(job: Job) -> Path:
    return Path(job.report.dir).expanduser()


def _report_path(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.report.json"


def _rejects_path(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.rejects.ndjson.gz"


def _journal_path(job: Job) -> Path:
    """Return where the journal of the job's runs is: the same for the same job, whenever it runs."""
    dpids = "_".join(str(dpid) for dpid in (job.output.dpid, job.output.target) if dpid is not None)
    return _report_folder(job) / f"{job.output.kind}_{dpids}.{job.digest[:12]}.journal"


def _resumed(job: Job, journal: Journal, past: Past, notify: Callable[[str], None]) -> Report:
    """Finish a run that died while it published, and return its report; or that of a run that is done."""
    report = Report.from_dict(past.report or {})
    if past.is_done:
        _check_input(job, past, find_files(job.input), "is finished")
        notify(f"The run {past.run.name} is finished: there is nothing to resume, and nothing was done.")
        return report
    notify(f"Resuming {past.run.name}: {len(past.published)} of {len(past.arrived)} parts are visible already.")
    journal.go_on()
    delivery = delivery_of(job, destination_of(job, _moment_of(past).sent, job.output.max_part_bytes), journal)
    delivery.arrived, delivery.published = past.arrived, past.published
    try:
        delivery.publish()
        folder = _report_folder(job)
        RejectsFile(_rejects_path(folder, past.run.name), (), (), show_rows=False).publish()
        _write(_report_path(folder, past.run.name), report).publish()
        journal.note("done")
    except ConverterError as error:
        raise _still_to_publish(error, delivery) from None
    finally:
        delivery.close()
    return report


def _check_input(job: Job, past: Past, files: list[InputFile], what: str) -> None:
    """Raise `ResumeError` unless the input is what it was in an earlier run."""
    if _fingerprints(job, files) != past.run.input:
        raise ResumeError(
            f"The input is not what it was in the run {past.run.name}, which {what}.",
            "Run without --resume to send what there is now.",
        )


def _fingerprints(job: Job, files: list[InputFile]) -> list[dict[str, Any]]:
    return [{**file._asdict(), "path": job.conceal_path(str(file.path))} for file in files]


def _compressor(job: Job) -> str:
    library = "zlib-ng" if job.output.compression_level == "small" else "isal"
    return f"{job.output.compression_level}: {library} {importlib.metadata.version(library)}"


def _still_to_publish(error: ConverterError, delivery: Delivery) -> ConverterError:
    """Say beside an error that came while parts were published what is visible now."""
    count, visible = len(delivery.arrived), len(delivery.published)
    done = (
        f"{visible} of {count} parts are visible, the others have arrived" if visible < count else "All parts are out"
    )
    message = "Stopped while the parts were published." if isinstance(error, StoppedError) else error.message
    error.args = (message, f"{error.hint} {done}: the same command with --resume finishes the run.".lstrip())
    return error


def _kept(error: ConverterError, visible: int = 0) -> ConverterError:
    """Say beside an error that there is something to resume."""
    message = "Stopped." if isinstance(error, StoppedError) else error.message
    count = f"{visible} parts are visible. " if visible else ""
    error.args = (message, f"{error.hint} {count}What has arrived is kept for --resume.".lstrip())
    return error


class _Run:
    """One run of a job."""

    def __init__(self, job: Job, journal: Journal, plan: Plan) -> None:
        self._plan = plan
        self._journal = journal
        self._delivery = delivery_of(job, plan.destination, journal)
        self._rejects = RejectsFile(
            plan.rejects_path, plan.records.rules, plan.records.columns, show_rows=job.report.show_rows
        )
        self._started = time.monotonic()
        self._ledger = Ledger()
        self._cuts: list[Planned] = []
        self._warnings: list[str] = []
        self._publishing = False

    def begin(self, past: Past | None) -> None:
        """Check the destination and begin a journal. `past` is a run that died, or is done; it is given up."""
        plan = self._plan
        self._warnings += _checked(plan)
        if past and not past.is_done:
            self._give_up(past)
        self._journal.begin(
            JournalRun(
                plan.name.stem,
                plan.name.timestamp,
                plan.moment.sent.isoformat(),
                _compressor(plan.job),
                _fingerprints(plan.job, plan.files),
            )
        )

    def _give_up(self, past: Past) -> None:
        """Remove what a run that died has left, as far as it is not visible."""
        old = delivery_of(
            self._plan.job,
            destination_of(self._plan.job, _moment_of(past).sent, self._plan.limits.part_bytes),
            self._journal,
        )
        old.give_up(past)
        if past.published:
            self._warnings.append(
                f"An earlier run of this job, {past.run.name}, died when {len(past.published)} of its parts were "
                "visible; the others will not come. With --resume it would have been finished."
            )

    def go_on(self, past: Past, notify: Callable[[str], None]) -> None:
        """Take over what a run that died has delivered."""
        job = self._plan.job
        _check_input(job, past, self._plan.files, "is to be resumed")
        self._journal.go_on()
        try:
            self._delivery.take_over(past)
        except ConverterError as error:
            raise _kept(error) from None
        held = set(self._delivery.arrived)
        self._cuts = past.planned(held)
        notify(f"Resuming {past.run.name}: {len(held)} parts are there already, and not sent again.")
        if past.run.compressor != _compressor(job):
            notify("Another version of the compressor goes on with it: parts are cut as before, in other bytes.")

    def report(self, progress: Callable[[Progress], None]) -> Report:
        """Run, publish, and say what was done; leave nothing behind where that fails, but what can be resumed."""
        try:
            self._rejects.begin()
            parts = self._converted(progress)
            self._rejects.finish()
            self._prove(parts)
            report = self._published(parts)
        except BaseException as error:
            self._end_badly(error)
            raise
        self._delivery.close()
        return report

    def _end_badly(self, error: BaseException) -> None:
        """Clean up after an error: remove everything, or keep what can be resumed."""
        delivery = self._delivery
        if self._publishing:
            self._rejects.close()
            delivery.close()
            if isinstance(error, ConverterError):
                _still_to_publish(error, delivery)
            return
        self._rejects.discard()
        keeps = isinstance(error, DestinationError) and not self._plan.destination.direct
        if keeps and delivery.arrived:
            delivery.close()
        elif delivery.discard() and not delivery.published:
            self._journal.remove()
            return
        if isinstance(error, ConverterError):
            _kept(error, len(delivery.published))

    def _converted(self, progress: Callable[[Progress], None]) -> list[Part]:
        """Convert everything; the parts have arrived whole, but are not visible yet."""
        plan = self._plan
        cutter = Cutter(plan.limits.block_bytes)
        level = plan.job.output.compression_level
        with Packer(plan.limits, plan.job.threads, self._create, self._describe, level, self._cuts) as packer:
            position = 0
            stretches = convert_all(plan.records, plan.sources, plan.job.threads)
            with contextlib.closing(stretches):
                for converted in stretches:
                    for block in cutter.feed(converted.texts):
                        packer.add(*block)
                    self._note(converted)
                    position = self._position(converted)
                    progress(self._progress(position, packer))
            for block in cutter.finish():
                packer.add(*block)
            parts = packer.finish()
            while not self._delivery.wait(1.0):
                progress(self._progress(position, packer))
            return parts

    def _prove(self, parts: list[Part]) -> None:
        """Prove that nothing was lost and that the input is still what was read."""
        self._ledger.check()
        lines = sum(part.lines for part in parts)
        if lines != self._ledger.written:
            raise LedgerError(
                f"{self._ledger.written:,} rows were written, but the parts hold {lines:,} lines.",
                "Nothing was published; please report this as a bug.",
            )
        for file in self._plan.files:
            file.check_unchanged()
        if not self._ledger.read:
            raise EmptyInputError(
                "The input has no rows, so there is nothing to send (C10).", "Is the export complete?"
            )

    def _published(self, parts: list[Part]) -> Report:
        """Make the parts visible, or raise where too few rows are left; write the report either way."""
        plan, ledger = self._plan, self._ledger
        if not (parts and plan.job.report.allows(ledger.rejects, ledger.read)):
            # Where parts are published one by one, those are out.
            visible = [part for number, part in enumerate(parts, 1) if number in self._delivery.published]
            self._rejects.publish()
            _write(plan.report_path, self._described(visible)).publish()
            raise self._too_few_left()
        report = self._described(parts)
        written = _write(plan.report_path, report)
        try:
            self._publishing = True  # from here on, what has arrived stays, even where nothing can be noted
            self._journal.note("publishing", report=report.as_dict())
            self._delivery.publish()
            self._rejects.publish()
            written.publish()
            self._journal.note("done")
        finally:
            written.discard()
        return report

    def _described(self, parts: list[Part]) -> Report:
        plan, ledger = self._plan, self._ledger
        seconds = time.monotonic() - self._started
        return Report(
            name=plan.name.stem,
            job=plan.job.public(),
            input=[{"path": plan.job.conceal_path(str(file.path)), "bytes": file.size} for file in plan.files],
            records=records_of(ledger),
            signals=signals_of(ledger),
            parts=parts,
            seconds=round(seconds, 3),
            bytes_per_second=round(sum(file.size for file in plan.files) / max(seconds, 1e-3)),
            published=bool(parts),
            version=__version__,
            warnings=[
                *plan.job.warnings,
                *self._warnings,
                *(f"{name}: {count:,} rows" for name, count in sorted(ledger.warnings.items())),
            ],
        )

    def _too_few_left(self) -> ConverterError:
        plan, ledger = self._plan, self._ledger
        worst, count = ledger.rejected.most_common(1)[0]
        advice = next((rule.hint for rule in (*plan.records.rules, *SOURCE_RULES.values()) if rule.name == worst), "")
        found = f"{ledger.rejects:,} of {ledger.read:,} rows were rejected, most of them ({count:,}) as {worst}"
        see = f"{advice} Nothing was published; the rejects are in '{plan.rejects_path}'."
        if plan.job.report.allows(ledger.rejects, ledger.read):
            return EmptyInputError(f"No row is left to send (C10): {found}.", see)
        return TooManyRejectsError(
            f"{found}; at most {plan.job.report.max_rejects} may be (--max-rejects). "
            "Most likely a column is the wrong one.",
            see,
        )

    def _create(self, number: int) -> PartWriter:
        return self._delivery.create(number, self._plan.part_name(number))

    def _describe(self, number: int) -> tuple[str, str]:
        name = self._plan.part_name(number)
        return name, self._plan.job.conceal_path(self._plan.destination.url(name))

    def _note(self, converted: Converted) -> None:
        """Add a stretch to the ledger, and its rejects to their file."""
        self._ledger += converted.ledger
        file = self._plan.job.conceal_path(str(converted.file.path))
        self._rejects.add(file, converted.rows, converted.rejected, converted.bad)

    def _position(self, converted: Converted) -> int:
        """Return how far the input is read, in bytes."""
        files = self._plan.files
        return sum(file.size for file in files[: files.index(converted.file)]) + converted.position

    def _progress(self, position: int, packer: Packer) -> Progress:
        return Progress(
            position,
            sum(file.size for file in self._plan.files),
            self._ledger.written + self._ledger.rejects,
            self._ledger.rejects,
            len(packer.parts),
            len(self._delivery.arrived),
            packer.bytes,
            time.monotonic() - self._started,
        )


class _Written:
    """The report in a file, under a partial name until it is published."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")

    def write(self, data: bytes) -> None:
        """Bring the file to the disk."""
        with self._mapped(), self._partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def publish(self) -> None:
        """Give the file its name."""
        with self._mapped():
            self._partial.replace(self._path)

    def discard(self) -> None:
        """Remove what is not published."""
        with contextlib.suppress(OSError):  # the first error is the one to tell
            self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise DestinationError(
                    f"Cannot write the report '{self._path}': {error.strerror or error}.",
                    "Choose another folder with report.dir.",
                ) from None
            raise


def _write(path: Path, report: Report) -> _Written:
    """Write a report under a partial name."""
    written = _Written(path)
    written.write(report.to_json())
    return written
