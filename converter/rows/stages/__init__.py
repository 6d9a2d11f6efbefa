"""Stages of a run that need many rows, often all rows of a user, before lines are final.

They run in the order of `STAGES`, with memory bounded by `spill`. Some see the IDs of the rows that are written; others
take rows that are judged, and give those that are formatted.

To add one: write a module with a subclass of `Stage` (`base`) and put the class into `STAGES`. Its results are fields
of `StageResults`, which the report reads.
"""

from __future__ import annotations

from converter.jobs.job import Job
from converter.rows.records import Records
from converter.rows.stages.base import HashStage, Stage, StageResults
from converter.rows.stages.collisions import CaseCollisions
from converter.rows.stages.gathering import GatheredAddresses
from converter.rows.stages.mappings import Mappings

__all__ = ["HASH_STAGES", "STAGES", "Stage", "StageResults", "hash_stages"]

STAGES: tuple[type[Stage], ...] = (CaseCollisions, Mappings, GatheredAddresses)
HASH_STAGES: tuple[type[HashStage], ...] = (CaseCollisions, Mappings)
"""Those that see hashes of IDs, whose rows may be split."""


def hash_stages(job: Job, records: Records, results: StageResults) -> list[HashStage]:
    """Return the stages of a job among these; close them."""
    return [kind(job, records, results) for kind in HASH_STAGES if kind.applies(job)]
