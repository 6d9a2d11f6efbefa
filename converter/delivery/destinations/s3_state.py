"""The state of a part on S3 that has arrived, as the journal keeps it."""

from __future__ import annotations

from typing import NamedTuple

from converter.remote.s3_bucket import MultipartUpload, Proof


class PartState(NamedTuple):
    """Where a part is, and what proves that it is whole. One that was published at once has no upload."""

    key: str
    upload_id: str
    etags: list[str]
    proof: Proof

    @property
    def upload(self) -> MultipartUpload:
        """The upload."""
        return MultipartUpload(self.key, self.upload_id)
