"""Case collisions (C12): IDs that differ from another only by case."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from converter.errors import TooManyRejectsError
from converter.jobs.job import Job
from converter.rows.formatting import fold_case
from converter.rows.pipeline import Converted
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import CollisionCounts, Stage, StageResults


class CaseCollisions(Stage):
    """Counts the IDs that collide; if their rows are rejected, in a first pass."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        self.needs_first_pass = job.id is not None and job.id.case_collisions == "reject"
        self._memory = job.run.memory
        self._results = results
        self._spill = Spill(pl.col("folded"), job.run.memory, job.run.spill_dir)
        self._spill.add(pl.DataFrame(schema={"id": pl.String, "folded": pl.String}))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether the job reports or rejects them."""
        return job.id is not None and job.id.case_collisions != "off"

    def feed(self, batch: Converted) -> Iterator[Converted]:
        """Store the IDs of the rows that are to be written."""
        ids = batch.accepted["id0"].unique().alias("id")
        if len(ids):
            self._spill.add(ids.to_frame().with_columns(folded=fold_case(pl.col("id"))))
        yield batch

    def finish(self) -> Iterator[Converted]:
        """Count the IDs that collide."""
        counts = [(frame.height, frame["folded"].n_unique()) for frame in self._colliding()]
        self._results.collisions = CollisionCounts(sum(ids for ids, _ in counts), sum(users for _, users in counts))
        yield from ()

    def refine(self, records: Records) -> Records:
        """Reject the IDs that collide. Raises `TooManyRejectsError` where they do not fit into memory."""
        ids, size = [pl.Series("folded", [], pl.String)], 0
        for frame in self._colliding():
            ids.append(frame["folded"].unique())
            size += int(ids[-1].estimated_size())
            if size > self._memory // 4:
                raise TooManyRejectsError(
                    "E-COLLISIONS-MEMORY",
                    "So many IDs differ from another only by case that they do not fit into run.memory.",
                    "Most likely id.column names the wrong column; otherwise raise run.memory, or set "
                    "id.case_collisions = 'report'.",
                )
        return records.replace(colliding=pl.concat(ids))

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()

    def _colliding(self) -> Iterator[pl.DataFrame]:
        """Yield the IDs that collide, as `id` and `folded`, by partitions of `folded`."""
        for (frame,) in self._spill.partitions("rows"):
            distinct = frame.unique()
            yield distinct.filter(pl.len().over("folded") > 1)
