"""Buckets that have settings of their own, and are not used."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel

from converter.errors import Finding, nearest, redact

_BUCKET = re.compile(r"s3a?://([^/]+)", re.IGNORECASE)


def unused_buckets(names: Collection[str], document: BaseModel, to: str) -> Iterator[Finding]:
    """Yield a warning for each bucket of `s3.buckets` that no URL of a document names, nor that of its output, `to`."""
    if not names:
        return
    texts = _texts(document.model_dump(exclude={"s3": {"buckets"}}))
    used = {bucket for text in (to, *texts) for bucket in _BUCKET.findall(text)}
    for name in sorted({*names} - used):
        yield Finding(
            "W-S3-BUCKET-UNUSED",
            f"s3.buckets has settings of the bucket '{redact(name)}', but no URL of the job names "
            f"it{nearest(name, sorted(used)) or '.'}",
            "Other buckets have the settings of [s3] alone.",
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
