"""What a stage is, and what stages find out."""

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
    """What stages find out about a run: complete once all rows are read. The report shows it."""

    collisions: CollisionCounts | None = None
    over_limit: dict[str, int] = field(default_factory=dict)
    """How many IDs have too many others, by the name of the rule."""


class Stage(Protocol):
    """A stage of a run. Subclasses override what they need.

    Batches come in the order of the input. Their `accepted` has the rows that are to be written, as
    `Records.accepted` gives them, with `row`, their number in the file. A stage that holds lines back or takes rows
    out yields batches with the texts and the ledger changed accordingly: the ledgers of a run add up.
    """

    needs_first_pass: bool = False
    """Whether the stage must see all rows before any can be written. Batches of the first pass are dropped."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None: ...

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Say whether a job needs the stage."""
        raise NotImplementedError

    def feed(self, batch: Converted) -> Iterator[Converted]:
        """Take a batch in, and yield what goes on to the next stage."""
        yield batch

    def finish(self) -> Iterator[Converted]:
        """Yield what has been held back, once all batches were fed; note results."""
        yield from ()

    def refine(self, records: Records) -> Records:
        """Return what the first pass has made of the records; called after `finish`, where there is a first pass."""
        return records

    def close(self) -> None:
        """Release memory and disk; called in any case."""
