"""What Spark runs in its workers: a function for each kind of input, from batches of Arrow to one message.

The functions are sent by their names, so a worker imports this module before anything else of the package: what is
slow, or reads the environment, is imported when a task runs.
"""

from __future__ import annotations

import itertools
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from converter._version import __version__
from converter.errors import ConverterError, JobError, Reported
from converter.spark.messages import Assignment, RunFailedError, Scanned, Share, Staged, packed, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = "partition int, staged binary"
"""The columns of what the functions give."""
_NAMES = [each.split()[0] for each in RESULT.split(", ")]


def convert_files(assignment: bytes, shares: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Convert shares, whose indexes are the rows of the batches.

    `assignment` and `shares` are packed: an `Assignment`, and each `Share`.
    """
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield _message(number, partial(_of_files, assignment, shares, number))


def scan_ranges(assignment: bytes, ranges: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Scan ranges of large texts, whose indexes are the rows of the batches.

    `assignment` and `ranges` are packed: an `Assignment`, and the file of each range, which is its span.
    """
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield _message(number, partial(_scanned, assignment, ranges, number))


def convert_rows(assignment: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Convert the rows of a partition of a DataFrame; `assignment` is packed."""
    partition = partition_number()
    yield _message(partition, partial(rows_of_partition, assignment, iter(batches), partition))


def partition_number() -> int:
    """Return the number of the partition of this task."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context else 0


def _message(partition: int, work: Callable[[], object]) -> pa.RecordBatch:
    staged = result_of(work)
    import pyarrow as pa

    return pa.record_batch([pa.array([partition], pa.int32()), pa.array([staged], pa.binary())], _NAMES)


def result_of(work: Callable[[], object]) -> bytes:
    """Return the packed result of a task. An error is raised as a text without the data that its causes may quote."""
    limit_threads()
    try:
        return packed(work())
    except Exception as error:
        failed = described(error)
    raise failed


def described(error: BaseException) -> RunFailedError:
    """Return an error as what Spark may show of it, without the data that its causes may quote."""
    from converter.delivery.unexpected import reported

    where = ""
    if not isinstance(error, Reported):  # which is a bug: where it is made says more than its kind
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
    return RunFailedError.of(reported(error), where)


def limit_threads() -> None:
    """Let libraries that are not loaded yet start as many threads as the task has processors."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("POLARS_MAX_THREADS", str(processors()))
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def processors() -> int:
    """Return the number of processors that Spark gives this task (`spark.task.cpus`)."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.cpus() if context else 1


def _of_files(packed_assignment: bytes, packed_shares: bytes, number: int) -> Staged:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.sources.texts import TornSpanError
    from converter.spark.staging import open_files, stage

    share: Share = unpacked(packed_shares)[number]
    job, files = assignment.job, share.files
    try:
        return stage(assignment, share.partition, processors(), lambda records: open_files(job, records, files))
    except TornSpanError:
        return torn(share)


def torn(share: Share) -> Staged:
    """Return the message that a span ends inside a row, of which nothing is kept."""
    from converter.ledger import Ledger

    return Staged(share.partition, Ledger(), torn=frozenset(file.number for file in share.files))


def _scanned(packed_assignment: bytes, packed_ranges: bytes, number: int) -> Scanned:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.spark.staging import scan_range

    return Scanned(number, scan_range(assignment, unpacked(packed_ranges)[number]))


def rows_of_partition(packed_assignment: bytes, batches: Iterator[pa.RecordBatch], partition: int) -> Staged:
    """Convert the rows of a partition, which has a number. Raises `ConverterError`."""
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    if partition >= assignment.stride:
        raise JobError(
            "E-SPARK-PARTITIONS",
            f"The DataFrame has more than {assignment.stride:,} partitions, for which there are no names of parts.",
            "Give it fewer: DataFrame.coalesce.",
        )
    from converter.ledger import Ledger

    first = next(batches, None)
    if first is None:
        return Staged(partition, Ledger())
    from converter.spark.frames import open_rows
    from converter.spark.staging import stage

    job, schema, rows = assignment.job, first.schema, itertools.chain([first], batches)
    return stage(assignment, partition, processors(), lambda records: open_rows(job, records, schema, rows))


def check_version(assignment: Assignment) -> None:
    """Raise `ConverterError` where the worker has another version of the package than the driver."""
    if assignment.version != __version__:
        raise ConverterError(
            "E-SPARK-PACKAGE",
            f"The driver has version {assignment.version} of aam-inbound-converter, a worker {__version__}.",
            "Install the same version for the Python of the driver and that of the workers.",
        )
