"""What the command `match` compares."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from converter.jobs.access import RETRY_SECONDS, Access
from converter.jobs.document import Document
from converter.jobs.sections.ids import IdTypeName
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp
from converter.jobs.sections.table import Input


class Comparison(Document):
    """A comparison of IDs: `input` has those of the CRM, as in a job, and `site` those of the web site."""

    input: Input
    site: Input
    id_type: IdTypeName = "crm"
    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    http: Http = Field(default_factory=Http)
    run: RunOptions = Field(default_factory=RunOptions)

    @property
    def access(self) -> Access:
        """How inputs are read that are not on the local disk."""
        patience = self.input.retry_seconds
        return Access(self.s3, self.ftp, self.sftp, self.http, RETRY_SECONDS if patience is None else patience)

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)
