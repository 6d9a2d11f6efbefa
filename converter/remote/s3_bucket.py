"""The requests to a bucket, one method each: with proof that bytes have arrived, and errors mapped."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from botocore.exceptions import ClientError
from isal import isal_zlib

from converter.errors import TransientError
from converter.remote.s3_client import OfBucket
from converter.remote.s3_errors import FOREIGN, NO_UPLOAD, NOT_THERE, code_of, is_unseen

_READ_BYTES = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")

Answer = TypeVar("Answer")

Proof = Literal["crc32", "md5", ""]
"""What the server returned for a piece that arrived: its CRC32, an ETag that is its MD5, or nothing to compare."""


class Object(NamedTuple):
    """What the server reports about an object. Its CRC32, in base64, is empty unless it is of the whole object."""

    bytes: int
    crc32: str
    etag: str


class ListedPiece(NamedTuple):
    """A piece of an upload, as the server lists it."""

    etag: str
    bytes: int


class MultipartUpload(NamedTuple):
    """An upload that was begun and not completed."""

    key: str
    id: str


class Bucket(OfBucket):
    """A bucket.

    Methods may be called by several threads. They raise `DestinationError`, and `TransientError` where a retry may
    help; those that only read return None where reading is not allowed, or not supported.
    """

    def begin(self, key: str) -> tuple[MultipartUpload, str]:
        """Begin an upload with the settings. Return it, and the date of the server's answer."""
        checksum = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
        with self._map_errors("write", key):
            answer = self._client.create_multipart_upload(Bucket=self.name, Key=key, **self._options(), **checksum)
            return MultipartUpload(key, answer["UploadId"]), answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")

    def send(self, upload: MultipartUpload, number: int, piece: bytes | bytearray) -> tuple[str, Proof]:
        """Send a piece, numbered from 1. Return its ETag, and what proves that it arrived unchanged."""
        crc32 = base64_of(isal_zlib.crc32(piece))
        with self._map_errors("write", upload.key):
            answer = self._client.upload_part(**self._of(upload), PartNumber=number, Body=piece, ChecksumCRC32=crc32)
        etag, proof = _receipt(answer, crc32, lambda: hashlib.md5(piece, usedforsecurity=False).hexdigest())
        if proof is None:
            raise TransientError(
                "E-PART-CHANGED", f"What arrived of '{self.url(upload.key)}' is not what was sent.", "It is sent again."
            )
        return etag, proof

    def put(self, key: str, data: bytes | bytearray, crc32: int, *, conditional: bool) -> tuple[str, Proof | None]:
        """Send a whole object with the settings; with `conditional`, only where there is none.

        Return its ETag, and what proves that it is what was sent; None where it is not.
        """
        md5 = hashlib.md5(data, usedforsecurity=False)
        conditions = {"IfNoneMatch": "*"} if conditional else {}
        checksums = {"ChecksumCRC32": base64_of(crc32), "ContentMD5": base64.b64encode(md5.digest()).decode()}
        with self._map_errors("publish", key):
            answer = self._client.put_object(
                Bucket=self.name, Key=key, Body=data, **self._options(), **checksums, **conditions
            )
        return _receipt(answer, checksums["ChecksumCRC32"], md5.hexdigest)

    def complete(
        self, upload: MultipartUpload, etags: Sequence[str], conditions: Mapping[str, str | int]
    ) -> tuple[str, str]:
        """Complete an upload, which makes an object of it. Return its ETag, and its CRC32 in base64.

        Each is empty where it is not reported.

        After an error the object may still exist: if a response was lost, the retry is rejected.
        """
        pieces = [{"ETag": f'"{etag}"', "PartNumber": number} for number, etag in enumerate(etags, 1)]
        with self._map_errors("publish", upload.key):
            answer = self._client.complete_multipart_upload(
                **self._of(upload), MultipartUpload={"Parts": pieces}, **conditions
            )
            return bare(answer.get("ETag", "")), str(answer.get("ChecksumCRC32", ""))

    def abort(self, upload: MultipartUpload) -> None:
        """Abort an upload, if it is there."""
        with self._map_errors("remove what was sent of", upload.key):
            try:
                self._client.abort_multipart_upload(**self._of(upload))
            except ClientError as error:
                if code_of(error) != NO_UPLOAD:
                    raise

    def head(self, key: str) -> Object | Literal["nothing"] | None:
        """Return what the server reports about an object."""

        def ask() -> Object | Literal["nothing"]:
            try:
                head = self._client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if code_of(error) in NOT_THERE:
                    return "nothing"
                raise
            crc32 = head.get("ChecksumCRC32", "")  # with a dash, it is of the pieces' checksums
            return Object(head["ContentLength"], "" if "-" in crc32 else crc32, bare(head.get("ETag", "")))

        return self._read("read", key, ask)

    def read_crc32(self, key: str) -> str:
        """Read an object. Return its CRC32, in base64."""
        crc32 = 0
        with (
            self._map_errors("read", key),
            contextlib.closing(self._client.get_object(Bucket=self.name, Key=key)["Body"]) as body,
        ):
            for data in body.iter_chunks(_READ_BYTES):
                crc32 = isal_zlib.crc32(data, crc32)
        return base64_of(crc32)

    def first_keys(self, prefix: str) -> tuple[set[str], bool] | None:
        """Return the keys of the first objects with this prefix, as one request lists them; and whether that is all."""

        def ask() -> tuple[set[str], bool]:
            page = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix)
            return {each["Key"] for each in page.get("Contents", [])}, not page.get("IsTruncated")

        return self._read("list", prefix, ask)

    def keys(self, prefix: str) -> list[str] | None:
        """Return the keys of all objects with this prefix."""

        def ask() -> list[str]:
            return [each["Key"] for each in self._listed("list_objects_v2", "Contents", Prefix=prefix)]

        return self._read("list", prefix, ask)

    def uploads(self, prefix: str) -> list[MultipartUpload] | None:
        """Return all uploads whose keys have this prefix."""

        def ask() -> list[MultipartUpload]:
            listed = self._listed("list_multipart_uploads", "Uploads", Prefix=prefix)
            return [MultipartUpload(each["Key"], each["UploadId"]) for each in listed]

        return self._read("list the uploads of", prefix, ask)

    def pieces(self, upload: MultipartUpload) -> list[ListedPiece] | Literal["nothing"] | None:
        """Return the pieces of an upload that have arrived; `nothing` if there is no such upload."""

        def ask() -> list[ListedPiece] | Literal["nothing"]:
            try:
                listed = self._listed("list_parts", "Parts", Key=upload.key, UploadId=upload.id)
            except ClientError as error:
                if code_of(error) == NO_UPLOAD:
                    return "nothing"
                raise
            return [ListedPiece(bare(each["ETag"]), each["Size"]) for each in listed]

        return self._read("read", upload.key, ask)

    def _options(self) -> dict[str, str]:
        """Return what the settings say about new objects."""
        settings = self._settings
        options = {
            "ACL": settings.acl,
            "ServerSideEncryption": settings.sse,
            "SSEKMSKeyId": settings.kms_key_id,
            "StorageClass": settings.storage_class,
        }
        return {name: value for name, value in options.items() if value}

    def _of(self, upload: MultipartUpload) -> dict[str, str]:
        return {"Bucket": self.name, "Key": upload.key, "UploadId": upload.id}

    def _listed(self, operation: str, field: str, **named: str) -> list[Any]:
        pages = self._client.get_paginator(operation).paginate(Bucket=self.name, **named)
        return [each for page in pages for each in page.get(field, [])]

    def _read(self, what: str, key: str, ask: Callable[[], Answer]) -> Answer | None:
        with self._map_errors(what, key):
            try:
                return ask()
            except ClientError as error:
                if is_unseen(error):
                    return None
                raise

    @contextlib.contextmanager
    def _map_errors(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise self.mapped(error, what, key) from error


def _receipt(answer: Mapping[str, Any], crc32: str, md5: Callable[[], str]) -> tuple[str, Proof | None]:
    """Return the ETag of what was sent, and what proves that it arrived unchanged; None where it did not.

    `crc32` is that of what was sent, in base64, and `md5` returns its MD5, in hexadecimal digits.
    """
    etag, echo = bare(answer.get("ETag", "")), answer.get("ChecksumCRC32")
    encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    proof: Proof = ""
    if echo is not None:
        proof, is_same = "crc32", echo == crc32
    elif _MD5.fullmatch(etag) and not encrypted:  # with KMS, an ETag looks like an MD5, but is none
        proof, is_same = "md5", etag == md5()
    else:
        is_same = bool(etag)
    return etag, proof if is_same else None


def base64_of(crc32: int) -> str:
    """Return a CRC32 as S3 writes it."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def bare(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip('"')
