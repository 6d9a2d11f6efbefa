"""One run of `convert`: rows become lines, lines become parts, and parts become visible.

1. Blocks of the input are converted to lines by a few workers, and taken in order.
2. Their text goes into parts, their rejects into the rejects file, their counts into the ledger.
3. The ledger is proven, the input unchanged, the rejects few enough: then all parts become visible together.

A journal has what has happened, so that a run that died can be finished: its parts are cut as they were, and those that
have arrived are not made again.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import isal

from converter.commands.account import Account, end_report, tell_start
from converter.commands.again import check_found
from converter.commands.changes import RunChanges
from converter.commands.clearing import check_cleared
from converter.commands.encodings import OtherEncodings
from converter.commands.failure import FailedRun, explain_kept, visible_parts
from converter.commands.modes import check_modes
from converter.commands.packing import Packed, Packing
from converter.commands.plan import Plan
from converter.commands.progress import Pace, Phase, Progress, Track
from converter.commands.rejections import RejectsGuard, too_few_rows
from converter.commands.results import Seen, frequent_warnings, mixed_types, report_of
from converter.commands.resume import changed_input, check_engine, check_key, unseen_parts
from converter.commands.run_traits import RunTraits
from converter.commands.suppress import unused
from converter.commands.volume import VolumeGuard
from converter.commands.warnings import Warnings
from converter.delivery import stops
from converter.delivery.destinations import destination_of
from converter.delivery.hold import Hold
from converter.delivery.journal import Journal, PastRun, RunRecord
from converter.delivery.of_job import delivery_of
from converter.delivery.publication import Artifact, ArtifactFile, publish_run
from converter.errors import EmptyInputError, Finding, LedgerError, Reported, note_visible
from converter.jobs.run_files import rejects_name, report_name
from converter.ledger import Ledger
from converter.parts.packer import Packer
from converter.parts.part import Part, PartWriter, PlannedPart
from converter.parts.writing import Encrypt
from converter.report import Report
from converter.report.rejects import RejectsFile
from converter.report.skipped import skipped_examples
from converter.rows.batches import Converted
from converter.rows.pipeline import convert_sources
from converter.rows.skipped import FirstSkips, Place
from converter.rows.stages import StageResults
from converter.sources.origins.base import Origin, total_size
from converter.sources.origins.once import ReadOnce

if TYPE_CHECKING:
    from converter.parts.pgp import Key


_TICK = 0.5  # seconds


class Conversion:
    """One run of a job, as a plan whose names are held. `warnings` are what was found so far.

    Subclasses convert the rows elsewhere (`_convert`), and name their `engine`.
    """

    engine = ""

    def __init__(self, journal: Journal, hold: Hold, plan: Plan, warnings: list[Finding], account: Account) -> None:
        self._plan = plan
        self._journal = journal
        self._hold = hold
        job = plan.job
        self._delivery = delivery_of(job, plan.destination, journal, account.retries, sets=len(plan.names))
        self._rejects = RejectsFile(
            account.files,
            rejects_name(job, plan.name.stem),
            plan.records.rules,
            plan.records.columns,
            show_rows=job.report.show_rows,
            most=job.report.rejects_file_rows,
        )
        self._skips = FirstSkips()
        self._traits = RunTraits(plan)
        self._changes = RunChanges(job, plan.state, plan.name.stem, plan.moment.sent)
        self._guard = RejectsGuard(job.report, plan.sources)
        self._volume = VolumeGuard(job, account.files)
        self._started = time.monotonic()
        self._pace, self._track = Pace(), Track()
        self._packing = Packed(len(plan.names), len(plan.records.leads))
        self._other_encodings = OtherEncodings(job)
        self._phase: Phase = "converting"
        self._ledger = Ledger()
        self._results = StageResults()
        self._bytes_total = total_size(plan.origins)
        self._units = {source.origin.label: source.unit for source in plan.sources}
        self._places = {origin.label: (number, 0) for number, origin in enumerate(plan.origins)}
        self._bytes_read = dict.fromkeys((origin.label for origin in plan.origins), 0)
        self._compared, self._bytes_compared = Ledger(), Counter[str]()  # of the first pass, where there are two
        self._planned: Sequence[list[PlannedPart]] = [[] for _ in plan.names]
        self._parts: dict[int, Part] = {}
        """The parts by number, once all rows are converted: they have arrived, but are not visible yet."""
        self._warnings = warnings
        self._publishing = self._begun = self._has_rejects = self._complete = False
        self._account = account
        account.report_name = report_name(job, plan.name.stem)
        account.describe, account.delivery, account.has_begun = self._report, self._delivery, True
        tell_start(job, plan.name.stem, plan.origins)
        self._run: RunRecord

    def begin(self, past: PastRun | None) -> None:
        """Begin a new run. `past` is the job's last one; if it died, it is abandoned."""
        plan = self._plan
        if past and not past.is_done:
            self._abandon(past)
        self._run = RunRecord(
            [name.stem for name in plan.names],
            plan.name.timestamp,
            plan.moment.sent.isoformat(),
            _compressor(plan),
            plan.fingerprints or [],
            plan.key.fingerprint if plan.key else None,
            self.engine,
        )
        self._begun = True
        self._journal.begin(self._run)

    def _abandon(self, past: PastRun) -> None:
        """Remove what a run that died has left, as far as it is not visible."""
        plan, job = self._plan, self._plan.job
        sent = datetime.date.fromisoformat(past.run.sent)
        old = destination_of(job, sent, plan.limits.part_bytes, plan.owner)
        delivery_of(job, old, self._journal, self._account.retries).abandon(past)
        rejects = ArtifactFile(self._account.files, rejects_name(job, past.run.name))
        for artifact in (rejects, *self._account.prepared_files(report_name(job, past.run.name))):
            artifact.discard()
        if past.published:
            self._warnings.append(
                Finding(
                    "W-RUN-GIVEN-UP",
                    f"An earlier run of this job, {past.run.name}, died when {len(past.published)} of its parts were "
                    "visible; the others will not come.",
                    "With --resume it would have been finished.",
                )
            )

    def resume(self, past: PastRun, notify: Callable[[str], None]) -> None:
        """Continue a run that died with what it has delivered."""
        if self._plan.fingerprints != past.run.input:  # it changed just now
            raise changed_input(past)
        check_engine(past, self.engine)
        check_key(past, self._plan.key)
        self._run = past.run
        self._journal.resume()
        try:
            self._delivery.resume(past)
        except Reported as error:
            explain_kept(error)
            raise
        self._begun = True
        arrived = set(self._delivery.arrived)
        self._planned = past.planned(arrived)
        notify(f"Resuming {past.run.name}: {len(arrived)} parts are there already, and not sent again.")
        self._warnings += unseen_parts(self._delivery)
        if past.run.compressor != _compressor(self._plan):
            notify("Another version of the compressor makes the other parts: they have the same text, in other bytes.")

    def run(self, start: Callable[[], None], progress: Callable[[Progress], None], warnings: Warnings) -> Report:
        """Convert, deliver and publish, and return the report. `start` is `begin` or `resume`.

        Warnings are reported when the run starts, and again before it publishes. Where the run fails, only what can be
        resumed is left.
        """
        self._delivery.on_wait = lambda: progress(self._progress())
        try:
            warnings.add([*self._plan.warnings, *self._warnings])
            check_modes(self._plan.job, self._account.files, self._plan.names, self._plan.moment.sent)
            self._volume.check_known(self._plan.sources, self._fate)
            start()
            self._rejects.begin()
            self._convert(progress)
            self._prove()
            report = self._publish(warnings)
        except BaseException as error:
            stops.hold()
            if self._begun:
                artifacts = [*self._changes.artifacts, self._rejects, *self._account.prepared_files()]
                has_input = bool(self._run.input)
                failed = FailedRun(self._delivery, self._journal, self._hold, artifacts, is_resumable=has_input)
                failed.end(error, publishing=self._publishing, keep=not self._plan.destination.direct)
            note_visible(error, visible_parts(self._delivery, self._plan.job.conceal_path))
            raise
        self._delivery.close()
        return end_report(self._account, report)

    def _convert(self, progress: Callable[[Progress], None]) -> None:
        """Convert all rows into parts; where too many are rejected, stop as soon as that is certain, and raise."""
        plan = self._plan
        stopped = False
        with contextlib.ExitStack() as stack:
            stack.callback(self._traits.close)
            packers = [self._packer(index) for index in range(len(plan.names))]
            packing = stack.enter_context(Packing(packers, plan.limits, len(plan.records.leads), self._traits.seen))
            self._packing = packing
            first_pass = partial(self._see_first_pass, progress)
            changes = self._changes.begin(plan.records)
            converting = convert_sources(plan.job, plan.records, plan.sources, self._results, first_pass, changes)
            blocks = stack.enter_context(contextlib.closing(converting))
            for converted in blocks:
                packing.add(converted.texts)
                self._count(converted)
                self._volume.check_so_far(self._ledger.read, self._fate)
                progress(self._progress())
                if stopped := self._guard.is_exceeded(self._ledger, self._bytes_read):
                    break
            else:
                packing.finish()
                self._traits.finish()
                self._phase = "sending"
                while not self._delivery.wait(_TICK):
                    progress(self._progress())
        self._parts = {plan.number_of(index, split): part for index, split, part in packing.parts}
        self._complete = not stopped
        if stopped:
            self._refuse(stopped=True)

    def _see_first_pass(self, progress: Callable[[Progress], None], converted: Converted) -> bool:
        """Show how far the first of two passes is; return whether it can end, since the second one will be stopped."""
        self._compared += converted.ledger
        for piece in converted.block.pieces:
            self._bytes_compared[piece.origin.label] += piece.size
        self._volume.check_so_far(self._compared.read, self._fate)
        progress(self._progress())
        return self._guard.is_exceeded(self._compared, self._bytes_compared)

    def _packer(self, index: int) -> Packer:
        """Return what makes the parts of a set."""
        plan = self._plan
        number_of = partial(plan.number_of, index)
        return Packer(
            plan.limits,
            plan.job.threads,
            lambda split: self._create(number_of(split)),
            lambda split: self._describe_part(number_of(split)),
            plan.job.output.compression_level,
            self._planned[index],
            _encryption(plan.key) if plan.key else None,
        )

    def _create(self, number: int) -> PartWriter:
        return self._delivery.create(number, self._plan.part_name(number))

    def _describe_part(self, number: int) -> tuple[str, str]:
        name = self._plan.part_name(number)
        return name, self._plan.job.conceal_path(self._plan.destination.url(name))

    def _bytes_of(self, origin: Origin) -> int:
        """Return the size of an origin or, where that was not known, how many of its bytes were read."""
        return self._bytes_read[origin.label] if origin.size is None else origin.size

    def _count(self, converted: Converted) -> None:
        """Add a block's counts to the ledger, its rejects to their file, and first skipped rows to the examples."""
        self._ledger += converted.ledger
        for piece in converted.block.pieces:
            self._bytes_read[piece.origin.label] += piece.size
        for origin, rows, rejected, malformed in converted.rejects():
            self._rejects.add(*self._where(self._places[origin.label]), rows, rejected, malformed)
            self._other_encodings.add(origin, malformed)
        for origin, skipped in converted.skips():
            self._skips.add(self._places[origin.label], skipped)

    def _where(self, place: Place) -> tuple[str, str]:
        """Return what messages call an input, and what the numbers of its rows count."""
        label = self._plan.origins[place[0]].label
        return self._plan.job.conceal_path(label), self._units[label]

    def _progress(self) -> Progress:
        delivery, pause, phase = self._delivery, self._account.retries.pause, self._phase
        written = self._packing.bytes
        sent = written if self._plan.destination.direct else delivery.bytes_sent
        if phase == "sending" and sent >= written:
            phase = "confirming"
        if phase == "converting" and self._bytes_compared and not self._ledger.read:
            phase = "comparing"
        ledger = self._compared if phase == "comparing" else self._ledger
        passes = 2 if self._bytes_compared else 1
        seconds = time.monotonic() - self._started
        progress = self._pace.judge(
            Progress(
                bytes_read=self._bytes_compared.total() + sum(self._bytes_read.values()),
                bytes_total=None if self._bytes_total is None else passes * self._bytes_total,
                rows=ledger.accounted,
                rejected=ledger.rejects,
                skipped=ledger.skips,
                parts=self._packing.count,
                arrived=len(delivery.arrived),
                bytes_written=written,
                bytes_sent=min(sent, written),
                retries=sum(self._account.retries.counts.values()),
                phase=phase,
                waiting=pause.what if pause else delivery.waits_for,
                waiting_seconds=pause.seconds if pause else None,
                seconds=seconds,
            )
        )
        self._track.add(progress)
        return progress

    def _prove(self) -> None:
        """Prove that no row was lost, that the input has not changed, and that each set has IDs of one type."""
        self._ledger.check()
        self._warnings += self._other_encodings.warnings()
        lines = sum(part.lines for part in self._parts.values())
        if lines != self._ledger.lines:
            raise LedgerError(
                "E-LEDGER",
                f"{self._ledger.lines:,} lines were written, but the parts hold {lines:,}.",
                "Nothing was published; please report this as a bug.",
            )
        for origin in (*self._plan.origins, *self._plan.lists):
            origin.check_unchanged()
            if isinstance(origin, ReadOnce) and origin.is_torn:
                message = (
                    f"The last line of '{origin.label}' has no line end: was the program that writes it interrupted?"
                )
                self._warnings.append(
                    Finding("W-INPUT-TORN", message, "Check its last row, and what the program says.")
                )
        if not self._ledger.read:
            raise EmptyInputError(
                "E-NO-ROWS", "The input has no rows, so there is nothing to send (C10).", "Is the export complete?"
            )
        check_found(self._plan.records.chosen)
        types = self._ledger.id_types
        if len(types) > 1 and not self._plan.job.output.route:
            raise mixed_types(self._plan.job, types)

    def _publish(self, warnings: Warnings) -> Report:
        """Publish the parts, then rejects and report; where too few rows are left, only these two, and raise."""
        stops.hold()  # from here on a message says what is visible
        plan, ledger = self._plan, self._ledger
        has_users = self._changes.counts is not None and self._changes.counts.users > 0  # none of whom need be written
        if not ((self._parts or has_users) and plan.job.report.allows(ledger.rejects, ledger.read)):
            self._refuse()
        check_cleared(plan.job, ledger, self._fate)
        if not self._delivery.published:
            files = self._account.files
            check_modes(plan.job, files, plan.names, plan.moment.sent)  # again: another run may have ended meanwhile
        self._volume.check(ledger, sum(part.raw_bytes for part in self._parts.values()), self._fate)
        self._warnings += unused(plan.records.suppression, ledger)
        self._rejects.settle()
        report = self._report()
        warnings.add(report.warnings)
        artifacts = self._prepare(report)
        self._phase = "publishing"
        self._publishing = True  # from here on what has arrived is kept, even where nothing can be noted any more
        publish_run(self._run, self._delivery, self._journal, self._hold, artifacts, report=report.as_dict())
        return self._report()

    def _refuse(self, *, stopped: bool = False) -> NoReturn:
        """Leave the rejects, and raise that too many rows were rejected, or that no row is left."""
        stops.hold()
        plan, ledger = self._plan, self._ledger
        most_rows = self._guard.most_rows(ledger, self._bytes_read) if stopped else None
        if stopped:  # stages may still hold rows
            self._ledger = replace(ledger, read=ledger.accounted)
        files = f"; the rejects are in '{plan.rejects_path}'" if ledger.rejects else ""
        self._rejects.prepare()
        self._rejects.publish()
        self._has_rejects = True
        others = "".join(f"{each.hint} " for each in self._other_encodings.warnings())
        fate = self._fate.removesuffix(".")
        raise too_few_rows(plan.job, ledger, plan.records.rules, f"{others}{fate}{files}.", most_rows=most_rows)

    @property
    def _fate(self) -> str:
        """A sentence about what is published: where each part is at once, some are visible."""
        visible = len(self._delivery.published)
        return f"{visible:,} parts are visible already." if visible else "Nothing was published."

    def _report(self, error: Reported | None = None) -> Report:
        """Return the report of the run so far, with the parts that are visible; or, without an error, of all of it."""
        origins = self._plan.origins
        return report_of(
            self._plan,
            self._ledger,
            self._results,
            self._account,
            sizes=[self._bytes_read[each.label] if error else self._bytes_of(each) for each in origins],
            parts=self._delivery.visible_parts() if error else list(self._parts.values()),
            warnings=[*self._warnings, *frequent_warnings(self._packing.frequencies)],
            error=error,
            changes=self._changes.counts,
            foreseen=self._traits.as_dict(None if error else self._ledger),
            has_rejects=error is None or self._has_rejects,
            complete=self._complete,
            seen=Seen(
                self._rejects.examples,
                skipped_examples(self._skips, self._where),
                self._packing.first_lines,
                self._track.points(),
            ),
        )

    def _prepare(self, report: Report) -> list[Artifact]:
        """Return the artifacts of the run, all of them prepared, in the order in which they are published."""
        self._changes.describe()
        artifacts = [*self._changes.artifacts, self._rejects, *self._account.files_of(report)]
        for artifact in artifacts:
            artifact.prepare()
        return artifacts


def _compressor(plan: Plan) -> str:
    """Return what makes the bytes of parts: another version of it makes other ones of the same text."""
    level = plan.job.output.compression_level
    encrypted = f"pgp: GnuPG {plan.key.gnupg}, " if plan.key else ""
    return f"{encrypted}{level}: {_small() if level == 'small' else f'isal {isal.__version__}'}"


def _small() -> str:
    import zlib_ng  # here, since few jobs need it

    return f"zlib-ng {zlib_ng.__version__}"


def _encryption(key: Key) -> Encrypt:
    """Return what makes the filter of a part."""
    from converter.parts.pgp import Encryption  # here, since few jobs need it

    return partial(Encryption, key)
