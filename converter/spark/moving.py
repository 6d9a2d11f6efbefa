"""What Spark runs where rows of the same ID have to come together: functions before its shuffle, and after it.

As in `tasks`, whose messages they give, what is slow is imported when a task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from converter.spark.messages import Assignment, Share, packed, unpacked
from converter.spark.tasks import RESULT, check_version, described, limit_threads, partition_number, processors, torn

if TYPE_CHECKING:
    import pyarrow as pa

    from converter.spark.shuffling import Moved

MOVED = "range int, set int, data binary"
"""The columns of what is shuffled (`shuffling.Moved`), by the first of them."""


def split_files(assignment: bytes, shares: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Convert shares, whose indexes are the rows of the batches, and yield lines to shuffle."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from _records(MOVED, partial(_of_files, assignment, shares, number))


def split_rows(assignment: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Convert the rows of a partition of a DataFrame, and yield lines to shuffle."""
    yield from _records(MOVED, lambda: _of_rows(assignment, iter(batches), partition_number()))


def split_ids(assignment: bytes, shares: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Judge the rows of files, as `split_files` gets them, and yield the hashes of their IDs to shuffle."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from _records(MOVED, partial(_ids_of_files, assignment, shares, number))


def join_ids(assignment: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Compare hashes that were shuffled."""
    yield from _records(RESULT, lambda: _joined(assignment, batches))


def gather_lines(assignment: bytes, batches: Iterable[pa.RecordBatch], *, of_rows: bool) -> Iterator[pa.RecordBatch]:
    """Gather lines that were shuffled; the messages that come with them are passed on."""
    yield from _records(RESULT, lambda: _gathered(assignment, batches, of_rows=of_rows))


def _records(columns: str, work: Callable[[], Iterable[Sequence[Any]]]) -> Iterator[pa.RecordBatch]:
    """Yield rows as batches. An error is raised as a text without the data that its causes may quote."""
    limit_threads()
    import pyarrow as pa

    types = {"int": pa.int32(), "binary": pa.binary()}
    names, kinds = zip(*(each.split() for each in columns.split(", ")), strict=True)
    try:
        for row in work():
            arrays = [pa.array([value], types[kind]) for value, kind in zip(row, kinds, strict=True)]
            yield pa.record_batch(arrays, list(names))
    except Exception as error:
        failed = described(error)
    else:
        return
    raise failed


def _of_files(packed_assignment: bytes, packed_shares: bytes, number: int) -> Iterator[Moved]:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.sources.texts import TornSpanError
    from converter.spark.shuffling import counts_of, split
    from converter.spark.staging import open_files

    share: Share = unpacked(packed_shares)[number]
    job, files = assignment.job, share.files
    moved = split(assignment, share.partition, processors(), lambda each: open_files(job, each, files), of_rows=False)
    try:
        yield from moved
    except TornSpanError:  # before any lines: they are split once all are there
        yield counts_of(torn(share))


def _ids_of_files(packed_assignment: bytes, packed_shares: bytes, number: int) -> Iterator[Moved]:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.sources.texts import TornSpanError
    from converter.spark import shuffling
    from converter.spark.staging import open_files

    share: Share = unpacked(packed_shares)[number]
    job, files = assignment.job, share.files
    try:
        yield from shuffling.split_ids(assignment, processors(), lambda each: open_files(job, each, files))
    except TornSpanError:
        yield shuffling.counts_of(torn(share))


def _joined(packed_assignment: bytes, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, bytes]]:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.spark import shuffling

    counts: list[tuple[int, bytes]] = []
    joined = shuffling.join_ids(assignment, processors(), _without_counts(batches, counts))
    yield from counts
    if joined:
        yield joined.partition, packed(joined)


def _of_rows(packed_assignment: bytes, batches: Iterator[pa.RecordBatch], partition: int) -> Iterator[Moved]:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    import itertools

    from converter.ledger import Ledger
    from converter.spark.frames import open_rows
    from converter.spark.messages import Staged
    from converter.spark.shuffling import ends_of, split

    first = next(batches, None)
    if first is None:
        return ends_of(assignment, Staged(partition, Ledger()))
    job, schema, rows = assignment.job, first.schema, itertools.chain([first], batches)
    return split(
        assignment, partition, processors(), lambda records: open_rows(job, records, schema, rows), of_rows=True
    )


def _gathered(
    packed_assignment: bytes, batches: Iterable[pa.RecordBatch], *, of_rows: bool
) -> Iterator[tuple[int, bytes]]:
    assignment: Assignment = unpacked(packed_assignment)
    check_version(assignment)
    from converter.spark.shuffling import gather

    counts: list[tuple[int, bytes]] = []
    gathered = gather(assignment, processors(), _without_counts(batches, counts), of_rows=of_rows)
    yield from counts
    if gathered:
        yield gathered.partition, packed(gathered)


def _without_counts(batches: Iterable[pa.RecordBatch], counts: list[tuple[int, bytes]]) -> Iterator[Moved]:
    """Yield the rows of a shuffle, but for the counts of tasks: these are added to `counts`, with their partitions."""
    from converter.spark.shuffling import COUNTS, Moved

    for batch in batches:
        for row in range(batch.num_rows):
            moved = Moved(*(column[row].as_py() for column in batch.columns))
            if moved.set == COUNTS:
                counts.append((-1 - moved.range, moved.data))
            else:
                yield moved
