"""How inputs are read that are not on the local disk."""

from __future__ import annotations

from typing import Any, NamedTuple

from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.servers import S3, Ftp, Http, Sftp

RETRY_SECONDS = 600.0


class Access(NamedTuple):
    """The settings of the servers that inputs are read from.

    `retry_seconds` is the total time to wait while a temporary failure is retried.
    """

    s3: S3 = S3()
    ftp: Ftp = Ftp()
    sftp: Sftp = Sftp()
    http: Http = Http()
    gs: Gs = Gs()
    az: Az = Az()
    retry_seconds: float = RETRY_SECONDS

    @classmethod
    def of(cls, document: Any, retry_seconds: float) -> Access:
        """Return the sections of a document that have the names of these fields."""
        sections = {name: getattr(document, name) for name in cls._fields if name != "retry_seconds"}
        return cls(**sections, retry_seconds=retry_seconds)


DEFAULT_ACCESS = Access()
