"""The part of a job about its IDs, for addresses of ID synchronization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from converter.jobs.job import Job
from converter.jobs.sections.output import Output

if TYPE_CHECKING:
    from converter.jobs.keywords import JobKeys

_OF_IDS = {"input", "id", "output", "privacy", "report", "run"}


class UrlJob(Job):
    """The part of a job about its IDs: the input, the ID, its data source, and how many rows may be rejected.

    Other sections are ignored, so that the job file of a conversion can be used.
    """

    def __init__(self, /, **data: Unpack[JobKeys]) -> None:
        known: dict[str, Any] = {
            key: value for key, value in data.items() if key in _OF_IDS or key not in Job.model_fields
        }
        output = known.get("output", {})
        if isinstance(output, Output):
            output = output.model_dump(include={"dpid", "force"})
        if isinstance(output, Mapping):
            kept = {
                key: value
                for key, value in output.items()
                if key in ("dpid", "force") or key not in Output.model_fields
            }
            # No file is written. The target is what the validation of global data sources asks for (N4).
            known["output"] = {**kept, "to": "-", "target": 0}
        known["record"] = {"signals": [{"key": "synchronized", "value": "by HTTP"}]}
        super().__init__(**known)
