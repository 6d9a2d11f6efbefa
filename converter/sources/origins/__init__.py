"""Where bytes are: one module a scheme, behind the protocol `Origin`.

`expand` turns a path or URL of `input.path` into origins, by the function that `SCHEMES` lists for its scheme; standard
input and pipes are read once (`pipes`, `once`). To add an origin, write a module with a class that keeps the protocol
and with a function `expand`, and list that here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from converter.errors import JobError, nearest
from converter.jobs.access import DEFAULT_ACCESS, Access
from converter.jobs.secrets import mask_password
from converter.remote.objects import Objects
from converter.sources.extras import missing_package
from converter.sources.origins import local
from converter.sources.origins.base import Found
from converter.sources.origins.once import ReadOnce
from converter.sources.origins.pipes import find_pipe

FormatOf = Callable[[str], str | None]
Expand = Callable[[str, FormatOf, Access], Found]
"""Returns what a path names; of a folder, its table, whose files are of the format that the given function returns.

The settings of servers are those of the job.
Raises `InputError` where there is nothing, it cannot be listed, or it is not clear what of it is meant.
"""

Located = tuple[Objects, str]

# Each of these takes libraries that are not loaded before they are needed.


def _s3(url: str, format_of: FormatOf, access: Access) -> Found:
    from converter.sources.origins.s3 import expand

    return expand(url, format_of, access)


def _check_clouds(url: str) -> None:
    if importlib.util.find_spec("obstore") is None:
        raise missing_package(mask_password(url), "obstore", "clouds")


def _gs(url: str, format_of: FormatOf, access: Access) -> Found:
    _check_clouds(url)
    from converter.sources.origins.clouds import expand_gs

    return expand_gs(url, format_of, access)


def _az(url: str, format_of: FormatOf, access: Access) -> Found:
    _check_clouds(url)
    from converter.sources.origins.clouds import expand_az

    return expand_az(url, format_of, access)


def _web(url: str, format_of: FormatOf, access: Access) -> Found:
    from converter.sources.origins.web import expand

    return expand(url, format_of, access)


def _server(url: str, format_of: FormatOf, access: Access) -> Found:
    from converter.sources.origins.servers import expand

    return expand(url, format_of, access)


SCHEMES: dict[str, Expand] = {
    "": local.expand,
    "file": local.expand_url,
    "s3": _s3,
    "gs": _gs,
    "az": _az,
    "abfss": _az,
    "abfs": _az,
    "https": _web,
    "http": _web,
    "ftp": _server,
    "ftps": _server,
    "sftp": _server,
}
"""By the part of a URL before `://`, in lower case; local paths have none."""


def _locate_s3(url: str, access: Access) -> Located:
    from converter.sources.origins.s3 import locate

    return locate(url, access)


def _locate_gs(url: str, access: Access) -> Located:
    _check_clouds(url)
    from converter.sources.origins.clouds import locate_gs

    return locate_gs(url, access)


def _locate_az(url: str, access: Access) -> Located:
    _check_clouds(url)
    from converter.sources.origins.clouds import locate_az

    return locate_az(url, access)


_STORES: dict[str, Callable[[str, Access], Located]] = {
    "s3": _locate_s3,
    "gs": _locate_gs,
    "az": _locate_az,
    "abfss": _locate_az,
    "abfs": _locate_az,
}


def locate(url: str, access: Access) -> Located | None:
    """Return where objects of a URL are, and the name in it; nothing where it is not one of a store of objects."""
    scheme = url.partition("://")[0].lower()
    return _STORES[scheme](url, access) if scheme in _STORES else None


def expand(path: str, format_of: FormatOf, access: Access = DEFAULT_ACCESS) -> Found:
    """Return what a path or URL names; `format_of` returns the format that a name says, if any.

    The start of those that can be read only once can be read again: see `ReadOnce`. Raises `JobError` for a scheme
    that is not known, and what the `expand` of the scheme raises.
    """
    if pipe := find_pipe(path):
        return Found([ReadOnce(pipe)])
    scheme = path.partition("://")[0].lower() if "://" in path else ""
    if scheme not in SCHEMES:
        raise JobError(
            "E-INPUT-REMOTE",
            f"The input '{mask_password(path)}' cannot be read: {scheme}:// is not a place to read from"
            f"{nearest(scheme, filter(None, SCHEMES)) or '.'}",
            "docs/places.md lists the places that can be read, such as s3:// and https://.",
        )
    found = SCHEMES[scheme](path, format_of, access)
    return found._replace(origins=[origin if origin.rereadable else ReadOnce(origin) for origin in found.origins])
