"""What the command `check` takes of a job: how files on servers are read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from converter.jobs.access import RETRY_SECONDS, Access
from converter.jobs.document import Document
from converter.jobs.job import Job
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp


class FileAccess(Document):
    """How files that exist are read: the sections of a job file about servers, and `run`. Others are ignored."""

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
        """How files are read that are not on the local disk."""
        return Access.of(self, RETRY_SECONDS)

    @classmethod
    def _select(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data without the other sections of a job."""
        return {key: value for key, value in data.items() if key in cls.model_fields or key not in Job.model_fields}
