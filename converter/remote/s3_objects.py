"""Objects of a bucket, read by parts.

botocore finds and lists them. Parts are asked for by URLs that it signs, which takes less CPU time than its requests.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import urllib3
from botocore import exceptions as boto
from botocore.exceptions import ClientError
from urllib3.exceptions import NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as SlowError

from converter.errors import DestinationError, InputError
from converter.jobs.sections.servers import S3
from converter.remote.http_client import FOREIGN as FOREIGN_OF_HTTP
from converter.remote.http_client import Answer, Requests, begins_at, size_in
from converter.remote.objects import Entry, changed
from converter.remote.s3_client import OfBucket
from converter.remote.s3_errors import FOREIGN, NOT_THERE, code_of

_SIGNED_SECONDS = 3600
_RENEWED_SECONDS = 300.0  # credentials may be renewed at any time
_MOST_ERROR = 1 << 14  # bytes of an answer that is an error
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]+)</Code>")


class BucketObjects(OfBucket):
    """The objects of a bucket."""

    def __init__(self, bucket: str, settings: S3) -> None:
        super().__init__(bucket, settings)
        self._requests = Requests(self._settings.timeout, os.environ.get("AWS_CA_BUNDLE"))
        self._signed: dict[str, tuple[str, float]] = {}
        self._payer = {"RequestPayer": "requester"} if self._settings.requester_pays else {}

    def find(self, name: str) -> Entry | None:
        """Send HeadObject; where that finds nothing, the bucket has to be there."""
        with self._mapped_errors(name):
            try:
                head = self._client.head_object(Bucket=self.name, Key=name, **self._payer)
            except ClientError as error:
                if code_of(error) not in NOT_THERE:
                    raise
                return None
        return Entry(name, head["ContentLength"], head.get("ETag", ""))

    def entries(self, prefix: str) -> Sequence[Entry]:
        """Send ListObjectsV2."""
        with self._mapped_errors(prefix, "list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, **self._payer
            )
            return [
                Entry(each["Key"], each["Size"], each.get("ETag", ""))
                for page in pages
                for each in page.get("Contents", [])
            ]

    def open(self, entry: Entry, start: int, stop: int | None) -> _Part:
        """Send GetObject for a part, by a URL that is signed."""
        headers = {"If-Match": entry.version} if entry.version else {}
        if self._payer:
            headers["x-amz-request-payer"] = "requester"  # it is signed
        with self._mapped_errors(entry.name):
            response = self._requests.get(self._url_of(entry.name), headers, start, stop)
            is_part = response.status in (200, 206) and begins_at(response, start)
            if is_part and size_in(response) == entry.size:
                return _Part(self, entry.name, Answer(response))
            with contextlib.closing(response):
                if response.status in (200, 206, 412, 416):
                    raise changed(self.url(entry.name))
                raise self._refused(entry.name, response)

    def _refused(self, name: str, response: urllib3.BaseHTTPResponse) -> DestinationError | InputError:
        """Return the error that an answer is, as botocore would."""
        found = _CODE.search(response.read(_MOST_ERROR))
        code = found[1].decode() if found else str(response.status)
        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": response.status}}
        if code in NOT_THERE:
            return changed(self.url(name))
        return self.mapped(ClientError(answer, "GetObject"), "read", name)

    def _url_of(self, name: str) -> str:
        with self._lock:
            url, until = self._signed.get(name, ("", 0.0))
        if time.monotonic() < until:
            return url
        given = {"Bucket": self.name, "Key": name, **self._payer}
        made: str = self._client.generate_presigned_url("get_object", Params=given, ExpiresIn=_SIGNED_SECONDS)
        with self._lock:
            self._signed[name] = made, time.monotonic() + _RENEWED_SECONDS
        return made

    def map_error(self, error: Exception, name: str, what: str = "read") -> DestinationError:
        """Map an error of botocore, or of the network."""
        return self.mapped(_as_of_boto(error), what, name)

    @contextlib.contextmanager
    def _mapped_errors(self, name: str, what: str = "read") -> Iterator[None]:
        try:
            yield
        except (*FOREIGN, *FOREIGN_OF_HTTP) as error:
            raise self.map_error(error, name, what) from error


class _Part:
    """An answer whose errors are mapped."""

    def __init__(self, bucket: BucketObjects, name: str, answer: Answer) -> None:
        self._bucket = bucket
        self._name = name
        self._answer = answer
        self.close = answer.close

    def readinto(self, view: memoryview) -> int:
        """Read some bytes into memory; return their number, 0 at the end."""
        try:
            return self._answer.readinto(view)
        except FOREIGN_OF_HTTP as error:
            raise self._bucket.map_error(error, self._name) from error


def _as_of_boto(error: Exception) -> Exception:
    """Return an error of the network as botocore would raise it."""
    kinds: tuple[tuple[type[Exception], Callable[..., Exception]], ...] = (
        (SSLError, boto.SSLError),
        (NewConnectionError, boto.EndpointConnectionError),
        (SlowError, boto.ReadTimeoutError),
        (TimeoutError, boto.ReadTimeoutError),
        (Exception, boto.ConnectionClosedError),
    )
    if isinstance(error, FOREIGN):
        return error
    return next(to for of, to in kinds if isinstance(error, of))(endpoint_url="", error="")
