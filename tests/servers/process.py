"""Servers that are programs: each listens on a free port of 127.0.0.1, and is shared by the tests of a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import required

_SECONDS = 60.0
_running: dict[str, Program] = {}
_folders: list[Path] = []


@dataclass
class Program:
    """A server that runs, and a folder of its own."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def stop(self) -> None:
        """End at once, and every connection with it."""
        # Their processes for connections may be of other groups and sessions: they are found by who made them.
        for pid in [self.process.pid, *_made_by(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def program(name: str, package: str) -> str:
    """Return the path of a program; skip or fail the test where it is not installed."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    return found or required(f"{name} is not installed: {package}")


def shared(
    name: str, command: Callable[[Path, int], list[str]], environment: Mapping[str, str] | None = None
) -> Program:
    """Return a server that runs; a new one where there is none yet, or a test has ended it.

    `command` is told the server's folder, into which it writes what the server reads, and the port.
    """
    found = _running.get(name)
    if found is None or found.process.poll() is not None:
        found = _running[name] = _started(name, command, {**os.environ, **(environment or {})})
    return found


def stop_all() -> None:
    """Stop all servers of this process, and remove their folders."""
    while _running:
        _running.popitem()[1].stop()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _started(name: str, command: Callable[[Path, int], list[str]], environment: Mapping[str, str]) -> Program:
    said = ""
    for _ in range(3):  # somebody else may take the port meanwhile
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        _folders.append(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        arguments = command(folder, port)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment
            )
        made = Program(process, port, folder)
        if _listens(made):
            return made
        said = (folder / "log").read_text(errors="replace")
        made.stop()
    raise RuntimeError(f"{name} does not start: {said[-2000:]}")


def _listens(made: Program) -> bool:
    """Wait until a server listens, or has ended."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and made.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", made.port), 1):
            return True
        time.sleep(0.01)
    return False


def _made_by(pid: int) -> list[int]:
    """Return the processes that a process has made, and those that they have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]
