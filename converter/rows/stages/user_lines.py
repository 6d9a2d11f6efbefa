"""Users with more lines than Audience Manager takes (C7), counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from converter.jobs.job import Job
from converter.rows.batches import Judged
from converter.rows.records import Records
from converter.rows.spill import Spill, hashes_of
from converter.rows.stages.base import Stage, StageResults
from converter.spec import rules
from converter.spec.limits import USER_LINES

_HASHES = {"hash": pl.UInt64}


class UserLines(Stage):
    """Counts the users with too many lines. Hashes stand for IDs: two of a million users have equal ones in 1e-8."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        del records
        self._results = results
        # Half, since blocks of rows are in memory at the same time.
        self._spill = Spill(pl.col("hash"), job.run.memory // 2, job.run.spill_dir)
        self._spill.add(pl.DataFrame(schema=_HASHES))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether the job counts them."""
        return job.record.user_lines == "count"

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return the hashes of the IDs."""
        return pl.DataFrame({"hash": hashes_of(ids["id0"])}, schema=_HASHES)

    def see(self, prepared: pl.DataFrame) -> None:
        """Store the hashes."""
        self._spill.add(prepared)

    def finish(self) -> Iterator[Judged]:
        """Count the users with too many lines."""
        count = 0
        for (frame,) in self._spill.partitions("rows"):
            hashes = np.sort(frame["hash"].to_numpy())
            # Those that are the same in so many places further on.
            many = hashes[: -USER_LINES.value][hashes[: -USER_LINES.value] == hashes[USER_LINES.value :]]
            count += len(np.unique(many))
        if count:
            self._results.over_limit[rules.USER_OVER_LIMIT.name] = count
        yield from ()

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()
