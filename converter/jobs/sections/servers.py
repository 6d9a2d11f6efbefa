"""How parts are written to S3, FTP, FTPS and SFTP, and how inputs are read there."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from converter.errors import redact
from converter.jobs.document import Section
from converter.jobs.paths import PathKey
from converter.jobs.values import Command, Name, PathText, Size, check_one_password

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")


class BucketOptions(Section):
    """How parts are written to buckets of S3, and inputs are read there."""

    acl: (
        Literal[
            "bucket-owner-full-control",
            "bucket-owner-read",
            "private",
            "authenticated-read",
            "aws-exec-read",
            "public-read",
            "public-read-write",
        ]
        | None
    ) = None
    """A canned ACL, such as `bucket-owner-full-control`, which Adobe requires of other AWS accounts (Z4). Buckets
    with ACLs disabled refuse it."""
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Encryption at rest: `AES256`, `aws:kms` or `aws:kms:dsse`; by default that of the bucket."""
    kms_key_id: str | None = None
    """The KMS key for `aws:kms` and `aws:kms:dsse`."""
    storage_class: str | None = None
    """The storage class, such as `STANDARD_IA`; by default that of the bucket."""
    endpoint_url: str | None = None
    """The URL of another service with the S3 API; by default from `AWS_ENDPOINT_URL`, if set."""
    region: str | None = None
    """The region of the bucket; by default from the AWS settings."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket is named in the path (`path`) or in the host name (`virtual`)."""
    profile: Name | None = None
    """The profile of `~/.aws` whose credentials and region are used, even if the environment has some; by default from
    `AWS_PROFILE`."""
    role_arn: str | None = None
    """A role to assume with the credentials of the AWS settings."""
    anonymous: bool = False
    """Whether requests are sent without credentials, as public buckets allow."""
    requester_pays: bool = False
    """Whether you pay for what is read of a bucket that requires it."""
    part_size: Size = 8 << 20
    """The size of the pieces of a multipart upload, 5 MiB to 5 GiB; larger where a file would have more than 10,000
    pieces."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection and for an answer."""

    @field_validator("part_size")
    @classmethod
    def _allowed_by_s3(cls, size: int) -> int:
        if not 5 << 20 <= size <= 5 << 30:
            raise ValueError("S3 accepts parts of 5 MiB to 5 GiB")
        return size

    @field_validator("kms_key_id")
    @classmethod
    def _key_for_kms(cls, key: str | None, known: ValidationInfo) -> str | None:
        if key and known.data.get("sse", "aws:kms") not in ("aws:kms", "aws:kms:dsse"):
            raise ValueError("it needs sse = 'aws:kms' in the same section")
        return key


class S3(BucketOptions):
    """How parts are written to S3, and inputs are read there."""

    buckets: dict[str, BucketOptions] = Field(default_factory=dict)
    """Settings of single buckets, by their names: the same keys, instead of all those above. So a job reads a bucket
    of yours with your credentials, and writes to Adobe's with Adobe's. See docs/places.md."""

    @field_validator("buckets")
    @classmethod
    def _names_of_buckets(cls, buckets: dict[str, BucketOptions]) -> dict[str, BucketOptions]:
        for name in buckets:
            if not _BUCKET.fullmatch(name):
                raise ValueError(f"'{redact(name)}' is not the name of a bucket, which has neither s3:// nor a slash")
        return buckets

    def of(self, bucket: str) -> BucketOptions:
        """Return the settings of a bucket: its own, if it has some."""
        return self.buckets.get(bucket, self)

    def section_of(self, bucket: str) -> str:
        """Return the name of the section of the job file that has the settings of a bucket."""
        name = f'"{bucket}"' if "." in bucket else bucket
        return f"s3.buckets.{name}" if bucket in self.buckets else "s3"


class Http(Section):
    """How inputs are read by HTTP and HTTPS."""

    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection and for an answer."""
    tls_ca_file: Annotated[PathText | None, PathKey()] = None
    """A file with the certificates to trust; by default those of the system."""


class FileServer(Section):
    """How parts are written to a server that stores files by name."""

    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection and for an answer."""
    password: str | None = None
    """The password of the user in `output.to`, such as `${PASSWORD}`."""
    password_file: Annotated[PathText | None, PathKey()] = None
    """A file whose first line is the password."""
    password_command: Command = ()
    """A program that prints the password, with its arguments, such as `"pass show aam"`. It is run without a shell, and
    found by an absolute path or on the `PATH`."""
    partial_suffix: str = ".partial"
    """The suffix of file names until all parts are published. Some servers process any file: choose a suffix that
    yours ignores. With an empty suffix, for servers that leave no other choice, parts are written under their final
    names."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        check_one_password(self, type(self).__name__.lower())
        return self

    @field_validator("partial_suffix")
    @classmethod
    def _allowed_suffix(cls, suffix: str) -> str:
        if "/" in suffix or not suffix.isprintable() or re.fullmatch(r"\.(gz|gpg|pgp|sync|overwrite)|\.[0-9]+", suffix):
            raise ValueError("a suffix contains no slash, and is not one of an inbound file")
        return suffix


class Ftp(FileServer):
    """How parts are written by FTP and FTPS."""

    passive: bool = True
    """Whether to use passive mode; in active mode the server connects back to this machine."""
    tls_ca_file: Annotated[PathText | None, PathKey()] = None
    """A file with the certificates to trust; by default those of the system."""
    read_back: bool = True
    """Whether to read parts again and compare them: plain FTP does not detect damage."""


class Sftp(FileServer):
    """How parts are written by SFTP."""

    key_file: Annotated[PathText | None, PathKey()] = None
    """The private key; by default those of the SSH agent, then `~/.ssh/id_*`."""
    key_passphrase: str | None = None
    """The passphrase of the key, such as `${KEY_PASSPHRASE}`."""
    known_hosts: Annotated[PathText | None, PathKey()] = None
    """The file of known host keys; by default `~/.ssh/known_hosts`."""
    host_key_fingerprint: str | None = None
    """The accepted host key as `ssh-keygen -l` shows it (`SHA256:…`); no file of known hosts is needed then."""

    @field_validator("host_key_fingerprint")
    @classmethod
    def _sha256_fingerprint(cls, fingerprint: str | None) -> str | None:
        if fingerprint is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", fingerprint):
            raise ValueError("a fingerprint has the form of `ssh-keygen -l`: SHA256: and 43 characters")
        return fingerprint
