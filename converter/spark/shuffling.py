"""What tasks do where rows of the same ID have to come together: some split what these have, and others gather it.

Between both, Spark moves lines of users, packed, or hashes of IDs: the rows of its shuffle are ranges of hashes, and
what the rules make of rows is done before. What the first tasks have counted goes the same way, so that the driver gets
the message of that attempt whose lines were gathered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from converter import kernel
from converter.commands.plan import use_sources
from converter.ledger import Ledger
from converter.rows.delta.past import FILES
from converter.rows.pipeline import convert_all, gather_taken
from converter.rows.records import Records
from converter.rows.users.lines import UserLines
from converter.rows.users.split import RANGE_BITS, NumberedPlaces, SplitLines
from converter.rows.users.stage import Gathering
from converter.sources.base import Budget, Source
from converter.sources.origins.base import Origin
from converter.sources.row_origins import RowOrigin
from converter.spark.comparing import comparing
from converter.spark.hashes import SeenHashes
from converter.spark.messages import Assignment, Staged, packed
from converter.spark.staging import Tally, send, tasked
from converter.spark.support import is_gathered, range_bits

COUNTS = -1
"""The number of a set of files in rows whose data are the counts of a task."""
_MARK = -2
"""That in rows without data: their range has to come to a task, although it may have nothing."""
_TABLES = -3
"""That in rows whose data are hashes of the first table; the other tables have smaller ones."""


class Moved(NamedTuple):
    """A row of the shuffle: a range of hashes, the number of a set of files, and lines of it.

    Or a range, the number of a table, and hashes; or the counts of a task.
    """

    range: int
    set: int
    data: bytes


def split(
    assignment: Assignment,
    partition: int,
    threads: int,
    open_: Callable[[Records], dict[int, Source]],
    *,
    of_rows: bool,
) -> Iterator[Moved]:
    """Convert a partition, and yield what is gathered of it, split, and then its counts. Raises `ConverterError`.

    Where no lines are gathered, its parts are sent. `open_` is as in `stage`. Rows of a DataFrame (`of_rows`) have
    numbers in their partition, others in their file.
    """
    with tasked(assignment, threads) as (output, records), contextlib.ExitStack() as opened:
        sources = open_(records)
        use_sources(records, list(sources.values()))
        indexes = {id(source.origin): index for index, source in sources.items()}
        tally = Tally(assignment, records, partition, lambda origin: (indexes[id(origin)], partition))

        def number_of(origin: Origin) -> int:
            return partition if of_rows else indexes[id(origin)]

        seen = opened.enter_context(contextlib.closing(SeenHashes(records)))
        taken = None
        if is_gathered(records.job):
            taken = opened.enter_context(contextlib.closing(SplitLines(records, kernel.load(), number_of)))
        blocks = convert_all(records, list(sources.values()), seen.seeing(), taken=taken)
        if taken:
            with contextlib.closing(blocks):
                for converted in blocks:
                    tally.count(converted)
            with ThreadPoolExecutor(1) as pool:
                for share in taken.split(pool):
                    prefix = share.prefix >> (RANGE_BITS - range_bits(records.job))
                    yield Moved(prefix, share.set, bytes(share.lines.packed()))
        else:
            send(assignment, output, records, tally, blocks)
        yield from _hashes_of(seen, range_bits(records.job))
    yield from ends_of(assignment, tally.staged)


def split_ids(assignment: Assignment, threads: int, open_: Callable[[Records], dict[int, Source]]) -> Iterator[Moved]:
    """Judge the rows of a partition, and yield the hashes of their IDs, for a first pass. Raises `ConverterError`."""
    with tasked(assignment, threads) as (_, records):
        sources = list(open_(records).values())
        use_sources(records, sources)
        with contextlib.closing(SeenHashes(records, first_pass=True)) as seen:
            with contextlib.closing(convert_all(records, sources, seen.seeing())) as blocks:
                for _ in blocks:  # their lines are those of the second pass
                    pass
            yield from _hashes_of(seen, RANGE_BITS)


def _hashes_of(seen: SeenHashes, bits: int) -> Iterator[Moved]:
    for range_, table, data in seen.split(bits):
        yield Moved(range_, _TABLES - table, data)


def ends_of(assignment: Assignment, staged: Staged) -> Iterator[Moved]:
    """Yield what comes after the lines of a partition: its counts.

    With those of the first partition, all files of a state come to tasks, also those whose users are gone.
    """
    if assignment.comparison and not staged.partition:
        yield from (Moved(number, _MARK, b"") for number in range(FILES))
    yield counts_of(staged)


def counts_of(staged: Staged) -> Moved:
    """Return the counts of a partition as a row of the shuffle, in a range of their own."""
    return Moved(-1 - staged.partition, COUNTS, packed(staged))


def gather(assignment: Assignment, threads: int, moved: Iterable[Moved], *, of_rows: bool) -> Staged | None:
    """Gather all lines of some ranges of hashes, and send their parts; see all hashes. Raises `ConverterError`.

    Parts are numbered by the first range, which no other task has, whatever numbers Spark gives to its partitions.
    Returns `None` where there is nothing.
    """
    with tasked(assignment, threads) as (output, records), contextlib.ExitStack() as opened:
        budget = Budget(threads, records.job.run.memory)
        compared = opened.enter_context(comparing(assignment))
        changes = compared.changes if compared else None
        gathering = Gathering(records, kernel.load(), budget, None, changes, NumberedPlaces())
        opened.enter_context(contextlib.closing(gathering))
        seen = opened.enter_context(contextlib.closing(SeenHashes(records)))
        ranges = set()
        for each in moved:
            if each.set <= _TABLES:
                seen.take(_TABLES - each.set, each.data)
            elif each.set != _MARK:
                gathering.take_lines(each.set, UserLines.unpacked(each.data))
            ranges.add(each.range)
        if not ranges:
            return None

        def place_of(origin: Origin) -> tuple[int, int]:
            assert isinstance(origin, RowOrigin)  # noqa: S101 - for the type checker: as `NumberedPlaces` says
            number = int(str(origin.identity))
            return (0, number) if of_rows else (number, partition)

        partition = min(ranges)
        tally = Tally(assignment, records, partition, place_of)
        tally.staged.ranges = frozenset(ranges)
        tally.staged.results = seen.finish()
        if compared:
            compared.begin(ranges)
        if is_gathered(records.job):
            send(assignment, output, records, tally, gather_taken(gathering, budget))
        if compared:
            tally.staged.compared = compared.finish()
        return tally.staged


def join_ids(assignment: Assignment, threads: int, moved: Iterable[Moved]) -> Staged | None:
    """Return what a first pass comes to in some ranges of hashes, if there are any. Raises `ConverterError`."""
    with (
        tasked(assignment, threads) as (_, records),
        contextlib.closing(SeenHashes(records, first_pass=True)) as seen,
    ):
        ranges = set()
        for each in moved:
            seen.take(_TABLES - each.set, each.data)
            ranges.add(each.range)
        if not ranges:
            return None
        results = seen.finish()
        return Staged(min(ranges), Ledger(), ranges=frozenset(ranges), results=results, colliding=seen.colliding())
