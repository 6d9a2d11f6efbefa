"""How inputs are read that are not on the local disk."""

from __future__ import annotations

from typing import NamedTuple

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
    retry_seconds: float = RETRY_SECONDS


DEFAULT_ACCESS = Access()
