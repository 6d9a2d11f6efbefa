"""Where parts go: one module a scheme. How a part gets there whole, or not at all.

To add a destination, write a module with a class that keeps the protocol `Destination`, and add its scheme here.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from converter.delivery.destinations.base import Destination
from converter.delivery.destinations.folder import FolderDestination
from converter.delivery.destinations.partials import Owner
from converter.errors import JobError, nearest
from converter.jobs.job import Job, Transfer
from converter.jobs.secrets import mask_password
from converter.jobs.sections.servers import S3, Ftp, Sftp

__all__ = ["SCHEMES", "Destination", "Owner", "Settings", "destination_of", "open_destination"]


@dataclass(frozen=True)
class Settings:
    """The settings of a destination beside its URL.

    `partner` and `sent`, the day in UTC, are parts of keys on S3 (N5); `most_bytes` is the maximum size of a
    part; `owner` owns the partial files of the run; `connections` is how many parts, or pieces of them, are sent at
    once.
    """

    sent: datetime.date
    partner: str = ""
    most_bytes: int = 10**9
    s3: S3 = field(default_factory=S3)
    ftp: Ftp = field(default_factory=Ftp)
    sftp: Sftp = field(default_factory=Sftp)
    owner: Owner = field(default_factory=Owner)
    connections: int = 1


def _folder(url: str, settings: Settings) -> Destination:
    return FolderDestination(url.removeprefix("file://"), settings.owner)


# Each of the others takes libraries that are not loaded before they are needed.


def _s3(url: str, settings: Settings) -> Destination:
    from converter.delivery.destinations.s3 import S3Destination

    return S3Destination(
        url,
        settings.s3,
        settings.partner,
        settings.sent,
        settings.most_bytes,
        settings.owner,
        connections=settings.connections,
    )


def _ftp(url: str, settings: Settings) -> Destination:
    from converter.delivery.destinations.ftp import ftp_destination

    return ftp_destination(url, settings.ftp, settings.owner)


def _sftp(url: str, settings: Settings) -> Destination:
    from converter.delivery.destinations.sftp import sftp_destination

    return sftp_destination(url, settings.sftp, settings.owner)


SCHEMES: dict[str, Callable[[str, Settings], Destination]] = {
    "": _folder,
    "file": _folder,
    "s3": _s3,
    "ftp": _ftp,
    "ftps": _ftp,
    "sftp": _sftp,
}

_MEANT = {
    "http": ".",
    "https": ".",
    "s3a": ", did you mean 's3'?",
    "s3n": ", did you mean 's3'?",
    "ssh": ", did you mean 'sftp'?",
    "scp": ", did you mean 'sftp'?",
    "ftpes": ", did you mean 'ftps'?",
}
_S3_HOST = re.compile(r"(?:(.+)\.)?s3[.-][a-z0-9.-]*amazonaws\.com")


def destination_of(document: Job | Transfer, sent: datetime.date, most_bytes: int, owner: Owner) -> Destination:
    """Return the destination of a job. `sent` is the day of sending in UTC; no part has more than `most_bytes`."""
    output = document.output
    settings = Settings(
        sent, output.partner, most_bytes, document.s3, document.ftp, document.sftp, owner, output.uploads
    )
    return open_destination(output.url, settings)


def open_destination(url: str, settings: Settings) -> Destination:
    """Return the destination that a URL names; nothing is connected yet. Raises `JobError` where it is wrong."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _folder(url, settings)
    if scheme.lower() not in SCHEMES:
        raise _unknown_scheme(url, scheme)
    if scheme.lower() != "file" and not _has_host(f"{scheme.lower()}://{rest}"):
        raise JobError(
            "E-TO-MALFORMED",
            f"output.to is '{mask_password(url)}', which names no {'bucket' if scheme.lower() == 's3' else 'host'}.",
            "For example: s3://BUCKET/PREFIX or sftp://USER@HOST/FOLDER.",
        )
    return SCHEMES[scheme.lower()](f"{scheme.lower()}://{rest}", settings)


def _unknown_scheme(url: str, scheme: str) -> JobError:
    """Return the error that a URL is of no known scheme, with the destination that was most likely meant."""
    hint = "Destinations are folders, s3://, ftp://, ftps:// and sftp://."
    meant = _MEANT.get(scheme.lower()) or nearest(scheme, filter(None, SCHEMES)) or "."
    if (bucket := _bucket_of(url)) and scheme.lower() in ("http", "https"):
        meant, hint = f", did you mean '{bucket}'?", ""
    elif scheme.lower() in ("http", "https"):
        hint += " For a service with the API of S3, give s3://BUCKET and set s3.endpoint_url."
    return JobError(
        "E-TO-SCHEME", f"output.to is '{mask_password(url)}', but {scheme}:// is not a destination{meant}", hint
    )


def _bucket_of(url: str) -> str:
    """Return the URL of the bucket whose address by HTTP this is, with the bucket in the host or the path; else ""."""
    with contextlib.suppress(ValueError):  # no URL: then it is not a bucket's
        parts = urlsplit(url)
        if host := _S3_HOST.fullmatch(parts.hostname or ""):
            return f"s3://{'/'.join(filter(None, (host[1], parts.path.strip('/'))))}"
    return ""


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, no address
        return False
