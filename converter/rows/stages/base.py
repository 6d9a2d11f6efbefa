"""The interface of stages, and their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import polars as pl

from converter.jobs.job import Job
from converter.rows.batches import Judged
from converter.rows.records import Records


class CollisionCounts(NamedTuple):
    """How many IDs differ from another only by case, and how many there would be if case did not count."""

    ids: int
    folded: int


@dataclass
class StageResults:
    """The results of the stages of a run, complete once all rows are read. The report contains them."""

    collisions: CollisionCounts | None = None
    over_limit: dict[str, int] = field(default_factory=dict)
    """How many IDs have too many others, by the name of the rule."""


class Stage(Protocol):
    """A stage of a run. Subclasses override the methods that they need.

    A stage either sees the IDs of the rows that are written (`prepare` and `see`), which costs little, or stands
    between judging and formatting (`takes_rows` and `feed`), where it may delay, change or reject rows. Beside
    `prepare`, its methods run in one thread, apart from the workers, in the order of the input.
    """

    takes_rows: bool = False
    """Whether the stage takes rows that are judged, and gives those that are formatted."""
    needs_first_pass: bool = False
    """Whether the stage must see all rows before any can be written. What comes of the first pass is dropped."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None: ...

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether a job needs the stage."""
        raise NotImplementedError

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return what `see` is to get of the IDs (`id0`, `id1` …) of rows written. Runs in workers, several at once."""
        return ids

    def see(self, prepared: pl.DataFrame) -> None:
        """Take in what `prepare` returned for a batch."""

    def feed(self, batch: Judged) -> Iterator[Judged]:
        """Take a batch in, and yield batches for the next stage, or for formatting.

        Rows that a stage rejects have a `reason`. The sum of all ledgers and of all rows must stay that of the run.
        """
        yield batch

    def finish(self) -> Iterator[Judged]:
        """Yield the batches that were delayed, once all rows were seen, and set the results."""
        yield from ()

    def refine(self, records: Records) -> Records:
        """Return the records for the second pass; called after `finish` where a first pass was needed."""
        return records

    def close(self) -> None:
        """Release memory and disk; always called, also after an error."""
