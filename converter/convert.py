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
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import stops
from converter._version import __version__
from converter.delivery import Delivery, delivery_of, destination_of
from converter.engine import Converted
from converter.errors import (
    LOST,
    ColumnError,
    ConverterError,
    DestinationError,
    EmptyInputError,
    Finding,
    LedgerError,
    Reported,
    ResumeError,
    StoppedError,
    TooManyRejectsError,
    shown,
)
from converter.gather import Found, converted_by
from converter.hold import Hold, fixed, held
from converter.job import Job
from converter.journal import Journal, Past, locked
from converter.journal import Run as JournalRun
from converter.ledger import Ledger, most_frequent
from converter.parts import Buffer, Cutter, Filter, Packer, Part, PartWriter, Planned
from converter.plan import (
    Moment,
    Plan,
    concealing,
    journal_path,
    moment_of,
    owner_of,
    planned_of,
    rejects_path_of,
    report_folder,
    report_path_of,
)
from converter.report import Report, ids_of, records_of, rule_warnings, signals_of
from converter.report.rejects import RejectsFile
from converter.sections.output import Output
from converter.sources import InputFile, find_files
from converter.spec.ids import ID_TYPES, RECOGNISED
from converter.spec.names import FileName
from converter.spec.rules import CASE_COLLISION, hint_of

if TYPE_CHECKING:
    from converter.pgp import Key


@dataclass(frozen=True)
class Progress:
    """How far a run is: bytes of the input, rows so far, parts made and arrived, bytes written, seconds.

    `rows` is how many of those read were written, rejected or skipped.
    """

    bytes_read: int
    bytes_total: int
    rows: int
    rejected: int
    skipped: int
    parts: int
    arrived: int
    bytes_written: int
    seconds: float


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
    journal = Journal(journal_path(job))
    with concealing(job), locked(journal.path), Hold(job.output.retry_seconds) as hold:
        past = journal.read()
        say = notify or (lambda _: None)
        try:
            if not (resume and past):
                died = past is not None and not past.is_done
                run = _Run(journal, hold, *fixed(planned_of(job, moment_of(job, now)), hold, own=died))
                run.begin(past)
            elif past.report and (report := _resumed(job, journal, past, hold, say)):
                return report
            else:
                run = _Run(journal, hold, *fixed(planned_of(job, _moment_of(past)), hold, resumed=True))
                run.go_on(past, say)
            return run.report(progress or (lambda _: None))
        finally:
            journal.close()


def _moment_of(past: Past) -> Moment:
    return Moment(past.run.timestamp, datetime.date.fromisoformat(past.run.sent))


def _resumed(job: Job, journal: Journal, past: Past, hold: Hold, notify: Callable[[str], None]) -> Report | None:
    """Finish a run that died while it published, and return its report; or that of a run that is done.

    Nothing where parts of it are gone: those have to be made again.
    """
    report = Report.from_dict(past.report or {})
    if past.is_done:
        _check_input(job, past, find_files(job.input), "is finished")
        notify(f"The run {past.run.name} is finished: there is nothing to resume, and nothing was done.")
        return report
    destination = destination_of(job, _moment_of(past).sent, job.output.max_part_bytes, owner_of(job))
    delivery = delivery_of(job, destination, journal)
    try:
        held(destination, [FileName.parse(name) for name in past.run.names], hold, own=True, visible=True)
        delivery.take_over(past)
        if set(delivery.arrived) != set(past.arrived):
            hold.release()
            return None
        notify(f"Resuming {past.run.name}: {len(past.published)} of {len(past.arrived)} parts are visible already.")
        journal.go_on()
        stops.hold()  # from here on it is known what is visible, and said
        delivery.publish()
        folder = report_folder(job)
        RejectsFile(rejects_path_of(folder, past.run.name), (), (), show_rows=False).publish()
        _write(report_path_of(folder, past.run.name), report).publish()
        journal.note("done")
        hold.release()
    except Reported as error:
        if delivery.has_lost(error):
            _given_up(error, delivery, journal, job)
        else:
            _still_to_publish(error, delivery)
        raise
    finally:
        delivery.close()
    return report


def _check_input(job: Job, past: Past, files: list[InputFile], what: str) -> None:
    """Raise `ResumeError` unless the input is what it was in an earlier run."""
    if _fingerprints(job, files) != past.run.input:
        raise ResumeError(
            "E-RESUME-INPUT",
            f"The input is not what it was in the run {past.run.name}, which {what}.",
            "Run without --resume to send what there is now.",
        )


