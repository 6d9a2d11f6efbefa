"""Small parts that exist already, to S3: one conditional request a part, which makes it visible."""

from __future__ import annotations

from collections.abc import Callable

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.s3_state import PartState
from converter.delivery.destinations.s3_visible import Visible
from converter.errors import DestinationError
from converter.remote.s3_bucket import Bucket, Proof


class S3AtOnce:
    """The way to objects of a bucket, whose keys `key` returns for names. Threads may share it."""

    most_bytes = 1 << 20

    def __init__(self, bucket: Bucket, visible: Visible, key: Callable[[str], str]) -> None:
        self._bucket, self._visible, self._key = bucket, visible, key
        self._conditional = True

    def publish(self, name: str, data: bytes | bytearray, crc32: int) -> Arrived:
        """Publish a part. Nothing that differs from what was sent becomes visible where the server compares it."""
        key = self._key(name)
        part = Arrived(name, len(data), crc32, PartState(key, "", [], "")._asdict())

        def send() -> Proof | None:
            nonlocal part
            etag, proof = self._put(key, data, crc32)
            part = Arrived(name, len(data), crc32, PartState(key, "", [etag], proof or "")._asdict())
            return proof

        self._visible.publish(part, send)
        return part

    def _put(self, key: str, data: bytes | bytearray, crc32: int) -> tuple[str, Proof | None]:
        """Send an object; without a condition where the server does not know any: what is there was seen before."""
        if self._conditional:
            try:
                return self._bucket.put(key, data, crc32, conditional=True)
            except DestinationError as error:
                if error.code != "E-S3-UNSUPPORTED":
                    raise
                self._conditional = False
        return self._bucket.put(key, data, crc32, conditional=False)
