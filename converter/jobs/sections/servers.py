"""How parts are written to S3, FTP, FTPS and SFTP."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey
from converter.jobs.values import PathText, parse_size, reject_bool


class S3(Section):
    """How parts are written to S3."""

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
    """A canned ACL. From one's own AWS account to Adobe's bucket: `bucket-owner-full-control` (Z4)."""
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Encryption at rest; what the bucket does by itself, when left out."""
    kms_key_id: str | None = None
    """The KMS key for `sse = "aws:kms"`."""
    storage_class: str | None = None
    """Such as `STANDARD_IA`; the bucket's own, when left out."""
    endpoint_url: str | None = None
    """Of another service that speaks S3; the variable `AWS_ENDPOINT_URL` works too."""
    region: str | None = None
    """The bucket's region; by the usual settings of AWS, when left out."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket's name is in the path or in the host name."""
    role_arn: str | None = None
    """A role to take on, with the credentials that the usual settings of AWS give."""
    part_size: Annotated[
        int, BeforeValidator(parse_size, json_schema_input_type=int | str), BeforeValidator(reject_bool)
    ] = 8 << 20
    """How much is sent at once, in bytes; at least 5 MiB. More where a file would have over 10,000 such parts."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection, and for the server to go on."""

    @field_validator("part_size")
    @classmethod
    def _parts_of_s3(cls, size: int) -> int:
        if not 5 << 20 <= size <= 5 << 30:
            raise ValueError("S3 takes parts of 5 MiB to 5 GiB")
        return size

    @model_validator(mode="after")
    def _key_for_kms(self) -> Self:
        if self.kms_key_id and self.sse not in ("aws:kms", "aws:kms:dsse"):
            raise ValueError("s3.kms_key_id needs s3.sse = 'aws:kms'.")
        return self


class FileServer(Section):
    """How parts are written to a server that knows files by name."""

    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection, and for the server to go on."""
    partial_suffix: str = ".partial"
    """What names end in until all parts are published. Some servers act on any name: choose one that yours leaves.

    With none at all, for servers that leave no other choice, parts are written under their final names at once.
    """

    @field_validator("partial_suffix")
    @classmethod
    def _harmless_suffix(cls, suffix: str) -> str:
        if "/" in suffix or not suffix.isprintable() or re.fullmatch(r"\.(gz|gpg|pgp|sync|overwrite)|\.[0-9]+", suffix):
            raise ValueError("a suffix has no slash, and is none that an inbound file may end in")
        return suffix


class Ftp(FileServer):
    """How parts are written by FTP and FTPS."""

    passive: bool = True
    """Whether the server says where data goes; if not, it connects back to this machine."""
    tls_ca_file: Annotated[PathText | None, PathKey()] = None
    """A file with the certificates to trust, in place of the system's."""
    read_back: bool = True
    """Whether a part sent by plain FTP, which notices no damage, is read again and compared."""


class Sftp(FileServer):
    """How parts are written by SFTP."""

    key_file: Annotated[PathText | None, PathKey()] = None
    """The private key; else those of the SSH agent, and then `~/.ssh/id_*`."""
    key_passphrase: str | None = None
    """The passphrase of the key, such as `${KEY_PASSPHRASE}`."""
    known_hosts: Annotated[PathText | None, PathKey()] = None
    """The file of known host keys; `~/.ssh/known_hosts`, when left out."""
    host_key_fingerprint: str | None = None
    """The host key to accept, as `ssh-keygen -l` shows it: `SHA256:…`. No file of known hosts is needed then."""

    @field_validator("host_key_fingerprint")
    @classmethod
    def _sha256_fingerprint(cls, fingerprint: str | None) -> str | None:
        if fingerprint is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", fingerprint):
            raise ValueError("a fingerprint is as `ssh-keygen -l` shows it, SHA256: and 43 characters")
        return fingerprint
