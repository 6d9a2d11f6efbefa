"""Commands in processes that are forked, one at a time, from one that has loaded what takes long to load.

Apart from that a command has a process of its own from the arguments to the end of the interpreter: it returns from
`serve`, in a child, and runs where a script would. Nothing is loaded before the fork that starts a thread.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .doomed import ROOT, Moment, doom

_SLOW_TO_LOAD = (
    "typer",
    "converter.cli.app",
    "converter.cli.convert",
    "converter.cli.send",
    "converter.jobs.job",
    "converter.delivery.destinations.s3",
    "converter.delivery.destinations.ftp",
    "converter.delivery.destinations.sftp",
    "tenacity",
    "orjson",
    "numpy",
)


@dataclass(frozen=True)
class Fault:
    """A call that fails: the `nth` use, counted from 1, of `call` on paths that match `pattern` below `root`.

    With `nth` 0 none does, and all are noted in `log`.
    """

    root: str
    log: str
    call: str = ""
    pattern: str = ""
    nth: int = 0
    error: int = 0


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative where a signal killed it, and what it said."""

    code: int
    output: str
    errors: str


class Forks:
    """A process that forks; `library` is loaded before all others. Use it in one thread at a time."""

    def __init__(self, library: Path | None = None) -> None:
        preload = {"LD_PRELOAD": str(library)} if library else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
            env={**os.environ, **preload, "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        temporary: Path | None = None,
        fault: Fault | None = None,
        moment: Moment | None = None,
        seconds: float = 120,
    ) -> Ended:
        """Run a command; what it says goes through files in a folder. One that takes longer hangs, and is killed.

        `temporary` is its folder for temporary files, in place of the system's.
        """
        said = [folder / "stdout", folder / "stderr"]
        for path in said:
            path.touch()  # it may be killed before it makes them
        request = {
            "arguments": list(arguments),
            "said": [str(path) for path in said],
            "temporary": str(temporary) if temporary else None,
            "fault": asdict(fault) if fault else None,
            "moment": asdict(moment) if moment else None,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        pid = int(self._process.stdout.readline())
        hung = threading.Event()

        def kill() -> None:
            hung.set()
            os.kill(pid, signal.SIGKILL)

        late = threading.Timer(seconds, kill)
        late.start()
        code = os.waitstatus_to_exitcode(int(self._process.stdout.readline()))
        late.cancel()
        output, errors = (path.read_text(errors="replace") for path in said)
        assert not hung.is_set(), f"{arguments} hangs: {errors}"
        return Ended(code, output, errors)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()  # which closes both pipes

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve() -> list[str]:
    """Fork for each request, and return its arguments in the child."""
    for name in _SLOW_TO_LOAD:
        importlib.import_module(name)
    threads = Path("/proc/self/task")
    assert not threads.exists() or len(list(threads.iterdir())) == 1, "what was loaded has started threads"
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            return _become(json.loads(line))
        try:
            print(pid, flush=True)
            print(os.waitpid(pid, 0)[1], flush=True)
        except BrokenPipeError:  # who asked has ended
            os._exit(1)
    sys.exit()


def _become(request: Mapping[str, Any]) -> list[str]:
    """Make this process one that runs a command."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for stream, path in zip((1, 2), request["said"], strict=True):
        said = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, stream)
        os.close(said)
    if request["temporary"]:
        os.environ["TMPDIR"] = request["temporary"]
        tempfile.tempdir = None
    if request["moment"]:
        doom(Moment(**request["moment"]))
    if request["fault"]:
        _arm(Fault(**request["fault"]))
    arguments: list[str] = request["arguments"]
    return arguments


def _arm(fault: Fault) -> None:
    arm = ctypes.CDLL(None).faults_arm
    arm.argtypes = [ctypes.c_char_p] * 4 + [ctypes.c_long, ctypes.c_int]
    texts = (os.fsencode(each) for each in (fault.root, fault.log, fault.call, fault.pattern))
    arm(*texts, fault.nth, fault.error)


if __name__ == "__main__":
    sys.argv = ["aam-inbound", *serve()]
    from converter.cli import main

    main()
