"""Azure Blob Storage: Azurite, which compares signatures, in a process of its own.

It is a package of npm, which is installed into `.cache/azurite` where all servers are required, and used wherever it is.
"""

from __future__ import annotations

import base64
import datetime
import fcntl
import hmac
import itertools
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from . import required
from .process import program, shared

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # of every Azurite
_FOLDER = Path(__file__).parent.parent.parent / ".cache/azurite"
_VERSION = "2020-12-06"  # of signatures
_PACKAGE = "azurite@3.35.0"  # later ones need Node.js 22
_numbers = itertools.count(1)


@dataclass
class AzurePlace:
    """A container of its own."""

    server: str
    container: str = field(default_factory=lambda: f"container-{next(_numbers)}")

    @property
    def url(self) -> str:
        return f"az://{self.container}"

    @property
    def endpoint(self) -> str:
        return f"{self.server}/{ACCOUNT}"

    @property
    def settings(self) -> dict[str, Any]:
        return {"az": {"endpoint_url": self.endpoint, "account": ACCOUNT, "account_key": KEY, "timeout": 10}}

    def put(self, name: str, content: bytes) -> None:
        """Make an object, or another one in its place."""
        self._send("PUT", f"/{quote(name)}?{signature('cw')}", content, {"x-ms-blob-type": "BlockBlob"})

    def remove(self, name: str) -> None:
        self._send("DELETE", f"/{quote(name)}?{signature('d')}")

    def make(self) -> AzurePlace:
        self._send("PUT", f"?restype=container&{signature('c')}")
        return self

    def _send(self, method: str, what: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        address = f"{self.endpoint}/{self.container}{what}"
        request = urllib.request.Request(address, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, timeout=10):
            pass


def signature(permissions: str = "rl") -> str:
    """Return a shared access signature for the account, which is good for an hour."""
    end = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = [ACCOUNT, permissions, "b", "sco", "", end, "", "http,https", _VERSION, "", ""]
    digest = hmac.digest(base64.b64decode(KEY), "\n".join(signed).encode(), "sha256")
    given = {"sv": _VERSION, "ss": "b", "srt": "sco", "sp": permissions, "se": end, "spr": "http,https"}
    return urlencode({**given, "sig": base64.b64encode(digest)})


def azure_place() -> AzurePlace:
    """A new container."""
    return AzurePlace(f"http://127.0.0.1:{shared('azurite', _command).port}").make()


def _command(folder: Path, port: int) -> list[str]:
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "blobs")]
    node = program("node", "apt-get install nodejs npm")
    return [node, str(_script()), *where, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]


def _script() -> Path:
    """Return the program that serves blobs; install it where all servers are required."""
    script, ready = _FOLDER / "node_modules/azurite/dist/src/blob/main.js", _FOLDER / ".ready"
    if os.environ.get("REQUIRE_SERVERS") != "1":
        if ready.exists() and ready.read_text() == _PACKAGE:
            return script
        required("Azurite is not installed: REQUIRE_SERVERS=1 installs it")
    _FOLDER.parent.mkdir(exist_ok=True)
    with _FOLDER.with_name("azurite.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        if not (ready.exists() and ready.read_text() == _PACKAGE):
            shutil.rmtree(_FOLDER, ignore_errors=True)
            npm = program("npm", "apt-get install nodejs npm")
            quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run([npm, "install", *quiet, "--prefix", str(_FOLDER), _PACKAGE], check=True)
            ready.write_text(_PACKAGE)
    return script
