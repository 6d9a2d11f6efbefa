"""A server of PostgreSQL on this machine, with an empty database, for a user that is not root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.servers import program, running

USER = PASSWORD = "benchmark"
_SECONDS = 60.0
_PLACES = Path("/usr/lib/postgresql")  # Debian's


@dataclass(frozen=True)
class Server:
    """A server that runs, by its port."""

    port: int

    @property
    def url(self) -> str:
        """The URL of its database, without the password, which clients take from PGPASSWORD."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def client(self, sql: str) -> list[str]:
        """Return the command that runs SQL, or a command of psql."""
        return [_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", sql]

    def run(self, sql: str) -> None:
        """Run SQL. Raises `BenchmarkError` where that fails."""
        done = subprocess.run(
            self.client(sql), env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"PostgreSQL: {done.stderr.strip()}")


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """Start a server on a free port, and stop it with all of its data."""
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        as_other: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            as_other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "nobody", "nogroup")
        login = ["-U", USER, "--pwfile", f"{folder}/password", "-A", "scram-sha-256"]
        initdb = [*as_other, _program("initdb"), "-D", f"{folder}/data", *login, "-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        settings = ("listen_addresses=127.0.0.1", "port={port}", f"unix_socket_directories={folder}", "fsync=off")
        options = [part for setting in settings for part in ("-c", setting)]
        command = [*as_other, _program("postgres"), "-D", f"{folder}/data", *options]
        with running(command, folder) as port:
            server = Server(port)
            _wait(server)
            yield server


def _wait(server: Server) -> None:
    """Wait until the server takes logins, which is later than it listens."""
    until = time.monotonic() + _SECONDS
    while True:
        try:
            server.run("SELECT 1")
        except BenchmarkError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _program(name: str) -> str:
    """Return the path of a program of the newest version that is installed."""
    newest = sorted(_PLACES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(newest[-1]) if newest else program(name)
