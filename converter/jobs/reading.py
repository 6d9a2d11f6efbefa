"""What the command `inspect` reads: the sections of a job that say how its input is read."""

from __future__ import annotations

from typing import Any

from converter.errors import JobError
from converter.jobs.messages import flag_for
from converter.jobs.places import InputFromServers


class Reading(InputFromServers):
    """An input, as in a job, and the settings of the servers that it may be on."""

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)

    def check_path(self) -> None:
        """Raise `JobError` where no input is named."""
        if not self.input.path:
            raise JobError("E-JOB-INVALID", f"input.path is missing{flag_for('input.path')}.")

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings that were given, by section, as a job file may have them: without secrets.

        Variables are not expanded, and passwords are stars.
        """
        found = {}
        for name, section in self.public().items():
            given = getattr(self, name).model_fields_set
            if kept := {key: value for key, value in section.items() if key in given and value is not None}:
                found[name] = kept
        return found
