"""Objects of S3, and of services with its API: alone, by a glob, or all below a prefix."""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import JobError
from converter.jobs.access import Access
from converter.remote.s3_objects import BucketObjects
from converter.sources.origins.base import Found
from converter.sources.origins.listings import expand_names


def expand(url: str, format_of: Callable[[str], str | None], access: Access) -> Found:
    """Return the objects that a URL names. A key is taken as it is written, without any decoding."""
    return expand_names(*locate(url, access), format_of, access.retry_seconds)


def locate(url: str, access: Access) -> tuple[BucketObjects, str]:
    """Return the bucket of a URL, and the key in it."""
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket or "@" in bucket:
        raise JobError(
            "E-INPUT-URL",
            "An input on S3 names no bucket, or has a password, which S3 takes from the settings of AWS.",
            "For example: s3://BUCKET/crm/2024-05-01.csv.gz.",
        )
    return BucketObjects(bucket, access.s3), key
