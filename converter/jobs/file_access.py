"""What the command `check` takes of a job: how files on servers are read."""

from __future__ import annotations

from typing import Any

from converter.jobs.job import Job
from converter.jobs.places import FromServers


class FileAccess(FromServers):
    """How files that exist are read: the sections of a job file about servers, and `run`. Others are ignored."""

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)

    @classmethod
    def _select(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data without the other sections of a job."""
        return {key: value for key, value in data.items() if key in cls.model_fields or key not in Job.model_fields}
