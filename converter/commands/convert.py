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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from converter._version import __version__
from converter.commands.naming import fixed
from converter.commands.plan import (
    Moment,
    Plan,
    make_plan,
    moment_of,
    owner_of,
)
from converter.commands.resume import (
    another_input,
    check_key,
    fingerprints,
    give_up_lost,
    next_step,
    tell_kept,
    tell_published,
    visible_of,
)
from converter.delivery import stops
from converter.delivery.atomic import AtomicFile
from converter.delivery.delivery import Delivery, delivery_of, destination_of
from converter.delivery.hold import Hold, held
from converter.delivery.journal import Journal, Past, RunRecord, locked
from converter.errors import (
    ColumnError,
    ConverterError,
    DestinationError,
    EmptyInputError,
    Finding,
    InputError,
    LedgerError,
    Reported,
    TooManyRejectsError,
    note_visible,
    redact,
)
from converter.jobs.job import Job
from converter.jobs.run_files import journal_path, rejects_path, report_path
from converter.jobs.sections.output import Output
from converter.ledger import Ledger, most_frequent
from converter.parts.packer import Buffer, Cutter, Filter, Packer, Part, PartWriter, Planned
from converter.report import Outcome, Report, ids_of, records_of, rule_warnings, signals_of, write_report
from converter.report.rejects import RejectsFile
from converter.rows.pipeline import Converted
from converter.rows.stages import StageResults, convert_sources
from converter.sources import Origin, find_origins
from converter.sources.origins.base import total_size
from converter.spec.ids import ID_TYPES, RECOGNIZED
from converter.spec.names import FileName
from converter.spec.rules import CASE_COLLISION, hint_of

if TYPE_CHECKING:
    from converter.parts.pgp import Key


