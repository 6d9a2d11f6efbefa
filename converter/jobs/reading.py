"""What the command `inspect` reads: the sections of a job that say how its input is read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from converter.errors import JobError
from converter.jobs.access import RETRY_SECONDS, Access
from converter.jobs.document import Document
from converter.jobs.messages import flag_for
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp
from converter.jobs.sections.table import Input


class Reading(Document):
    """An input, as in a job, and the settings of the servers that it may be on."""

    input: Input = Field(default_factory=Input)
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    http: Http = Field(default_factory=Http)
    gs: Gs = Field(default_factory=Gs)
    az: Az = Field(default_factory=Az)
    run: RunOptions = Field(default_factory=RunOptions)

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)

    @property
    def access(self) -> Access:
        """How inputs are read that are not on the local disk."""
        given = self.input.retry_seconds
        return Access.of(self, RETRY_SECONDS if given is None else given)

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
