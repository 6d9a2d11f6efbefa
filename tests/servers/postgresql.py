"""PostgreSQL, in a process of its own, for a user that is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from . import required
from .process import Program, shared

USER = "crm"
PASSWORD = "Qx7-secret"
_SECONDS = 60.0
_PLACES = Path("/usr/lib/postgresql")


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL; skip or fail the test where it is not installed."""
    newest = sorted(_PLACES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(newest[-1]) if newest else shutil.which(name)
    return found or required(f"{name} is not installed: apt-get install postgresql")


def _as_other() -> list[str]:
    """Return what runs a program as another user, where this one is root: PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


def _command(folder: Path, port: int) -> list[str]:
    initdb, server = _program("initdb"), _program("postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, password):
            shutil.chown(path, "nobody", "nogroup")
    data = str(folder / "data")
    made = [initdb, "-D", data, "-U", USER, "--pwfile", str(password), "-A", "scram-sha-256", "-E", "UTF8"]
    subprocess.run([*_as_other(), *made, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
    options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
    return [*_as_other(), server, "-D", data, *options]


def postgresql_server() -> Program:
    """The server that runs, for all tests of this process. It listens before it is ready."""
    found = shared("postgres", _command)
    ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(found.port)]
    until = time.monotonic() + _SECONDS
    while subprocess.run(ready, check=False).returncode:
        assert time.monotonic() < until, (found.folder / "log").read_text()
        time.sleep(0.05)
    return found


def url_of(server: Program, *, password: str | None = PASSWORD) -> str:
    """Return the URL of its database."""
    login = USER if password is None else f"{USER}:{password}"
    return f"postgresql://{login}@127.0.0.1:{server.port}/postgres"


def psql(server: Program, sql: str) -> str:
    """Run SQL; return what the client prints, rows alone."""
    command = [_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url_of(server)]
    return subprocess.run(command, input=sql, check=True, capture_output=True, text=True).stdout
