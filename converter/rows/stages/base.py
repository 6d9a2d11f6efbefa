"""The interface of stages, and their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from converter.jobs.job import Job
from converter.rows.pipeline import Converted
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

    Batches come in the order of the input. Their `accepted` has the rows that are to be written, as
    `Records.accepted` gives them, with `row`, their number in the file. A stage that delays lines or removes rows
    changes the texts and the ledgers of the batches accordingly: the sum of all ledgers must be that of the run.
    """

    needs_first_pass: bool = False
    """Whether the stage must see all rows before any can be written. Batches of the first pass are dropped."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None: ...

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether a job needs the stage."""
        raise NotImplementedError

    def feed(self, batch: Converted) -> Iterator[Converted]:
        """Take a batch in, and yield batches for the next stage."""
        yield batch

    def finish(self) -> Iterator[Converted]:
        """Yield the batches that were delayed, once all were fed, and set the results."""
        yield from ()

    def refine(self, records: Records) -> Records:
        """Return the records for the second pass; called after `finish` where a first pass was needed."""
        return records

    def close(self) -> None:
        """Release memory and disk; always called, also after an error."""
