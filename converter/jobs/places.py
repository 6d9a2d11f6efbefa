"""The sections of documents whose files may be on servers."""

from __future__ import annotations

from pydantic import Field

from converter.jobs.access import RETRY_SECONDS, Access
from converter.jobs.document import Document
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp
from converter.jobs.sections.table import Input


class FromServers(Document):
    """How files are read that may be on servers."""

    s3: S3 = Field(default_factory=S3)
    ftp: Ftp = Field(default_factory=Ftp)
    sftp: Sftp = Field(default_factory=Sftp)
    http: Http = Field(default_factory=Http)
    gs: Gs = Field(default_factory=Gs)
    az: Az = Field(default_factory=Az)
    run: RunOptions = Field(default_factory=RunOptions)

    @property
    def access(self) -> Access:
        """How files are read that are not on the local disk."""
        return Access.of(self, RETRY_SECONDS)


class InputFromServers(FromServers):
    """An input, as in a job, and the settings of the servers that it may be on."""

    input: Input = Field(default_factory=Input)

    @property
    def access(self) -> Access:
        """How the input is read where it is not on the local disk."""
        given = self.input.retry_seconds
        return Access.of(self, RETRY_SECONDS if given is None else given)
