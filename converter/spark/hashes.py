"""Hashes of IDs that tasks compare with those of other tasks: of lists, and of stages that see the IDs of all rows.

A stage stores the hashes of its rows in each task before the shuffle, and those of some ranges after it; there it comes
to results, which add up.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator

import polars as pl

from converter.errors import ConverterError
from converter.jobs.job import Job
from converter.rows.records import Records
from converter.rows.stages import HASH_STAGES, StageResults, hash_stages
from converter.rows.stages.base import SplitStage
from converter.rows.stages.collisions import CaseCollisions
from converter.rows.suppression import hashes_of_ids

_KNOWN = "known-1"


def sees_hashes(job: Job) -> bool:
    """Whether a job has a stage that sees hashes of IDs, in whichever pass."""
    return any(kind.applies(job) for kind in HASH_STAGES)


def has_first_pass(job: Job) -> bool:
    """Whether the stage that does has to see all rows before any is written."""
    return job.id is not None and job.id.case_collisions == "reject"


def known_hashes() -> tuple[int, ...]:
    """Return the hashes of a known text, by which a machine finds out whether it makes those of another one."""
    return pl.DataFrame({"id0": [_KNOWN]}).select(hashes_of_ids()).row(0)


def check_hashes(known: tuple[int, ...]) -> None:
    """Raise `ConverterError` where the driver makes other hashes, of which these are the known ones."""
    if known != known_hashes():
        raise ConverterError(
            "E-SPARK-PACKAGE",
            f"{platform.node()} makes other hashes of user IDs than the driver, so IDs cannot be compared.",
            "Install the same version of polars on all machines, which have processors of the same kind.",
        )


class SeenHashes:
    """The stages of a job that see hashes, in one task: those of a first pass over all rows, or the others."""

    def __init__(self, records: Records, *, first_pass: bool = False) -> None:
        self._results = StageResults()
        stages = hash_stages(records.job, records, self._results)
        self._stages = [stage for stage in stages if stage.needs_first_pass == first_pass]
        self._tables = [(stage, table) for stage in self._stages for table in stage.names]

    def close(self) -> None:
        """Release memory and disk."""
        for stage in self._stages:
            stage.close()

    def seeing(self) -> list[SplitStage]:
        """Return what sees the IDs of a partition for the stages."""
        return [SplitStage(stage) for stage in self._stages]

    def split(self, bits: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield what was seen: leading bits of hashes, the number of a table, and rows of it, packed."""
        for number, (stage, table) in enumerate(self._tables):
            for range_, rows in stage.split(table, bits):
                yield range_, number, rows.write_ipc_stream(None).getvalue()

    def take(self, number: int, data: bytes) -> None:
        """Take in rows of a table."""
        stage, table = self._tables[number]
        stage.add(table, pl.read_ipc_stream(data))

    def finish(self) -> StageResults:
        """Return the results, once all rows of some ranges were taken."""
        for stage in self._stages:
            for _ in stage.finish():  # such a stage delays no rows
                pass
        return self._results

    def colliding(self) -> pl.DataFrame | None:
        """Return the IDs whose rows are to be rejected, where there is a stage that says so."""
        parts = [stage.colliding() for stage in self._stages if isinstance(stage, CaseCollisions)]
        return parts[0] if parts else None


def no_results(job: Job, records: Records) -> StageResults:
    """Return the results of a job where no hashes were seen."""
    results = StageResults()
    for stage in hash_stages(job, records, results):
        with contextlib.closing(stage):
            any(stage.finish())
    return results
