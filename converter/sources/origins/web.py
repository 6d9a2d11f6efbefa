"""A file at a URL of HTTP or HTTPS. Such servers list nothing: a URL names one file."""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import InputError
from converter.jobs.access import Access
from converter.remote.objects import Entry
from converter.remote.retry import Patience
from converter.remote.web import WebFile
from converter.sources.origins.base import Found
from converter.sources.origins.remote import RemoteFile, as_input_errors, host_of, plain_warnings


def expand(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the file that a URL names. Plain HTTP is warned of, but on this machine."""
    del format_of
    host = host_of(url, "https://HOST/crm.csv.gz")
    with as_input_errors():
        file = WebFile(url, access.http)
        entry: Entry | None = Patience(access.retry_seconds).retrying(file.find, "")
    if entry is None:
        raise InputError(
            "E-INPUT-MISSING",
            f"There is no input file '{file.url('')}'.",
            "Servers of HTTP list no folders: give the URL of each file, without a glob.",
        )
    if entry.size is None:
        entry = entry._replace(ranges=False)
    is_plain = url.partition("://")[0].lower() == "http"
    warnings = (
        plain_warnings(file.url(""), host, "plain HTTP", "Use https:// if the server has it.") if is_plain else []
    )
    return Found([RemoteFile(file, entry, access.retry_seconds)], (), warnings)
