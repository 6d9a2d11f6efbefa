"""S3, and services with its API. A part is a multipart upload, which is invisible until it is completed.

1. `create` begins an upload, which is cut into pieces, several of which are sent at once: see `s3_upload`.
2. `finish` sends the rest, and proves that every byte was sent.
3. `publish` completes the upload, on condition that no object has its key, and with size and CRC32 of the whole part.
   Servers that do not support such conditions are asked before and after, as far as that is allowed: see `s3_visible`.

Small parts that exist already are sent when they are published, by one request: see `s3_at_once`.

The claim to the names of a run is an upload that is never completed: see `partials`. Of two runs that begin one, at
least the later sees the other's, where uploads may be listed, and withdraws.

Single requests are retried by botocore; an error that remains is a `TransientError`.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.partials import Owner, parse_listed
from converter.delivery.destinations.s3_at_once import S3AtOnce
from converter.delivery.destinations.s3_pieces import Line
from converter.delivery.destinations.s3_state import PartState
from converter.delivery.destinations.s3_visible import Visible, etag_of
from converter.errors import DestinationError, Finding, JobError, TransientError, has_errors
from converter.jobs.secrets import mask_password
from converter.jobs.sections.servers import S3
from converter.remote.s3_bucket import Bucket, MultipartUpload, Object, Proof, base64_of
from converter.spec.environments import key
from converter.spec.names import FileName

if TYPE_CHECKING:
    from converter.delivery.destinations.s3_upload import S3Upload

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
_MOST_PIECES = 10_000
_SKEW = datetime.timedelta(minutes=5)  # S3 itself refuses a clock that is a quarter of an hour off


class S3Destination:
    """A bucket, and the folder in it for a partner and a day: `[PREFIX/][PARTNER/]date=YYYY-MM-DD/` (N5).

    No part has more than `most_bytes`; at most `connections` pieces are sent at once. Raises `JobError` where the URL
    names no bucket.
    """

    direct = False

    def __init__(
        self,
        url: str,
        settings: S3,
        partner: str,
        sent: datetime.date,
        most_bytes: int,
        owner: Owner | None = None,
        *,
        connections: int = 1,
    ) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket) or not prefix.isprintable():
            raise JobError(
                "E-TO-MALFORMED",
                f"output.to is '{mask_password(url)}', which does not name a bucket and a prefix.",
                "For example: s3://BUCKET/PREFIX; the name of a bucket has letters, digits and - . _ only.",
            )
        own = settings.of(bucket)
        self._bucket = Bucket(bucket, settings)
        self._prefix, self._partner, self._sent = prefix.strip("/"), partner, sent
        self._piece_bytes = max(own.part_size, -(-most_bytes // _MOST_PIECES))
        self._line = Line(self._bucket, connections, self._piece_bytes)
        self._visible = Visible(self._bucket)
        self.at_once = S3AtOnce(self._bucket, self._visible, self._key)
        self._endpoint, self._owner = own.endpoint_url or "", owner or Owner()
        self._test_findings: list[Finding] | None = None
        self._claims: dict[str, MultipartUpload] = {}

    @property
    def on_retry(self) -> Callable[[str], None]:
        """What is called whenever botocore sends a request again."""
        return self._bucket.on_retry

    @on_retry.setter
    def on_retry(self, call: Callable[[str], None]) -> None:
        self._bucket.on_retry = call

    @property
    def identity(self) -> str:
        """Return the endpoint, the bucket and the folder in it, without the date."""
        return f"{self._bucket.url('/'.join([self._prefix, self._partner]))} {self._endpoint}"

    def check(self, name: FileName) -> list[Finding]:
        """Begin and abort an upload with the same settings, and look for parts of this name."""
        return self._findings_of(lambda: [*self._test_writing(name), *self._find_parts(name)])

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Do what `check` does, and begin an upload that shows other runs that the name is claimed."""

        def claim() -> list[Finding]:
            findings = [*self._test_writing(name), *self._begin_claim(name, own=own)]
            if not visible and not has_errors(findings):
                findings += self._find_parts(name)  # after the claim: no other run publishes from then on
            if has_errors(findings):
                self.release(name)
            return findings

        return self._findings_of(claim)

    def release(self, name: FileName) -> None:
        """Abort the upload that is the claim."""
        if upload := self._claims.pop(name.stem, None):
            with contextlib.suppress(DestinationError):
                self._bucket.abort(upload)

    def _findings_of(self, check: Callable[[], list[Finding]]) -> list[Finding]:
        try:
            return check()
        except TransientError:
            raise
        except DestinationError as error:
            return [Finding.of(error)]

    def _abort_dead_claims(self, name: FileName) -> None:
        """Abort claims to other names by runs of this job that died before they could note anything."""
        start = name.stem.partition(f"_{name.timestamp}")[0]
        with contextlib.suppress(DestinationError):
            for upload in self._bucket.uploads(self._key(start)) or []:
                stem, *rest = upload.key.rpartition("/")[2].rsplit(".", 3)
                is_claim = rest[:1] == [self._owner.digest] and rest[1:2] != [self._owner.token] and rest[-1] == "claim"
                if is_claim and stem != name.stem:
                    self._bucket.abort(upload)

    def _begin_claim(self, name: FileName, *, own: bool) -> Iterator[Finding]:
        """Claim a name, and withdraw where another run has claimed it; do nothing where uploads cannot be aborted."""
        if any(finding.code == "W-ABORT-REFUSED" for finding in self._test_findings or []):
            return
        self._abort_dead_claims(name)
        self._claims[name.stem] = self._bucket.begin(self._key(self._owner.claim(name, "")))[0]
        begun: list[MultipartUpload] | None = None
        with contextlib.suppress(TransientError):  # publishing is conditional anyway
            begun = self._bucket.uploads(self._key(name.stem))
        for upload in begun or []:
            digest = self._claimer(upload.key, name)
            if own and digest == self._owner.digest:  # of a run of the job that died
                self._bucket.abort(upload)
            elif digest:
                yield Finding(
                    "E-NAME-IN-USE",
                    f"'{self._bucket.url(upload.key)}' was begun: a run with this name is under way, or was killed.",
                    "If none is under way, finish it with --resume, abort that upload, or use another timestamp.",
                )
                return

    def _claimer(self, key: str, name: FileName) -> str:
        """Return the digest of the job whose claim has a key; empty where it is this run's, or not a claim."""
        base = key.rpartition("/")[2]
        listed = parse_listed(base, name) if key == self._key(base) else None
        is_own = listed and (listed.digest, listed.token) == (self._owner.digest, self._owner.token)
        return listed.digest if listed and listed.kind == "claim" and not is_own else ""

    def _test_writing(self, name: FileName) -> list[Finding]:
        """Test, once, whether an upload can be begun and aborted."""
        if self._test_findings is None:
            self._test_findings = list(self._begin_and_abort(name))
        return self._test_findings

    def _begin_and_abort(self, name: FileName) -> Iterator[Finding]:
        upload, date = self._bucket.begin(self._key(name.probe))
        yield Finding("", f"The bucket '{self._bucket.name}' can be written.")
        yield from _check_clock(date)
        try:
            self._bucket.abort(upload)
            for left in self._bucket.uploads(upload.key) or []:  # by a check that was killed
                self._bucket.abort(left)
        except DestinationError as error:
            yield Finding(
                "W-ABORT-REFUSED",
                f"{error.message} Incomplete uploads that are left behind are never visible, but cost storage.",
                f"{error.hint} Or let a lifecycle rule of the bucket remove them.",
            )

    def _find_parts(self, name: FileName) -> Iterator[Finding]:
        """Find parts of this name; where they cannot be listed, only the first one."""
        keys, first = self._bucket.keys(self._key(name.stem)), self._key(str(name.part(1)))
        if keys is None:
            head = self._bucket.head(first)
            keys = [first] if isinstance(head, Object) else []
            if head is None:
                yield Finding(
                    "W-NAMES-UNSEEN",
                    f"Whether '{self._bucket.url(first)}' is there already cannot be seen.",
                    "With s3:ListBucket it could be. On S3 itself nothing is overwritten in any case.",
                )
        parts = [each for each in keys if self._is_part(each, name)]
        if parts:
            more = f" and {len(parts) - 1:,} more of its run are" if parts[1:] else " is"
            yield Finding(
                "E-NAME-TAKEN",
                f"'{self._bucket.url(parts[0])}'{more} there already, and nothing is ever overwritten.",
                "Finish the run that began it with --resume, leave output.timestamp out, or use another one (N2).",
            )

    def create(self, name: str) -> S3Upload:
        """Begin an upload."""
        from converter.delivery.destinations.s3_upload import S3Upload  # here, since smart-open takes a while

        return S3Upload(name, self._key(name), self._line)

    def holds(self, part: Arrived) -> bool | None:
        """Compare the pieces that the server lists with those that were sent, or the object with the part."""
        state = PartState(**part.state)
        pieces = self._bucket.pieces(state.upload) if state.upload_id else "nothing"
        if pieces is None or pieces == "nothing":
            comparison = self._visible.compare(part)
            unseen = comparison == "unseen" or (pieces is None and comparison == "missing")
            return None if unseen else comparison == "same"
        return [each.etag for each in pieces] == state.etags and sum(each.bytes for each in pieces) == part.bytes

    def publish(self, part: Arrived) -> None:
        """Complete the upload.

        An object that has the key already is compared, and never overwritten. Where the upload is gone, no retry can
        help: that is a `DestinationError`, and the part has to be sent again.
        """
        state = PartState(**part.state)
        if not state.upload_id:  # it was published at once
            self._visible.confirm(part)
            return
        conditions: dict[str, str | int] = {
            "ChecksumCRC32": base64_of(part.crc32),
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": part.bytes,
            "IfNoneMatch": "*",
        }

        def complete() -> Proof:
            etag, crc32 = self._bucket.complete(state.upload, state.etags, conditions if state.proof == "crc32" else {})
            if crc32 == conditions["ChecksumCRC32"]:
                return "crc32"
            return "md5" if state.proof == "md5" and etag == etag_of(state) else ""

        if not self._visible.publish(part, complete):
            with contextlib.suppress(DestinationError):  # the part may have been sent twice
                self._bucket.abort(state.upload)

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Abort the upload, if it is known; otherwise `sweep` finds it."""
        del name
        if state:
            self._bucket.abort(MultipartUpload(state["key"], state["upload_id"]))

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Abort the uploads of this name, where listing and aborting is allowed, and no other job has claimed it."""
        kept = {PartState(**part.state).upload_id for part in keep}
        uploads = self._bucket.uploads(self._key(name.stem)) or []
        claimers = {upload.id: self._claimer(upload.key, name) for upload in uploads}
        is_alone = not (set(claimers.values()) - {"", self._owner.digest})
        for upload in uploads:
            is_own = claimers[upload.id] == self._owner.digest or (is_alone and self._is_part(upload.key, name))
            if is_own and upload.id not in kept:
                try:
                    self._bucket.abort(upload)
                except TransientError:
                    raise
                except DestinationError:  # not allowed: `check` has warned
                    return

    def url(self, name: str) -> str:
        """Return the URL of a part."""
        return self._bucket.url(self._key(name))

    def close(self) -> None:
        """Close all connections."""
        self._bucket.close()

    def _key(self, name: str) -> str:
        return "/".join(filter(None, [self._prefix, key(name, self._partner, self._sent)]))

    def _is_part(self, key: str, name: FileName) -> bool:
        """Return whether a key is that of a part of a run."""
        base = key.rpartition("/")[2]
        return key == self._key(base) and name.has_part(base)


def _check_clock(date: str) -> Iterator[Finding]:
    """Compare the date of a server's answer with the clock of this machine."""
    try:
        there = email.utils.parsedate_to_datetime(date)
    except ValueError:  # no date, or a malformed one
        return
    if there.tzinfo and abs(datetime.datetime.now(datetime.UTC) - there) > _SKEW:
        yield Finding(
            "W-CLOCK-SKEW",
            f"This machine's clock and that of the server, which has {there:%Y-%m-%d %H:%M} UTC, are minutes apart.",
            "Set the clock: from a quarter of an hour on, S3 refuses every request.",
        )
