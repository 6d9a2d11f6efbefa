"""What tasks do where lines depend on all rows of a user: some split the lines by users, and others gather them.

Between both, Spark moves lines, packed: the rows of its shuffle are ranges of users' hashes, and what the rules make of
rows is done before. What the first tasks have counted goes the same way, so that the driver gets the message of that
attempt whose lines were gathered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from converter import kernel
from converter.commands.plan import use_sources
from converter.rows.pipeline import convert_all, gather_taken
from converter.rows.records import Records
from converter.rows.users.lines import UserLines
from converter.rows.users.split import NumberedPlaces, SplitLines
from converter.rows.users.stage import Gathering
from converter.sources.base import Budget, Source
from converter.sources.origins.base import Origin
from converter.sources.row_origins import RowOrigin
from converter.spark.messages import Assignment, Staged, packed
from converter.spark.staging import Tally, send, tasked

COUNTS = -1
"""The number of a set of files in rows whose data are the counts of a task."""


class Moved(NamedTuple):
    """A row of the shuffle: a range of hashes, the number of a set of files, and lines; or the counts of a task."""

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
    """Convert a partition, and yield its lines, split by users, and then its counts. Raises `ConverterError`.

    `open_` is as in `stage`. Rows of a DataFrame (`of_rows`) have numbers in their partition, others in their file.
    """
    with tasked(assignment, threads) as (_, records):
        sources = open_(records)
        use_sources(records, list(sources.values()))
        indexes = {id(source.origin): index for index, source in sources.items()}
        tally = Tally(assignment, records, partition, lambda origin: (indexes[id(origin)], partition))

        def number_of(origin: Origin) -> int:
            return partition if of_rows else indexes[id(origin)]

        with contextlib.closing(SplitLines(records, kernel.load(), number_of)) as taken:
            with contextlib.closing(convert_all(records, list(sources.values()), taken=taken)) as blocks:
                for converted in blocks:
                    tally.count(converted)
            with ThreadPoolExecutor(1) as pool:
                for share in taken.split(pool):
                    yield Moved(share.prefix, share.set, bytes(share.lines.packed()))
        yield counts_of(tally.staged)


def counts_of(staged: Staged) -> Moved:
    """Return the counts of a partition as a row of the shuffle, in a range of their own."""
    return Moved(-1 - staged.partition, COUNTS, packed(staged))


def gather(assignment: Assignment, threads: int, moved: Iterable[Moved], *, of_rows: bool) -> Staged | None:
    """Gather all lines of some ranges of hashes, and send their parts. Raises `ConverterError`.

    Parts are numbered by the first range, which no other task has, whatever numbers Spark gives to its partitions.
    Returns `None` where there are no lines.
    """
    with tasked(assignment, threads) as (output, records):
        budget = Budget(threads, records.job.run.memory)
        gathering = Gathering(records, kernel.load(), budget, None, where=NumberedPlaces())
        with contextlib.closing(gathering):
            ranges = set()
            for each in moved:
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
            return send(assignment, output, records, tally, gather_taken(gathering, budget))
