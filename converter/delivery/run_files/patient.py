"""The objects of a bucket, with retries, and apart from signals: each method is that of `ConditionalObjects`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO, TypeVar

from converter.delivery.threads import undisturbed
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.remote.s3_conditional import ConditionalObjects, Listed, Stored

_T = TypeVar("_T")


def objects_below(url: str, s3: S3, patience: Patience) -> tuple[PatientObjects, str]:
    """Return the objects of the bucket of a URL, and the prefix that it names, with a slash at its end unless empty."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    objects = ConditionalObjects(bucket, s3)
    objects.on_retry = patience.retries.count
    return PatientObjects(objects, patience), f"{prefix}/" if prefix else ""


class PatientObjects:
    """Objects whose requests are sent again while that may help, within `patience`."""

    def __init__(self, objects: ConditionalObjects, patience: Patience) -> None:
        self._objects = objects
        self._patience = patience
        self.url = objects.url
        self.close = objects.close

    def read(self, key: str) -> Stored | None:
        """Return an object."""
        return self._ask(partial(self._objects.read, key))

    def write(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        absent: bool = False,
        unchanged: str | None = None,
        crc32: int | None = None,
    ) -> str | None:
        """Write an object on a condition."""
        return self._ask(partial(self._objects.write, key, data, absent=absent, unchanged=unchanged, crc32=crc32))

    def has(self, key: str) -> bool:
        """Return whether there is an object."""
        return self._ask(partial(self._objects.has, key))

    def rename(self, key: str, to: str) -> None:
        """Give an object another key."""
        self._ask(partial(self._objects.rename, key, to))

    def entries(self, prefix: str) -> tuple[list[Listed], list[str]]:
        """Return what is right below a prefix."""
        return self._ask(partial(self._objects.entries, prefix))

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects."""
        self._ask(partial(self._objects.remove, keys))

    def _ask(self, call: Callable[[], _T]) -> _T:
        return undisturbed(partial(self._patience.retrying, call))
