"""The interface of stages, and their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import polars as pl

from converter.jobs.job import Job
from converter.rows.batches import Judged
from converter.rows.records import Records
from converter.rows.spill import Spill


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

    def __iadd__(self, other: StageResults) -> StageResults:
        """Add what other rows gave, none of which have the same IDs."""
        if other.collisions:
            own = self.collisions or CollisionCounts(0, 0)
            self.collisions = CollisionCounts(own.ids + other.collisions.ids, own.folded + other.collisions.folded)
        self.over_limit = dict(Counter(self.over_limit) + Counter(other.over_limit))
        return self


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


class HashStage(Stage):
    """A stage that sees tables of hashes of IDs, in memory bounded by the disk.

    Its results depend on rows together that have the same hash in the column `key` (UInt64), and on no others. So rows
    may be split by these hashes, and seen by several such stages, whose results add up.
    """

    key: str

    def _keep(self, spill: Spill, tables: Mapping[str, pl.Schema]) -> None:
        """Keep rows of tables there, from the beginning."""
        self._spill = spill
        self.names = tuple(tables)
        for table, schema in tables.items():
            spill.add(pl.DataFrame(schema=schema), table)

    def tables(self, prepared: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
        """Return the rows of each table in what `prepare` returned for a batch."""
        raise NotImplementedError

    def see(self, prepared: pl.DataFrame) -> None:
        """Store the hashes of a batch."""
        for table, rows in self.tables(prepared).items():
            self.add(table, rows)

    def add(self, table: str, rows: pl.DataFrame) -> None:
        """Store rows of a table."""
        self._spill.add(rows, table)

    def split(self, table: str, bits: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the rows of a table that were stored, by the leading `bits` of their hashes."""
        by = (pl.col(self.key) // (1 << 64 - bits)).alias("range")
        for (frame,) in self._spill.partitions(table):
            for (number,), rows in frame.group_by(by, maintain_order=True):
                yield int(str(number)), rows

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()


class SplitStage(Stage):
    """Sees for a stage what another one is to get (`HashStage.split`): there is no end here."""

    def __init__(self, stage: HashStage) -> None:
        self._stage = stage
        self.needs_first_pass = stage.needs_first_pass

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return what the stage is to see of the IDs of a batch."""
        return self._stage.prepare(ids)

    def see(self, prepared: pl.DataFrame) -> None:
        """Let the stage see it."""
        self._stage.see(prepared)

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return that no job has it of itself."""
        del job
        return False

    def close(self) -> None:
        """Leave the stage open, which is split then."""