@dataclass(frozen=True)
class Progress:
    """How far a run is: bytes of the input, rows so far, parts made and arrived, bytes written, seconds.

    `rows` is how many of those read were written, rejected or skipped.
    """

    bytes_read: int
    bytes_total: int | None
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

    `resume` finishes a run of the same job that died; where the last one is finished, and the input is still what it
    was then, nothing is done, and `outcome` says so. `progress` is called now and then, in this thread, and `notify`
    with sentences about what is resumed. Raises a `ConverterError`; nothing is published then, or the error says so.
    The report and the rejects are written as well where too many rows were rejected.
    """
    journal = Journal(journal_path(job))
    with job.concealing(), locked(journal.path), Hold(job.output.retry_seconds) as hold:
        say = notify or (lambda _: None)
        try:
            past = journal.read(resume=resume)
            step = next_step(past, resume=resume, is_same=lambda past: _is_its_input(job, past))
            if past is None or step == "begin":
                died = past is not None and not past.is_done
                run = _Conversion(journal, hold, *fixed(make_plan(job, moment_of(job, now)), hold, own=died))
                return run.report(partial(run.begin, past), progress or (lambda _: None))
            if step == "nothing":
                return _nothing_done(job, past, say)
            if past.report and (report := _finished(job, journal, past, hold, say)):
                return report
            run = _Conversion(journal, hold, *fixed(make_plan(job, _moment_of(past)), hold, resumed=True))
            return run.report(partial(run.go_on, past, say), progress or (lambda _: None))
        finally:
            journal.close()


def _moment_of(past: Past) -> Moment:
    return Moment(past.run.timestamp, datetime.date.fromisoformat(past.run.sent))


def _is_its_input(job: Job, past: Past) -> bool:
    """Say whether the input is what it was in an earlier run."""
    has_arrived = past.report is not None and not past.is_done  # every row, so that none is read again
    try:
        current = fingerprints(find_origins(job.input), job.conceal_path)
    except InputError:
        if has_arrived:
            return True
        raise
    return has_arrived if current is None else current == past.run.input


def _nothing_done(job: Job, past: Past, notify: Callable[[str], None]) -> Report:
    """Say that the last run is finished, and return a report of nothing."""
    notify(f"The run {past.run.name} is finished, and its input has not changed since: nothing was done.")
    return Report(
        name=past.run.name,
        job=job.public(),
        input=[{"path": file["path"], "bytes": file["size"]} for file in past.run.input],
        records=records_of(Ledger()),
        ids=ids_of(Ledger(), StageResults()),
        signals=signals_of(Ledger()),
        parts=[],
        seconds=0.0,
        bytes_per_second=0,
        outcome="nothing to do",
        version=__version__,
        report_path=job.conceal_path(str(report_path(job, past.run.name))),
        rejects_path=job.conceal_path(str(rejects_path(job, past.run.name))),
        encrypted_for=past.run.key,
    )


def _finished(job: Job, journal: Journal, past: Past, hold: Hold, notify: Callable[[str], None]) -> Report | None:
    """Finish a run that died while it published, and return its report.

    Nothing where parts of it are gone: those have to be made again.
    """
    report = Report.from_dict(past.report or {})
    destination = destination_of(job, _moment_of(past).sent, job.output.max_part_bytes, owner_of(job))
    delivery = delivery_of(job, destination, journal)
    is_taken_over = False
    try:
        held(destination, [FileName.parse(name) for name in past.run.names], hold, own=True, visible=True)
        delivery.take_over(past)
        is_taken_over = True
        if set(delivery.arrived) != set(past.arrived):
            hold.release()
            return None
        notify(f"Resuming {past.run.name}: {len(past.published)} of {len(past.arrived)} parts are visible already.")
        report.warnings.extend(_unseen(delivery))
        journal.go_on()
        stops.hold()  # from here on it is known what is visible, and said
        delivery.publish()
        RejectsFile(rejects_path(job, past.run.name), (), (), show_rows=False).publish()
        write_report(report_path(job, past.run.name), report).publish()
        hold.release()  # before the run is over: whoever finds it finished looks for nothing of it
        journal.finish(past.run)
    except Reported as error:
        if not is_taken_over:  # what is visible is what was
            delivery.arrived, delivery.published = dict(past.arrived), set(past.published)
        if delivery.has_lost(error):
            give_up_lost(error, delivery, journal, job)
        else:
            tell_published(error, delivery)
        error.visible = visible_of(delivery, job.conceal_path)
        raise
    finally:
        delivery.close()
    return report


def _unseen(delivery: Delivery) -> list[Finding]:
    """Say that parts of an earlier run cannot be seen, if there are any."""
    if not delivery.unseen:
        return []
    said = f"{len(delivery.unseen)} parts that had arrived cannot be seen, and are taken for there."
    return [Finding("W-PARTS-UNSEEN", said, "Look there: what is gone is not sent again.")]


def _compressor(plan: Plan) -> str:
    level = plan.job.output.compression_level
    library = "zlib-ng" if level == "small" else "isal"
    encrypted = f"pgp: GnuPG {plan.key.gnupg}, " if plan.key else ""
    return f"{encrypted}{level}: {library} {importlib.metadata.version(library)}"


def _encrypting(key: Key) -> Callable[[Callable[[Buffer], None]], Filter]:
    """Return what makes the filter of a part."""
    from converter.parts.pgp import Encryption  # here, since few ask for it

    return partial(Encryption, key)


def _collide(found: StageResults) -> list[Finding]:
    """Say how many IDs differ from another by nothing but case."""
    if not (found.collisions and found.collisions.ids):
        return []
    ids, users = found.collisions
    said = f"{CASE_COLLISION.name}: {ids:,} IDs, which would be {users:,} if case did not count"
    return [Finding("W-ID-CASE-COLLISION", said)]


def _mixed(job: Job, types: Mapping[str, int]) -> ColumnError:
    """Return the error that IDs of several types are in one column, with what routes them."""
    found = [name for name in RECOGNIZED if name in types]
    counts = ", ".join(f"{types[name]:,} {name}" for name in found)
    routes = ", ".join(
        f"{name} = {{ {'target' if ID_TYPES[name].device else 'dpid'} = {_source_of(name, job.output)} }}"
        for name in found
    )
    return ColumnError(
        "E-ID-TYPES-MIXED",
        f"The column '{redact(job.ids[0].column)}' holds IDs of several types ({counts}); a file holds one (I1).",
        f"Nothing was published. Route them, in place of output.dpid: [output] route = {{ {routes} }}.",
    )


def _source_of(name: str, output: Output) -> int | None:
    """Return the data source that an example of a route names: that of Audience Manager's own IDs, or the job's."""
    return 0 if ID_TYPES[name].dpid == 0 else output.dpid


def _discard_reports(job: Job, stem: str) -> None:
    """Remove what a run has not published of its report and its rejects."""
    for path in (report_path(job, stem), rejects_path(job, stem)):
        AtomicFile(path).discard()


class _Conversion:
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
        self._found = StageResults()
        self._bytes_total = total_size(plan.origins)
        sizes = itertools.accumulate((origin.size or 0 for origin in plan.origins), initial=0)
        self._starts = dict(zip((origin.label for origin in plan.origins), sizes, strict=False))
        self._sizes_read = {origin.label: 0 for origin in plan.origins if origin.size is None}
        self._cuts: Sequence[list[Planned]] = [[] for _ in plan.names]
        self._warnings = warnings
        self._publishing = self._begun = False
        self._run: RunRecord

    def begin(self, past: Past | None) -> None:
        """Begin a journal. `past` is a run that died, or is done; it is given up."""
        plan = self._plan
        if past and not past.is_done:
            self._give_up(past)
        self._run = RunRecord(
            [name.stem for name in plan.names],
            plan.name.timestamp,
            plan.moment.sent.isoformat(),
            _compressor(plan),
            fingerprints(plan.origins, plan.job.conceal_path) or [],
            plan.key.fingerprint if plan.key else None,
        )
        self._begun = True
        self._journal.begin(self._run)

    def _give_up(self, past: Past) -> None:
        """Remove what a run that died has left, as far as it is not visible."""
        old = delivery_of(
            self._plan.job,
            destination_of(self._plan.job, _moment_of(past).sent, self._plan.limits.part_bytes, self._plan.owner),
            self._journal,
        )
        old.give_up(past)
        _discard_reports(self._plan.job, past.run.name)
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
        if fingerprints(self._plan.origins, self._plan.job.conceal_path) != past.run.input:  # it changed just now
            raise another_input(past)
        check_key(past, self._plan.key)
        self._run = past.run
        self._journal.go_on()
        try:
            self._delivery.take_over(past)
        except Reported as error:
            tell_kept(error)
            raise
        self._begun = True
        held = set(self._delivery.arrived)
        self._cuts = past.planned(held)
        notify(f"Resuming {past.run.name}: {len(held)} parts are there already, and not sent again.")
        self._warnings += _unseen(self._delivery)
        if past.run.compressor != _compressor(self._plan):
            notify("Another version of the compressor goes on with it: parts are cut as before, in other bytes.")

    def report(self, start: Callable[[], None], progress: Callable[[Progress], None]) -> Report:
        """Start, run, publish, and say what was done; leave nothing behind where that fails, but what can be resumed.

        `start` is `begin` or `go_on`.
        """
        try:
            start()
            self._rejects.begin()
            parts = self._converted(progress)
            self._rejects.finish()
            self._prove(parts)
            report = self._published(parts)
        except BaseException as error:
            self._end_badly(error)
            note_visible(error, visible_of(self._delivery, self._plan.job.conceal_path))
            raise
        self._delivery.close()
        return report

    def _end_badly(self, error: BaseException) -> None:
        """Clean up after an error: remove everything, or keep what can be resumed."""
        stops.hold()
        if not self._begun:
            return
        delivery = self._delivery
        if isinstance(error, Reported) and delivery.has_lost(error):
            self._discard_reports()
            give_up_lost(error, delivery, self._journal, self._plan.job)
            return
        if self._publishing:
            if not delivery.is_out:
                self._hold.keep()
            self._rejects.close()
            delivery.close()
            if isinstance(error, Reported):
                tell_published(error, delivery)
            return
        self._discard_reports()
        keeps = isinstance(error, DestinationError) and not self._plan.destination.direct
        if keeps and self._run.input and delivery.arrived:
            self._hold.keep()
            delivery.close()
        elif delivery.discard() and not delivery.published:
            self._journal.remove()
            if not (isinstance(error, DestinationError) and not self._run.input):
                return
        if isinstance(error, Reported):
            tell_kept(error, len(delivery.published), resumable=bool(self._run.input))

    def _discard_reports(self) -> None:
        """Remove what is not published of report and rejects, also what a run that this one goes on with has left."""
        self._rejects.discard()
        _discard_reports(self._plan.job, self._plan.name.stem)

    def _converted(self, progress: Callable[[Progress], None]) -> dict[int, Part]:
        """Convert everything; the parts, by number, have arrived whole, but are not visible yet."""
        plan = self._plan
        with contextlib.ExitStack() as stack:
            packers = [stack.enter_context(self._packer(place)) for place in range(len(plan.names))]
            cutters = [Cutter(plan.limits.block_bytes) for _ in packers]
            position = 0
            stretches = stack.enter_context(
                contextlib.closing(convert_sources(plan.job, plan.records, plan.sources, self._found))
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
        for origin in self._plan.origins:
            origin.check_unchanged()
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
            error = self._too_few_left()
            outcome: Outcome = "refused" if isinstance(error, TooManyRejectsError) else "failed"
            write_report(plan.report_path, self._described(visible, outcome)).publish()
            raise error
        report = self._described(list(parts.values()), "done")
        written = write_report(plan.report_path, report)
        try:
            self._publishing = True  # from here on, what has arrived stays, even where nothing can be noted
            self._journal.note("publishing", report=report.as_dict())
            self._delivery.publish()
            self._rejects.publish()
            written.publish()
            self._hold.release()  # before the run is over: whoever finds it finished looks for nothing of it
            self._journal.finish(self._run)
        finally:
            written.discard()
        return report

    def _described(self, parts: list[Part], outcome: Outcome) -> Report:
        plan, ledger = self._plan, self._ledger
        seconds = time.monotonic() - self._started
        return Report(
            name=plan.name.stem,
            job=plan.job.public(),
            input=[{"path": plan.job.conceal_path(each.label), "bytes": self._bytes_of(each)} for each in plan.origins],
            records=records_of(ledger),
            ids=ids_of(ledger, self._found),
            signals=signals_of(ledger),
            parts=parts,
            seconds=round(seconds, 3),
            bytes_per_second=round(sum(map(self._bytes_of, plan.origins)) / max(seconds, 1e-3)),
            outcome=outcome,
            version=__version__,
            report_path=plan.job.conceal_path(str(plan.report_path)),
            rejects_path=plan.job.conceal_path(str(plan.rejects_path)),
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
                "E-NO-ROW-LEFT", f"No row is left to send (C10): {ledger.summary()}.", f"{advice} {fate}"
            )
        return TooManyRejectsError(
            "E-TOO-MANY-REJECTS",
            f"{ledger.summary()}; at most {plan.job.report.max_rejects} may be rejected (--max-rejects). "
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
        file = self._plan.job.conceal_path(converted.origin.label)
        self._rejects.add(file, converted.rows, converted.rejected, converted.bad)

    def _position(self, converted: Converted) -> int:
        """Return how far the input is read, in bytes."""
        label, position = converted.origin.label, converted.position
        if label in self._sizes_read:
            self._sizes_read[label], position = position, 0
        return self._starts[label] + position + sum(self._sizes_read.values())

    def _bytes_of(self, origin: Origin) -> int:
        """Return the size of an origin or, if it was not known before, how much of it was read."""
        return self._sizes_read[origin.label] if origin.size is None else origin.size

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
