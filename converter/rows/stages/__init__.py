"""Stages of a run that need many rows, often all rows of a user, before lines are final.

They run in the order of `STAGES`, with memory bounded by `spill`. Some see the IDs of the rows that are written; others
take rows that are judged, and give those that are formatted.

To add one: write a module with a subclass of `Stage` (`base`) and put the class into `STAGES`. Its results are fields
of `StageResults`, which the report reads.
"""

from __future__ import annotations

from converter.rows.stages.base import Stage, StageResults
from converter.rows.stages.collisions import CaseCollisions
from converter.rows.stages.gathering import GatheredAddresses
from converter.rows.stages.mappings import Mappings

__all__ = ["STAGES", "Stage", "StageResults"]

STAGES: tuple[type[Stage], ...] = (CaseCollisions, Mappings, GatheredAddresses)
