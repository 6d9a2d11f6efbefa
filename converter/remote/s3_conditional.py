"""Small objects of a bucket, written on conditions that the server keeps: that there is none, or that it is unchanged.

They are written with the settings of the bucket: those of `[s3]` about objects are for the parts of runs.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from botocore.exceptions import ClientError

from converter.remote.s3_bucket import base64_of
from converter.remote.s3_client import OfBucket
from converter.remote.s3_errors import FOREIGN, NOT_THERE, code_of

_NOT_MET = frozenset({"412", "PreconditionFailed"})
_MOST_REMOVED = 1000  # keys in a request


class Stored(NamedTuple):
    """An object: its content, its ETag, and how many seconds ago it was written, by the clock of the server alone."""

    data: bytes
    etag: str
    age: float


class Listed(NamedTuple):
    """An object of a listing; `modified` is in UNIX seconds, by the clock of the server."""

    key: str
    modified: float


class ConditionalObjects(OfBucket):
    """The small objects of a bucket. Threads may share it.

    Methods raise `DestinationError`, and `TransientError` where a retry may help. After a lost answer a retry may not
    meet its condition any more, since the request before has succeeded: so contents name their writer.
    """

    def read(self, key: str) -> Stored | None:
        """Send GetObject; return None where there is none."""
        with self._mapped_errors("read", key):
            try:
                answer = self._client.get_object(Bucket=self.name, Key=key)
                data = answer["Body"].read()
            except ClientError as error:
                if code_of(error) in NOT_THERE:
                    return None
                raise
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        return Stored(data, answer.get("ETag", ""), _seconds_between(answer.get("LastModified"), date))

    def write(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        absent: bool = False,
        unchanged: str | None = None,
        crc32: int | None = None,
    ) -> str | None:
        """Send PutObject; return the ETag, or None where the condition is not met.

        The condition is that the object is `absent`, or that its ETag is `unchanged`. With a `crc32`, the server
        compares what arrives with it.
        """
        conditions = {"IfNoneMatch": "*"} if absent else {"IfMatch": unchanged} if unchanged is not None else {}
        checksum = {} if crc32 is None else {"ChecksumCRC32": base64_of(crc32)}
        if not isinstance(data, bytes):
            data.seek(0)
        with self._mapped_errors("write", key):
            try:
                answer = self._client.put_object(Bucket=self.name, Key=key, Body=data, **conditions, **checksum)
            except ClientError as error:
                if conditions and code_of(error) in _NOT_MET | NOT_THERE:
                    return None
                raise
        return str(answer.get("ETag", ""))

    def has(self, key: str) -> bool:
        """Send HeadObject; return whether there is such an object."""
        with self._mapped_errors("read", key):
            try:
                self._client.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if code_of(error) in NOT_THERE:
                    return False
                raise
        return True

    def rename(self, key: str, to: str) -> None:
        """Copy an object to another key, in place of what is there, and remove the first one."""
        source = {"Bucket": self.name, "Key": key}
        with self._mapped_errors("write", to):
            self._client.copy_object(Bucket=self.name, Key=to, CopySource=source)
        self.remove([key])

    def entries(self, prefix: str) -> tuple[list[Listed], list[str]]:
        """Send ListObjectsV2; return the objects right below a prefix, and the prefixes below it, in order."""
        objects: list[Listed] = []
        below: list[str] = []
        with self._mapped_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                objects += [Listed(each["Key"], each["LastModified"].timestamp()) for each in page.get("Contents", [])]
                below += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        return objects, below

    def remove(self, keys: Sequence[str]) -> None:
        """Send DeleteObjects for objects, those that are there."""
        for first in range(0, len(keys), _MOST_REMOVED):
            some = [{"Key": key} for key in keys[first : first + _MOST_REMOVED]]
            with self._mapped_errors("remove", keys[first]):
                answer = self._client.delete_objects(Bucket=self.name, Delete={"Objects": some, "Quiet": True})
                for failed in answer.get("Errors", []):
                    raise ClientError(_refusal(failed), "DeleteObjects")

    @contextlib.contextmanager
    def _mapped_errors(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise self.mapped(error, what, key) from error


def _refusal(failed: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the answer that one of several objects could not be removed, as an answer about it alone."""
    return {"Error": {"Code": failed.get("Code", ""), "Message": ""}}


def _seconds_between(modified: datetime.datetime | None, date: str) -> float:
    """Return how old an object was at the date of the answer; 0 where the server does not say it."""
    try:
        answered = email.utils.parsedate_to_datetime(date)
        return (answered - modified).total_seconds() if modified else 0.0
    except (ValueError, TypeError):  # no date, or a malformed one, or one of them has no time zone
        return 0.0
