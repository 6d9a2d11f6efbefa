"""What the command `read-outbound` reads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from converter.errors import JobError
from converter.jobs.access import RETRY_SECONDS, Access
from converter.jobs.document import Document
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.report import ReportOptions
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp
from converter.jobs.sections.table import Input

_KEYS = {"path", "retry_seconds"}


class OutboundInput(Document):
    """Outbound files: `input.path` names them, as in a job; `report.max_rejects` says how many lines may be wrong."""

    input: Input
    report: ReportOptions = Field(default_factory=ReportOptions)
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    http: Http = Field(default_factory=Http)
    gs: Gs = Field(default_factory=Gs)
    az: Az = Field(default_factory=Az)
    run: RunOptions = Field(default_factory=RunOptions)

    @property
    def access(self) -> Access:
        """How inputs are read that are not on the local disk."""
        given = self.input.retry_seconds
        return Access.of(self, RETRY_SECONDS if given is None else given)

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)
        if others := self.input.model_fields_set - _KEYS:
            raise JobError(
                "E-INPUT-KEY",
                f"input.{min(others)} says how tables are read, not outbound files.",
                "How their lines are parsed is found by itself, or set with --line.",
            )
