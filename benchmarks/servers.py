"""Servers on this machine that parts are delivered to: each is a program on a free port of 127.0.0.1.

Each is an `Address` whose folder, bucket or objects are empty, by a context that stops the server by its number.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchmarkError

KEY, SECRET = "benchmark", "benchmark-secret"
BUCKET = "benchmark"
_SECONDS = 30.0
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])


@dataclass(frozen=True)
class Address:
    """A server that runs: its port, a folder or a bucket there, how to empty it, and files for those who log in."""

    port: int
    path: str
    empty: Callable[[], None]
    files: Path


def program(name: str) -> str:
    """Return the path of a program. Raises `BenchmarkError` where it is not installed."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise BenchmarkError(f"{name} is not installed.")
    return found


@contextlib.contextmanager
def rclone_s3() -> Iterator[Address]:
    """Start `rclone serve s3`, which keeps objects as files."""
    with _folder() as folder:
        bucket = folder / "buckets" / BUCKET
        bucket.mkdir(parents=True)
        address = ["--auth-key", f"{KEY},{SECRET}", "--addr", "127.0.0.1:{port}"]
        with running([program("rclone"), "--config=", "serve", "s3", *address, str(bucket.parent)], folder) as port:
            yield Address(port, BUCKET, lambda: _empty(bucket), folder)


@contextlib.contextmanager
def moto_s3() -> Iterator[Address]:
    """Start moto, which keeps objects in memory."""
    with (
        _folder() as folder,
        running([program("moto_server"), "-H", "127.0.0.1", "-p", "{port}"], folder) as port,
    ):

        def empty() -> None:
            for method, path in (("POST", "moto-api/reset"), ("PUT", BUCKET)):
                request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", b"", method=method)
                urllib.request.urlopen(request, timeout=_SECONDS).close()

        empty()
        yield Address(port, BUCKET, empty, folder)


@contextlib.contextmanager
def openssh() -> Iterator[Address]:
    """Start OpenSSH's server, for the user who runs this, with a key of its own in `user`."""
    with _folder() as folder:
        for name in ("host", "user"):
            command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        target = folder / "in"
        target.mkdir()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        options = [
            "ListenAddress=127.0.0.1:{port}",
            f"HostKey={folder}/host",
            f"AuthorizedKeysFile={folder}/user.pub",
            "PidFile=none",
            "StrictModes=no",
            "UsePAM=yes",
            "PermitRootLogin=yes",
            "PasswordAuthentication=no",
            "Subsystem=sftp internal-sftp",
        ]
        command = [program("sshd"), "-D", "-e", "-f", os.devnull]
        command += [part for option in options for part in ("-o", option)]
        with running(command, folder) as port:
            yield Address(port, str(target), lambda: _empty(target), folder)


def user() -> str:
    """Return the user who may log in."""
    return getpass.getuser()


SERVERS: dict[str, Callable[[], AbstractContextManager[Address]]] = {
    "rclone": rclone_s3,
    "moto": moto_s3,
    "OpenSSH": openssh,
}


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="deliver-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[int]:
    """Run a server, in whose command `{port}` is a free port; yield the port once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [part.replace("{port}", str(port)) for part in command]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        until = time.monotonic() + _SECONDS
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise BenchmarkError(f"{arguments[0]} does not start: {(folder / 'log').read_text()[-1000:]}")
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
