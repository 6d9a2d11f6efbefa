"""What is visible at the keys of parts on S3: compared with the parts, before and after a request publishes one.

Where the server keeps no conditions, only this prevents that an object is overwritten, and detects that another run has
published at the same time. Of each set, the server is asked about the first part, which is published alone, before and
after. Of the others, its answer proves that the object is the part, and a listing that there was none a second ago.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Literal

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.s3_state import PartState
from converter.errors import DestinationError, TransientError
from converter.remote.s3_bucket import Bucket, Object, Proof, base64_of
from converter.spec.names import stem_of

_LISTED_SECONDS = 1.0

Comparison = Literal["missing", "unseen", "same", "same size", "different"]
"""An object compared with a part: missing; not visible; the same bytes; the same number of them; different ones."""


class Visible:
    """The objects of a bucket, compared with parts. Threads may share it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._won: set[str] = set()  # the stems of which a part was published
        self._listed: dict[str, tuple[float, set[str] | None]] = {}  # by stem; None where listing does not help

    def compare(self, part: Arrived) -> Comparison:
        """Compare the object at the key of a part with the part; it is read where its checksum is not known."""
        comparison = self._compare_status(part)
        if comparison == "same size":
            same = self._bucket.read_crc32(PartState(**part.state).key) == base64_of(part.crc32)
            return "same" if same else "different"
        return comparison

    def publish(self, part: Arrived, request: Callable[[], Proof | None]) -> bool:
        """Publish a part by a request; return whether it was needed: the part may be visible already.

        The request returns what proves that the object is the part; None where it seems to be another one. An object
        that has the key already is compared, and never overwritten.
        """
        stem = stem_of(part.name)
        is_first = stem not in self._won
        match "missing" if not is_first and self._was_missing(part, stem) else self.compare(part):
            case "same":
                return False
            case "different":
                raise self._not_overwritten(part)
        try:
            proof = request()
        except DestinationError as error:
            # The answer may be lost, or this may be the refusal of a retry after an attempt that succeeded.
            match self.compare(part):
                case "same":
                    return True
                case "different":
                    raise self._not_overwritten(part) from error
            raise
        if proof is None and self.compare(part) != "same":
            raise self._other(part)
        if not proof or (proof == "md5" and is_first):
            self.confirm(part)
        self._won.add(stem)
        return True

    def confirm(self, part: Arrived) -> None:
        """Check what was published. Raises `TransientError` where it cannot be seen yet."""
        url = self._bucket.url(PartState(**part.state).key)
        match self._compare_status(part):
            case "missing":
                raise TransientError(
                    "E-PUBLISHED-UNSEEN", f"'{url}' was published, but cannot be seen yet.", "It is checked again."
                )
            case "different":
                raise self._other(part)

    def _was_missing(self, part: Arrived, stem: str) -> bool:
        """Return whether a listing of the set, which is a second old at most, shows that there was no such object.

        It does so once: where a part is published again, the server is asked.
        """
        key = PartState(**part.state).key
        with self._lock:
            listed_at, keys = self._listed.get(stem, (0.0, set()))
            if keys is not None and time.monotonic() - listed_at > _LISTED_SECONDS:
                listed_at = time.monotonic()
                page = self._bucket.first_keys(key.removesuffix(part.name) + stem)
                keys = page[0] if page and page[1] else None
                self._listed[stem] = listed_at, keys
            if keys is None or key in keys:
                return False
            keys.add(key)
            return True

    def _compare_status(self, part: Arrived) -> Comparison:
        """Compare what the server reports about the object at the key of a part with the part."""
        state = PartState(**part.state)
        head = self._bucket.head(state.key)
        if not isinstance(head, Object):
            return "unseen" if head is None else "missing"
        if head.bytes != part.bytes:
            return "different"
        if head.crc32:
            return "same" if head.crc32 == base64_of(part.crc32) else "different"
        return "same" if state.proof == "md5" and head.etag == etag_of(state) else "same size"

    def _other(self, part: Arrived) -> DestinationError:
        return DestinationError(
            "E-PUBLISHED-OTHER",
            f"'{self._bucket.url(PartState(**part.state).key)}' was published, but it is not what was sent.",
            "Remove it, and run again with another timestamp (N2).",
        )

    def _not_overwritten(self, part: Arrived) -> DestinationError:
        return DestinationError(
            "E-NAME-TAKEN",
            f"'{self._bucket.url(PartState(**part.state).key)}' is there already, with other bytes.",
            "Nothing is ever overwritten: use another timestamp (N2).",
        )


def etag_of(state: PartState) -> str:
    """Return the ETag of an object whose pieces have their MD5s as ETags: the MD5 of these MD5s, and their number.

    That of an object without an upload is its own.
    """
    if not state.upload_id:
        return "".join(state.etags)
    of_all = hashlib.md5(b"".join(map(bytes.fromhex, state.etags)), usedforsecurity=False)
    return f"{of_all.hexdigest()}-{len(state.etags)}"
