"""S3: LocalStack, which keeps conditions and compares checksums as AWS does, in a process of its own.

It wants other versions of libraries than we do, so it lives in an environment of its own, `.cache/localstack`; that is
made where all servers are required, which takes a minute, and used wherever it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from . import required
from .process import shared
from .s3 import S3Place, place_on

_FOLDER = Path(__file__).parent.parent.parent / ".cache/localstack"
_PACKAGES = [
    "localstack-core[base-runtime]==4.12.0",
    "cbor2<5.8",
    "cryptography<44",
    "pyopenssl<24.3",
    "psutil<8",
    "service_identity",
]
# Whatever it is told, it listens everywhere and keeps its objects in one folder for all that run, but for this.
_START = """
import functools, os
from twisted.internet import endpoints
endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")
from localstack.services.s3 import provider
provider.DEFAULT_S3_TMP_DIR = os.path.join(os.environ["FILESYSTEM_ROOT"], "objects")
from localstack.runtime.main import main
main()
"""


def _python() -> str:
    """Return the Python of the environment; make it where all servers are required."""
    python, ready = _FOLDER / "bin/python", _FOLDER / ".ready"
    packages = "\n".join(_PACKAGES)
    if os.environ.get("REQUIRE_SERVERS") != "1":
        if ready.exists() and ready.read_text() == packages:
            return str(python)
        required("LocalStack is not installed: REQUIRE_SERVERS=1 installs it")
    _FOLDER.parent.mkdir(exist_ok=True)
    with _FOLDER.with_name("localstack.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        if not (ready.exists() and ready.read_text() == packages):
            shutil.rmtree(_FOLDER, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(_FOLDER)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_PACKAGES], check=True)
            ready.write_text(packages)
    return str(python)


@contextlib.contextmanager
def localstack_place() -> Iterator[S3Place]:
    """A new bucket on LocalStack."""
    environment = {
        "OVERRIDE_IN_DOCKER": "0",  # in a container as well, what it writes is to be in its folder
        "SERVICES": "s3",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    with place_on(f"http://127.0.0.1:{shared('localstack', _command, environment).port}") as made:
        yield made


def _command(folder: Path, port: int) -> list[str]:
    where = [f"FILESYSTEM_ROOT={folder}", f"GATEWAY_LISTEN=127.0.0.1:{port}"]
    return ["/usr/bin/env", *where, _python(), "-c", _START]