def _check_key(past: Past, key: Key | None) -> None:
    """Raise `ResumeError` unless parts are encrypted for the key for which those of an earlier run are."""
    if key and key.fingerprint != past.run.key:
        raise ResumeError(
            "E-RESUME-KEY",
            f"The parts of the run {past.run.name}, which is to be resumed, are encrypted for the key {past.run.key}, "
            f"but pgp.key holds {key.fingerprint}.",
            "Bring the other key back, or run without --resume to encrypt all parts for this one.",
        )


def _fingerprints(job: Job, files: list[InputFile]) -> list[dict[str, Any]]:
    return [{**file._asdict(), "path": job.conceal_path(str(file.path))} for file in files]


def _compressor(plan: Plan) -> str:
    level = plan.job.output.compression_level
    library = "zlib-ng" if level == "small" else "isal"
    encrypted = f"pgp: GnuPG {plan.key.gnupg}, " if plan.key else ""
    return f"{encrypted}{level}: {library} {importlib.metadata.version(library)}"


def _encrypting(key: Key) -> Callable[[Callable[[Buffer], None]], Filter]:
    """Return what makes the filter of a part."""
    from converter.pgp import Encryption  # here, since few ask for it

    return partial(Encryption, key)


def _collide(found: Found) -> list[Finding]:
    """Say how many IDs differ from another by nothing but case."""
    if not (found.collisions and found.collisions.ids):
        return []
    ids, users = found.collisions
    said = f"{CASE_COLLISION.name}: {ids:,} IDs, which would be {users:,} if case did not count"
    return [Finding("W-ID-CASE-COLLISION", said)]


def _mixed(job: Job, types: Mapping[str, int]) -> ColumnError:
    """Return the error that IDs of several types are in one column, with what routes them."""
    found = [name for name in RECOGNISED if name in types]
    counts = ", ".join(f"{types[name]:,} {name}" for name in found)
    routes = ", ".join(
        f"{name} = {{ {'target' if ID_TYPES[name].device else 'dpid'} = {_source_of(name, job.output)} }}"
        for name in found
    )
    return ColumnError(
        "E-ID-TYPES-MIXED",
        f"The column '{shown(job.ids[0].column)}' holds IDs of several types ({counts}), and a file those of one (I1).",
        f"Nothing was published. Route them, in place of output.dpid: [output] route = {{ {routes} }}.",
    )


def _source_of(name: str, output: Output) -> int | None:
    """Return the data source that an example of a route names: that of Audience Manager's own IDs, or the job's."""
    return 0 if ID_TYPES[name].dpid == 0 else output.dpid


def _still_to_publish(error: Reported, delivery: Delivery) -> None:
    """Say beside an error that came while parts were published what is visible now."""
    count, visible = len(delivery.arrived), len(delivery.published)
    done = (
        f"{visible} of {count} parts are visible, the others have arrived" if visible < count else "All parts are out"
    )
    message = "Stopped while the parts were published." if isinstance(error, StoppedError) else error.message
    finish = f"{done}: the same command with --resume finishes the run."
    if error.code in LOST:
        finish = f"{visible} of {count} parts are visible: --resume finishes the run once the other file is not there."
    error.args = (error.code, message, f"{error.hint} {finish}".lstrip())


def _given_up(error: Reported, delivery: Delivery, journal: Journal, job: Job) -> None:
    """Remove what is left of a run that has lost its names to another one before any of its parts was visible."""
    if delivery.discard():
        journal.remove()
    other = "" if job.output.timestamp is None else " with another output.timestamp (N2)"
    said = f"Nothing of this run is visible, and nothing of it stays: run again{other}."
    error.args = (error.code, error.message, said)


def _kept(error: Reported, visible: int = 0) -> None:
    """Say beside an error that there is something to resume."""
    message = "Stopped." if isinstance(error, StoppedError) else error.message
    count = f"{visible} parts are visible. " if visible else ""
    error.args = (error.code, message, f"{error.hint} {count}What has arrived is kept for --resume.".lstrip())


