"""Stages of a run that need many rows, often all rows of a user, before lines are final.

A stage takes batches of converted rows and yields them, changed or not; once the input is read, it may yield more. They
run in the order of `STAGES`, each on the batches of the one before it, with memory bounded by `spill`.

To add one: write a module with a subclass of `Stage` (`base`) and put the class into `STAGES`. Its results are fields
of `StageResults`, which the report reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence

from converter.jobs.job import Job
from converter.rows.pipeline import Converted, convert_all
from converter.rows.records import Records
from converter.rows.stages.base import Stage, StageResults
from converter.rows.stages.collisions import CaseCollisions
from converter.rows.stages.gathering import GatheredAddresses
from converter.rows.stages.mappings import Mappings
from converter.sources import Source

__all__ = ["STAGES", "Stage", "StageResults", "convert_sources"]

STAGES: tuple[type[Stage], ...] = (CaseCollisions, Mappings, GatheredAddresses)


def convert_sources(
    job: Job, records: Records, sources: Sequence[Source], results: StageResults
) -> Generator[Converted]:
    """Convert the sources as `convert_all` does, through the stages that the job needs.

    `results` are complete at the end. The sources are read twice if a stage must see all rows before any can be
    written. Raises what `convert_all` and the stages raise.
    """
    with contextlib.ExitStack() as opened:
        stages: list[Stage] = []
        for kind in STAGES:
            if kind.applies(job):
                stages.append(kind(job, records, results))
                opened.callback(stages[-1].close)
        first = [stage for stage in stages if stage.needs_first_pass]
        if first:
            for _ in _run(first, records, sources):
                pass
            for stage in first:
                records = stage.refine(records)
        yield from _run([stage for stage in stages if stage not in first], records, sources)


def _run(stages: Sequence[Stage], records: Records, sources: Sequence[Source]) -> Iterator[Converted]:
    """Read the sources once, and yield the batches of the last stage."""
    if stages:
        records = records.replace(for_stages=True)
    with contextlib.closing(convert_all(records, sources, records.job.threads)) as batches:
        through: Iterator[Converted] = batches
        for stage in stages:
            through = _through(through, stage)
        yield from through


def _through(batches: Iterator[Converted], stage: Stage) -> Iterator[Converted]:
    for batch in batches:
        yield from stage.feed(batch)
    yield from stage.finish()
