"""A file at a URL of HTTP or HTTPS. Such servers list nothing: a URL names one file."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from converter.errors import Finding, InputError, JobError
from converter.jobs.access import Access
from converter.jobs.secrets import mask_password
from converter.remote.objects import Entry
from converter.remote.retry import Patience
from converter.remote.web import WebFile
from converter.sources.origins.base import Found
from converter.sources.origins.remote import RemoteFile, as_input_errors


def expand(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the file that a URL names. Plain HTTP is warned of, but on this machine."""
    del format_of
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a wrong port or address
        is_valid = False
    if not is_valid:
        raise JobError(
            "E-INPUT-URL", f"The input '{mask_password(url)}' names no host.", "For example: https://HOST/crm.csv.gz."
        )
    file = WebFile(url, access.http)
    with as_input_errors():
        entry: Entry | None = Patience(access.retry_seconds).retrying(file.find, "")
    if entry is None:
        raise InputError(
            "E-INPUT-MISSING",
            f"There is no input file '{file.url('')}'.",
            "Servers of HTTP list no folders: give the URL of each file, without a glob.",
        )
    if entry.size is None:
        entry = entry._replace(ranges=False)
    warnings = []
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        warnings.append(
            Finding(
                "W-INPUT-PLAIN",
                f"The input '{file.url('')}' is read by plain HTTP: others on the network can read and change it.",
                "Use https:// if the server has it.",
            )
        )
    return Found([RemoteFile(file, entry, access.retry_seconds)], (), warnings)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
