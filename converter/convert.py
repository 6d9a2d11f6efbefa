"""The capability `convert`: the wiring of sources, records, parts, a destination and the report.

1. Everything that can be known before is checked: the job, the files, their columns, the destination.
2. Pieces of the input are converted to lines by a few workers, and taken in order.
3. Their text goes into parts, their rejects into the rejects file, their counts into the ledger.
4. The ledger is proven, the input unchanged, the rejects few enough: then all parts become visible together.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from converter._version import __version__
from converter.destinations import Destination, open_destination
from converter.engine import Converted, collected, convert_all
from converter.errors import (
    ConverterError,
    DestinationError,
    EmptyInputError,
    LedgerError,
    StoppedError,
    TooManyRejectsError,
)
from converter.job import Job
from converter.ledger import Ledger
from converter.parts import Cutter, Limits, Packer, Part, PartWriter
from converter.records import Records
from converter.report import Report, records_of, signals_of
from converter.report.rejects import RejectsFile
from converter.sources import InputFile, Source, find_files, open_source
from converter.spec.names import FileName
from converter.spec.rules import SOURCE_RULES


@dataclass(frozen=True)
class Progress:
    """How far a run is: bytes of the input, rows and rejects so far, finished parts, bytes written, seconds."""

    bytes_read: int
    bytes_total: int
    rows: int
    rejected: int
    parts: int
    bytes_written: int
    seconds: float


class Plan(NamedTuple):
    """What a job would do, checked but not begun."""

    job: Job
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
        return _planned(job, now)


@contextlib.contextmanager
def _concealing(job: Job) -> Iterator[None]:
    """Keep what the job took from the environment out of errors."""
    try:
        yield
    except ConverterError as error:
        error.args = tuple(job.conceal(text) for text in error.args)
        raise


def _planned(job: Job, now: float | None) -> Plan:
    output = job.output
    compressed = output.compression == "gzip"
    limits = Limits(output.max_part_bytes, output.max_part_raw_bytes, compressed)
    records = Records(job, limits.line_bytes)
    name = FileName(
        kind=output.kind,
        dpids=(output.dpid,),
        timestamp=output.timestamp or int(time.time() if now is None else now),
        mode=output.mode,
        target=output.target,
        extension=".gz" if compressed else "",
    )
    destination = open_destination(output.to)
    try:
        files = find_files(job.input)
        sources = [open_source(file, job.input, records.columns) for file in files]
        for source in sources:
            records.texts(
                pl.LazyFrame(schema=source.schema),
                source.schema,
                json_lists=source.json_lists,
                nullable=source.nullable,
            )
        destination.check(name)
    except BaseException:
        destination.abort()
        raise
    folder = Path(job.report.dir).expanduser()
    return Plan(
        job,
        name,
        files,
        sources,
        records,
        limits,
        destination,
        folder / f"{name.stem}.report.json",
        folder / f"{name.stem}.rejects.ndjson.gz",
    )


def convert(job: Job, *, progress: Callable[[Progress], None] | None = None, now: float | None = None) -> Report:
    """Convert as the job says and return the report, which is also written to `report.dir`.

    `progress` is called now and then, in this thread. Raises a `ConverterError`; nothing is published then. The
    report and the rejects are written as well where too many rows were rejected.
    """
    with _concealing(job):
        return _Run(_planned(job, now), progress or (lambda _: None)).report()


class _Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, progress: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._progress = progress
        self._started = time.monotonic()
        self._ledger = Ledger()

    def report(self) -> Report:
        """Run, publish, and say what was done; leave nothing behind where that fails."""
        plan = self._plan
        try:
            rejects = RejectsFile(
                plan.rejects_path, plan.records.rules, plan.records.columns, show_rows=plan.job.report.show_rows
            )
            try:
                rejects.begin()
                parts = self._converted(rejects)
                rejects.finish()
                self._prove(parts)
                return self._published(parts, rejects)
            finally:
                rejects.discard()
        finally:
            plan.destination.abort()

    def _converted(self, rejects: RejectsFile) -> list[Part]:
        """Convert everything; the parts are whole, but not visible yet."""
        plan = self._plan
        cutter = Cutter(plan.limits.block_bytes)
        level = plan.job.output.compression_level
        with Packer(plan.limits, plan.job.threads, self._create, self._describe, level) as packer:
            stretches = convert_all(plan.records, plan.sources, plan.job.threads)
            with contextlib.closing(stretches):
                for converted in stretches:
                    for block in cutter.feed(converted.texts):
                        packer.add(*block)
                    self._note(converted, rejects)
                    self._tell(converted, packer)
            for block in cutter.finish():
                packer.add(*block)
            return packer.finish()

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

    def _published(self, parts: list[Part], rejects: RejectsFile) -> Report:
        """Make the parts visible, or raise where too few rows are left; write the report either way."""
        plan, ledger = self._plan, self._ledger
        publish = bool(parts) and plan.job.report.allows(ledger.rejects, ledger.read)
        report = self._described(parts if publish else [])
        written = _write_partial(plan.report_path, report.to_json())
        try:
            if publish:
                plan.destination.publish()
            try:
                self._publish_report(written, rejects)
            except (StoppedError, KeyboardInterrupt):
                if not publish:
                    raise
                # Too late to stop: the parts are out, and their report belongs to them.
                self._publish_report(written, rejects)
        finally:
            written.unlink(missing_ok=True)
        if not publish:
            raise self._too_few_left()
        return report

    def _publish_report(self, written: Path, rejects: RejectsFile) -> None:
        rejects.publish()
        try:
            if written.exists():
                written.replace(self._plan.report_path)
        except OSError as error:
            raise _unreported(self._plan.report_path, error) from None

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
        return self._plan.destination.create(self._plan.part_name(number))

    def _describe(self, number: int) -> tuple[str, str]:
        name = self._plan.part_name(number)
        return name, self._plan.job.conceal_path(self._plan.destination.url(name))

    def _note(self, converted: Converted, rejects: RejectsFile) -> None:
        """Add a stretch to the ledger, and its rejects to their file."""
        self._ledger += converted.ledger
        file = self._plan.job.conceal_path(str(converted.file.path))
        rejects.add(file, converted.rows, converted.rejected, converted.bad)

    def _tell(self, converted: Converted, packer: Packer) -> None:
        files = self._plan.files
        before = sum(file.size for file in files[: files.index(converted.file)])
        self._progress(
            Progress(
                before + converted.position,
                sum(file.size for file in files),
                self._ledger.written + self._ledger.rejects,
                self._ledger.rejects,
                len(packer.parts),
                packer.bytes,
                time.monotonic() - self._started,
            )
        )


def _write_partial(path: Path, data: bytes) -> Path:
    """Write a file under a partial name, and bring it to the disk."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unreported(path, error) from None
        raise
    return partial


def _unreported(path: Path, error: OSError) -> DestinationError:
    return DestinationError(
        f"Cannot write the report '{path}': {error.strerror or error}.", "Choose another folder with report.dir."
    )