class _Run:
    """One run of a job."""

    def __init__(self, journal: Journal, hold: Hold, plan: Plan, warnings: list[Finding]) -> None:
        self._plan = plan
        self._journal = journal
        self._hold = hold
        job = plan.job
        self._delivery = delivery_of(job, plan.destination, journal, len(plan.names))
        self._rejects = RejectsFile(
            plan.rejects_path, plan.records.rules, plan.records.columns, show_rows=job.report.show_rows
        )
        self._started = time.monotonic()
        self._ledger = Ledger()
        self._found = Found()
        sizes = itertools.accumulate((file.size for file in plan.files), initial=0)
        self._starts = dict(zip((file.path for file in plan.files), sizes, strict=False))
        self._bytes_total = sum(file.size for file in plan.files)
        self._cuts: Sequence[list[Planned]] = [[] for _ in plan.names]
        self._warnings = warnings
        self._publishing = False

    def begin(self, past: Past | None) -> None:
        """Begin a journal. `past` is a run that died, or is done; it is given up."""
        plan = self._plan
        if past and not past.is_done:
            self._give_up(past)
        self._journal.begin(
            JournalRun(
                [name.stem for name in plan.names],
                plan.name.timestamp,
                plan.moment.sent.isoformat(),
                _compressor(plan),
                _fingerprints(plan.job, plan.files),
                plan.key.fingerprint if plan.key else None,
            )
        )

    def _give_up(self, past: Past) -> None:
        """Remove what a run that died has left, as far as it is not visible."""
        old = delivery_of(
            self._plan.job,
            destination_of(self._plan.job, _moment_of(past).sent, self._plan.limits.part_bytes, self._plan.owner),
            self._journal,
        )
        old.give_up(past)
        if past.published:
            self._warnings.append(
                Finding(
                    "W-RUN-GIVEN-UP",
                    f"An earlier run of this job, {past.run.name}, died when {len(past.published)} of its parts were "
                    "visible; the others will not come.",
                    "With --resume it would have been finished.",
                )
            )

    def go_on(self, past: Past, notify: Callable[[str], None]) -> None:
        """Take over what a run that died has delivered."""
        job = self._plan.job
        _check_input(job, past, self._plan.files, "is to be resumed")
        _check_key(past, self._plan.key)
        self._journal.go_on()
        try:
            self._delivery.take_over(past)
        except Reported as error:
            _kept(error)
            raise
        held = set(self._delivery.arrived)
        self._cuts = past.planned(held)
        notify(f"Resuming {past.run.name}: {len(held)} parts are there already, and not sent again.")
        if self._delivery.unseen:
            said = f"{len(self._delivery.unseen)} parts that had arrived cannot be seen, and are taken for there."
            self._warnings.append(Finding("W-PARTS-UNSEEN", said, "Look there: what is gone is not sent again."))
        if past.run.compressor != _compressor(self._plan):
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
        self._hold.release()
        self._delivery.close()
        return report

    def _end_badly(self, error: BaseException) -> None:
        """Clean up after an error: remove everything, or keep what can be resumed."""
        stops.hold()
        delivery = self._delivery
        if isinstance(error, Reported) and delivery.has_lost(error):
            self._rejects.discard()
            _given_up(error, delivery, self._journal, self._plan.job)
            return
        if self._publishing:
            self._hold.keep()
            self._rejects.close()
            delivery.close()
            if isinstance(error, Reported):
                _still_to_publish(error, delivery)
            return
        self._rejects.discard()
        keeps = isinstance(error, DestinationError) and not self._plan.destination.direct
        if keeps and delivery.arrived:
            self._hold.keep()
            delivery.close()
        elif delivery.discard() and not delivery.published:
            self._journal.remove()
            return
        if isinstance(error, Reported):
            _kept(error, len(delivery.published))

    def _converted(self, progress: Callable[[Progress], None]) -> dict[int, Part]:
        """Convert everything; the parts, by number, have arrived whole, but are not visible yet."""
        plan = self._plan
        with contextlib.ExitStack() as stack:
            packers = [stack.enter_context(self._packer(place)) for place in range(len(plan.names))]
            cutters = [Cutter(plan.limits.block_bytes) for _ in packers]
            position = 0
            stretches = stack.enter_context(
                contextlib.closing(converted_by(plan.job, plan.records, plan.sources, self._found))
            )
            for converted in stretches:
                for cutter, packer, texts in zip(cutters, packers, converted.texts, strict=True):
                    for block in cutter.feed(texts):
                        packer.add(*block)
                self._note(converted)
                position = self._position(converted)
                progress(self._progress(position, packers))
            for cutter, packer in zip(cutters, packers, strict=True):
                for block in cutter.finish():
                    packer.add(*block)
                packer.finish()
            while not self._delivery.wait(1.0):
                progress(self._progress(position, packers))
        return {
            plan.number_of(place, split): part
            for place, packer in enumerate(packers)
            for split, part in enumerate(packer.parts, 1)
        }

    def _packer(self, place: int) -> Packer:
        """Return what makes the parts of a set."""
        plan = self._plan
        numbered = partial(plan.number_of, place)
        return Packer(
            plan.limits,
            plan.job.threads,
            lambda split: self._create(numbered(split)),
            lambda split: self._describe(numbered(split)),
            plan.job.output.compression_level,
            self._cuts[place],
            _encrypting(plan.key) if plan.key else None,
        )

    def _prove(self, parts: Mapping[int, Part]) -> None:
        """Prove that nothing was lost, that the input is still what was read, and that IDs are of one type a set."""
        self._ledger.check()
        lines = sum(part.lines for part in parts.values())
        if lines != self._ledger.lines:
            raise LedgerError(
                "E-LEDGER",
                f"{self._ledger.lines:,} lines were written, but the parts hold {lines:,}.",
                "Nothing was published; please report this as a bug.",
            )
        for file in self._plan.files:
            file.check_unchanged()
        if not self._ledger.read:
            raise EmptyInputError(
                "E-NO-ROWS", "The input has no rows, so there is nothing to send (C10).", "Is the export complete?"
            )
        types = self._ledger.id_types
        if len(types) > 1 and not self._plan.job.output.route:
            raise _mixed(self._plan.job, types)

    def _published(self, parts: Mapping[int, Part]) -> Report:
        """Make the parts visible, or raise where too few rows are left; write the report either way."""
        stops.hold()  # from here on it is known what is visible, and said
        plan, ledger = self._plan, self._ledger
        if not (parts and plan.job.report.allows(ledger.rejects, ledger.read)):
            # Where parts are published one by one, those are out.
            visible = [part for number, part in parts.items() if number in self._delivery.published]
            self._rejects.publish()
            _write(plan.report_path, self._described(visible)).publish()
            raise self._too_few_left()
        report = self._described(list(parts.values()))
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
            ids=ids_of(ledger, self._found),
            signals=signals_of(ledger),
            parts=parts,
            seconds=round(seconds, 3),
            bytes_per_second=round(self._bytes_total / max(seconds, 1e-3)),
            published=bool(parts),
            version=__version__,
            encrypted_for=plan.key.fingerprint if plan.key else None,
            warnings=[
                *plan.job.warnings,
                *self._warnings,
                *rule_warnings(ledger.warnings),
                *rule_warnings(self._found.over_limit, "IDs"),
                *_collide(self._found),
            ],
        )

    def _too_few_left(self) -> ConverterError:
        plan, ledger = self._plan, self._ledger
        where = f"; the rejects are in '{plan.rejects_path}'" if ledger.rejects else ""
        fate = f"Nothing was published{where}."
        if plan.job.report.allows(ledger.rejects, ledger.read):
            advice = hint_of(most_frequent(ledger.rejected + ledger.skipped), plan.records.rules)
            return EmptyInputError(
                "E-NO-ROW-LEFT", f"No row is left to send (C10): {ledger.told()}.", f"{advice} {fate}"
            )
        return TooManyRejectsError(
            "E-TOO-MANY-REJECTS",
            f"{ledger.told()}; at most {plan.job.report.max_rejects} may be rejected (--max-rejects). "
            "Most likely a column is the wrong one.",
            f"{hint_of(most_frequent(ledger.rejected), plan.records.rules)} {fate}",
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
        return self._starts[converted.file.path] + converted.position

    def _progress(self, position: int, packers: Sequence[Packer]) -> Progress:
        return Progress(
            position,
            self._bytes_total,
            self._ledger.accounted,
            self._ledger.rejects,
            self._ledger.skips,
            sum(len(packer.parts) for packer in packers),
            len(self._delivery.arrived),
            sum(packer.bytes for packer in packers),
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
                    "E-REPORT-WRITE",
                    f"Cannot write the report '{self._path}': {error.strerror or error}.",
                    "Choose another folder with report.dir.",
                ) from error
            raise


def _write(path: Path, report: Report) -> _Written:
    """Write a report under a partial name."""
    written = _Written(path)
    written.write(report.to_json())
    return written
