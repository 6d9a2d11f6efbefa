"""Objects of Google Cloud Storage and of Azure: alone, by a glob, or all below a prefix."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from converter.errors import Finding, JobError
from converter.jobs.access import Access
from converter.remote.azure import Account, az_objects
from converter.remote.google import gs_endpoint, gs_objects
from converter.remote.stores import StoreObjects
from converter.sources.origins.base import Found
from converter.sources.origins.listings import expand_names
from converter.sources.origins.remote import plain_warnings

_SIGNATURE = re.compile(r"[?&]sig=", re.IGNORECASE)
_GS_EXAMPLE = "gs://BUCKET/crm/2024-05-01.csv.gz"
_AZ_EXAMPLE = "az://CONTAINER/crm/2024-05-01.csv.gz"


def expand_gs(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the objects that a URL names. A name is taken as it is written, without any decoding."""
    objects, name = locate_gs(url, access)
    found = expand_names(objects, name, format_of, access.retry_seconds)
    return _warned(found, objects.url(name), gs_endpoint(access.gs))


def locate_gs(url: str, access: Access) -> tuple[StoreObjects, str]:
    """Return the bucket of a URL, and the name in it."""
    bucket, _, name = url.partition("://")[2].partition("/")
    if not bucket or "@" in bucket:
        raise _malformed("Google Cloud Storage", "no bucket, or has a login", _GS_EXAMPLE)
    return gs_objects(bucket, access.gs), name


def expand_az(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the objects that a URL names, as `expand_gs` does."""
    objects, name, account = _locate_az(url, access)
    found = expand_names(objects, name, format_of, access.retry_seconds)
    return _warned(found, objects.url(name), account.endpoint)


def locate_az(url: str, access: Access) -> tuple[StoreObjects, str]:
    """Return the container of a URL, and the name in it."""
    return _locate_az(url, access)[:2]


def _locate_az(url: str, access: Access) -> tuple[StoreObjects, str, Account]:
    """Return also the account: that of `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/`, else of the settings."""
    scheme, _, rest = url.partition("://")
    place, _, name = rest.partition("/")
    container, at, host = place.partition("@")
    if not container or ":" in place or bool(at) is not bool(host):
        raise _malformed("Azure", "no container, or has a password", _AZ_EXAMPLE)
    if _SIGNATURE.search(name):
        raise JobError(
            "E-INPUT-URL",
            "An input on Azure has a signature in its URL, which would be part of a name.",
            "Set az.sas_token to what is after the question mark, such as ${AZURE_STORAGE_SAS_TOKEN}.",
        )
    account = Account(host.partition(".")[0] or None, host or None, access.az)
    return az_objects(container, f"{scheme.lower()}://{place}", account, access.az.timeout), name, account


def _warned(found: Found, label: str, endpoint: str | None) -> Found:
    """Return what was found, with a warning where it is read without encryption."""
    parts = urlsplit(endpoint or "")
    if parts.scheme != "http":
        return found
    warnings: list[Finding] = plain_warnings(label, parts.hostname or "", "plain HTTP", "Use a server with https://.")
    return found._replace(warnings=[*found.warnings, *warnings])


def _malformed(where: str, what: str, example: str) -> JobError:
    return JobError("E-INPUT-URL", f"An input on {where} names {what}.", f"For example: {example}.")
