"""One partition of a run: its rows are converted as on one machine, and its parts are sent, but not published.

Each attempt of a task sends its parts under names, or by uploads, of its own. Which attempt counts is decided by Spark,
which gives the driver one message for each partition. The driver removes what the others have left.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from converter import kernel
from converter.commands.packing import Packing
from converter.commands.plan import Moment, OutputPlan, encryption_key, output_plan, use_sources
from converter.delivery.delivery import Delivery
from converter.delivery.of_job import delivery_of
from converter.errors import InputError, ResumeError
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.parts.packer import Packer
from converter.parts.writing import Encrypt
from converter.remote.retry import Retries
from converter.rows.batches import Converted
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.sources.base import Divisible, Source, Span
from converter.sources.delta import in_table
from converter.sources.engine import start
from converter.sources.opening import open_sources
from converter.sources.origins import expand
from converter.sources.origins.base import Origin
from converter.sources.spans import Scan, scan
from converter.sources.texts import TextSource
from converter.spark.hashes import check_hashes
from converter.spark.messages import Assignment, SharedFile, Staged, StagedPart, StagedRejects
from converter.spark.suppressed import received_list

_TICK = 0.5  # seconds
_SHARE = 4  # of run.memory: for the table of a list
_SAMPLED = 1 << 10  # lines of a set of files, in a message


class _TaskNotes:
    """The journal of a task: the driver notes what has arrived, so only what it has to know is kept."""

    def __init__(self) -> None:
        self.text_crc32: dict[int, int] = {}

    def note(self, event: str, *, flush: bool = True, **facts: Any) -> None:
        """Keep the checksum of the text of a part that was made."""
        del flush
        if event == "made":
            self.text_crc32[facts["number"]] = facts["text_crc32"]

    def confirm(self) -> None:
        """Do nothing: a task publishes nothing."""


def stage(
    assignment: Assignment, partition: int, threads: int, open_: Callable[[Records], dict[int, Source]]
) -> Staged:
    """Convert a partition, and send its parts. `open_` returns its sources, by their index in the input.

    Raises `ConverterError`; then nothing of this attempt is left, as far as it can be removed.
    """
    with tasked(assignment, threads) as (output, records):
        sources = open_(records)
        use_sources(records, list(sources.values()))
        indexes = {id(source.origin): index for index, source in sources.items()}
        tally = Tally(assignment, records, partition, lambda origin: (indexes[id(origin)], partition))
        blocks = convert_all(records, list(sources.values()))  # what stages see is shuffled
        return send(assignment, output, records, tally, blocks)


@contextlib.contextmanager
def tasked(assignment: Assignment, threads: int) -> Iterator[tuple[OutputPlan, Records]]:
    """Yield where an attempt of a task writes, under names of its own, and how it converts rows."""
    start()
    job = assignment.job.model_copy(update={"run": assignment.job.run.model_copy(update={"threads": threads})})
    with job.concealing():
        output = output_plan(job, Moment(assignment.timestamp, assignment.sent), assignment.owner.attempting())
        if assignment.known:
            check_hashes(assignment.known)
        records = Records(
            job,
            output.limits.line_bytes,
            found=assignment.found,
            colliding=assignment.colliding,
            suppression=received_list(assignment.suppressed, job.run.memory // _SHARE),
        )
        yield output, records


def send(
    assignment: Assignment, output: OutputPlan, records: Records, tally: Tally, blocks: Generator[Converted]
) -> Staged:
    """Send the lines of all blocks in parts, and wait until these have arrived. Raises `ConverterError`."""
    notes = _TaskNotes()
    delivery = delivery_of(records.job, output.destination, notes, Retries(), sets=len(output.names))
    try:
        staged = _Sending(assignment, output, delivery, tally).run(records, blocks)
    except BaseException:
        delivery.discard()
        raise
    staged.parts += [
        StagedPart(number, part, notes.text_crc32[number], delivery.arrived[number])
        for number, part in sorted(delivery.made.items())
    ]
    delivery.close()
    return staged


class Tally:
    """Counts blocks, and keeps their rejects, in what is to be the message of a partition.

    `place_of` gives for an origin its index in the input, and the partition that has read it.
    """

    def __init__(
        self, assignment: Assignment, records: Records, partition: int, place_of: Callable[[Origin], tuple[int, int]]
    ) -> None:
        self.staged = Staged(partition, Ledger())
        self._place_of = place_of
        self._room = assignment.job.report.rejects_file_rows
        self._rules = [rule.name for rule in records.rules]

    def count(self, converted: Converted) -> None:
        """Add the counts and the rejects of a block."""
        staged = self.staged
        staged.ledger += converted.ledger
        for piece in converted.block.pieces:
            staged.bytes_read[self._place_of(piece.origin)[0]] += piece.size
        for origin, rows, rejected, malformed in converted.rejects():
            if self._room > 0:
                staged.rejects.append(StagedRejects(*self._place_of(origin), rows, rejected, malformed))
                self._room -= len(rows) + len(malformed)
                continue
            counts = np.bincount(rejected["reason"].to_numpy(), minlength=len(self._rules)).tolist()
            staged.left_out.update({name: count for name, count in zip(self._rules, counts, strict=True) if count})
            staged.left_out.update(malformed.counts())
        for origin, skipped in converted.skips():
            staged.skips.add(self._place_of(origin), skipped)


class _Sending:
    """Lines of one partition on their way into parts."""

    def __init__(self, assignment: Assignment, output: OutputPlan, delivery: Delivery, tally: Tally) -> None:
        self._assignment, self._output, self._delivery, self._tally = assignment, output, delivery, tally
        self._staged = tally.staged

    def run(self, records: Records, blocks: Generator[Converted]) -> Staged:
        """Pack the lines, and wait until all parts have arrived."""
        encrypt = self._encryption()
        packers = [self._packer(index, records.job.threads, encrypt) for index in range(len(self._output.names))]
        with (
            Packing(packers, self._output.limits, len(records.leads)) as packing,
            contextlib.closing(blocks),
        ):
            for converted in blocks:
                packing.add(converted.texts)
                self._tally.count(converted)
            packing.finish()
            while not self._delivery.wait(_TICK):
                pass
        self._staged.frequencies = [each.sampled(_SAMPLED) for each in packing.frequencies]
        self._staged.first_lines = packing.first_lines
        return self._staged

    def _packer(self, index: int, threads: int, encrypt: Encrypt | None) -> Packer:
        level = self._assignment.job.output.compression_level
        create, describe = partial(self._create, index), partial(self._describe, index)
        return Packer(self._output.limits, threads, create, describe, level, encrypt=encrypt)

    def _place(self, index: int, count: int) -> tuple[int, str]:
        """Return the number and the name of the part `count` of this partition, from 1, of the set `index`."""
        split = (count - 1) * self._assignment.stride + self._staged.partition + 1
        return (split - 1) * len(self._output.names) + index + 1, str(self._output.names[index].part(split))

    def _create(self, index: int, count: int) -> Any:
        return self._delivery.create(*self._place(index, count))

    def _describe(self, index: int, count: int) -> tuple[str, str]:
        _, name = self._place(index, count)
        return name, self._assignment.job.conceal_path(self._output.destination.url(name))

    def _encryption(self) -> Encrypt | None:
        key = encryption_key(self._assignment.job)
        if key is None:
            return None
        from converter.parts.pgp import Encryption  # here, since few jobs need it

        if key.fingerprint != self._assignment.key:
            raise ResumeError(
                "E-RESUME-KEY",
                f"The driver encrypts for the key {self._assignment.key}, but pgp.key holds {key.fingerprint} on "
                f"{platform.node()}.",
                "Put the same file on all machines.",
            )
        return partial(Encryption, key)


def open_files(job: Job, records: Records, files: Sequence[SharedFile]) -> dict[int, Source]:
    """Open files of the input, by their indexes. Raises `InputError` unless they are what the driver has found."""
    origins = [_origin_of(job, file) for file in files]
    sources = open_sources(origins, job.input, records.selection.own, records.roles)
    return {file.number: _within(source, file.span) for file, source in zip(files, sources, strict=True)}


def scan_range(assignment: Assignment, file: SharedFile) -> Scan:
    """Scan a range of a large text, which is the span of a file. Raises `InputError`."""
    span = file.span
    with tasked(assignment, 1) as (_, records):
        (source,) = open_files(records.job, records, [file._replace(span=None)]).values()
        assert span and isinstance(source, TextSource)  # noqa: S101, PT018 - for the type checker: as the driver says
        return scan(source, span.start, span.stop, kernel.load())


def _within(source: Source, span: Span | None) -> Source:
    if span is None:
        return source
    assert isinstance(source, Divisible)  # noqa: S101 - for the type checker: the driver has divided it
    return source.within(span)


def _origin_of(job: Job, file: SharedFile) -> Origin:
    try:
        found = expand(file.path, lambda _: None, job.access).origins
    except InputError as error:
        raise InputError(
            "E-SPARK-INPUT",
            f"The input '{file.path}' cannot be found on {platform.node()}, a machine of the cluster.",
            "Put it where all machines of the cluster see it by this path: on a shared file system, or on S3.",
        ) from error
    for origin in (in_table(each, file.of_table) for each in found):
        if origin.fingerprint() == file.fingerprint:
            return origin
    raise InputError(
        "E-INPUT-CHANGED",
        f"The input '{file.path}' is another one on {platform.node()} than it was on the driver, so the run was "
        "stopped.",
        "Run again when nothing writes to it; all machines have to see the same file by this path.",
    )
