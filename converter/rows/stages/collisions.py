"""Case collisions (C12): IDs that differ from another only by case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from converter.errors import TooManyRejectsError
from converter.jobs.job import Job
from converter.rows.batches import Judged
from converter.rows.formatting import folded_hashes
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import CollisionCounts, HashStage, StageResults

_LETTER = r"[A-Za-z]|[^\x00-\x7F]"
_HASHES = {"fold0": pl.UInt64, "fold1": pl.UInt64, "id": pl.UInt64}
_TABLE = "rows"
_SHARE = 4  # of the memory: for the IDs that collide
_FOLDED = ("fold0", "fold1")


class CaseCollisions(HashStage):
    """Counts the IDs that collide; if their rows are rejected, in a first pass.

    Hashes stand for IDs (`folded_hashes`): they take less memory, and less time to sort.
    """

    key = "fold0"

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        assert job.id is not None  # noqa: S101 - for the type checker: see `applies`
        self.needs_first_pass = job.id.case_collisions == "reject"
        self._memory = job.run.memory
        self._results = results
        # Half, since blocks of rows are in memory at the same time.
        spill = Spill(pl.col(self.key), job.run.memory // 2, job.run.spill_dir)
        self._keep(spill, {_TABLE: pl.Schema(_HASHES)})
        (type_,) = records.id_types
        in_one_case = job.id.hash or (type_.characters and (type_.case or job.id.case != "preserve"))
        # A lower-case letter beyond ASCII may collide with another one in lower case.
        self._may_collide = pl.lit(value=False) if in_one_case else pl.col("id0").str.contains(_LETTER)

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether the job reports or rejects them."""
        return job.id is not None and job.id.case_collisions != "off"

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return the hashes of the IDs that may collide with others."""
        id_ = pl.col("id0")
        rows = ids.lazy().filter(self._may_collide).select(*folded_hashes(id_), id_.hash(len(_FOLDED)).alias("id"))
        return rows.collect(engine="in-memory")

    def tables(self, prepared: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Return the one table."""
        return {_TABLE: prepared}

    def finish(self) -> Iterator[Judged]:
        """Count the IDs that collide."""
        counts = [(frame.height, frame.select(_FOLDED).n_unique()) for frame in self._colliding()]
        self._results.collisions = CollisionCounts(sum(ids for ids, _ in counts), sum(users for _, users in counts))
        yield from ()

    def refine(self, records: Records) -> Records:
        """Reject the IDs that collide. Raises `TooManyRejectsError` where they do not fit into memory."""
        return records.rejecting(self.colliding())

    def colliding(self) -> pl.DataFrame:
        """Return the IDs that collide, as `Records` takes them. Raises `TooManyRejectsError` as `joined_ids` does."""
        return joined_ids((frame.select(_FOLDED).unique() for frame in self._colliding()), self._memory)

    def _colliding(self) -> Iterator[pl.DataFrame]:
        """Yield the hashes of the IDs that collide, without duplicates, by partitions."""
        for (frame,) in self._spill.partitions(_TABLE):
            several = pl.col("id").min() != pl.col("id").max()
            suspects = frame.group_by("fold0").agg(several.alias("several")).filter("several")
            if suspects.height:  # otherwise, which is usual, there is no need to look for duplicates
                distinct = frame.join(suspects, on="fold0", how="semi").unique()
                yield distinct.filter(pl.len().over(_FOLDED) > 1)


def joined_ids(parts: Iterable[pl.DataFrame], memory: int) -> pl.DataFrame:
    """Return IDs that collide, of all parts. Raises `TooManyRejectsError` where they take too much of the memory."""
    ids, size = [pl.DataFrame(schema=_HASHES).select(_FOLDED)], 0
    for part in parts:
        ids.append(part)
        size += int(part.estimated_size())
        if size > memory // _SHARE:
            raise TooManyRejectsError(
                "E-COLLISIONS-MEMORY",
                "So many IDs differ from another only by case that they do not fit into run.memory.",
                "Most likely id.column names the wrong column; otherwise raise run.memory, or set "
                "id.case_collisions = 'report'.",
            )
    return pl.concat(ids)
