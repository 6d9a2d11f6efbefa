"""Files of FTP, FTPS and SFTP servers: alone, by a glob, or those of a folder."""

from __future__ import annotations

from collections.abc import Callable

from converter.jobs.access import Access
from converter.remote.passwords import with_password
from converter.remote.server import Address
from converter.sources.origins.base import Found
from converter.sources.origins.listings import expand_names
from converter.sources.origins.remote import host_of, plain_warnings


def expand(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the files that a URL names, with the settings of `[ftp]` or `[sftp]`."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    url = f"{scheme}://{rest.replace('?', '%3F').replace('#', '%23')}"
    host = host_of(url, "sftp://USER@HOST/crm.csv")
    address = Address.of(url)
    path = address.path + "/" * (url.endswith("/") and bool(address.path.strip("/")))
    if scheme == "sftp":
        from converter.remote.sftp_files import sftp_files  # here, since each takes libraries of its own

        files = sftp_files(with_password(address, access.sftp), access.sftp)
    else:
        from converter.remote.ftp_files import ftp_files

        files = ftp_files(with_password(address, access.ftp), access.ftp)
    found = expand_names(files, path, format_of, access.retry_seconds)
    if scheme != "ftp":
        return found
    hint = "Use sftp:// or ftps:// if the server has it."
    return found._replace(warnings=[*found.warnings, *plain_warnings(address.url, host, "plain FTP", hint)])
