"""A run in a process that is to be killed at a moment: forked from one that has loaded what takes long to load.

Nothing is loaded there that starts a thread (Polars does), so that a fork is as good as a new process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import itertools
import multiprocessing
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

ROOT = Path(__file__).parent.parent
How = Literal["before", "torn", "after"]
HOWS: tuple[How, ...] = get_args(How)
_NEW_HOST_NAME = 0x04000000  # CLONE_NEWUTS
KILLED = (-signal.SIGKILL, -signal.SIGALRM)
_SLOW_TO_LOAD = [
    "tests.doomed",
    "typer",
    "converter.cli",
    "converter.jobs.job",
    "converter.delivery.destinations.s3",
    "converter.remote.s3_conditional",
    "converter.delivery.destinations.ftp",
    "converter.delivery.destinations.sftp",
    "tenacity",
]


@dataclass(frozen=True)
class Moment:
    """When a run is killed, or gets another signal.

    With an `event`: right before the run notes it for the so-manieth time, after what it tells of has happened; with
    the last line of the journal torn; or right after it. With `seconds` as well: so long after that, but for a torn line.
    With `seconds` alone: so long after the start. With a `call`, such as `converter.delivery.state:NextState.publish`:
    right before or after that function is called for the so-manieth time.
    """

    seconds: float = 0
    event: str = ""
    times: int = 1
    how: How = "after"
    signal: int = signal.SIGKILL
    call: str = ""


@dataclass(frozen=True)
class Machine:
    """A machine that a process has for itself: its working folder, which is gone afterwards, and its host name."""

    folder: Path
    host: str

    @contextlib.contextmanager
    def running(self) -> Iterator[Path]:
        """Start the machine, with nothing in it; at the end, nothing of it is left."""
        self.folder.mkdir()
        try:
            (self.folder / "tmp").mkdir()
            yield self.folder
        finally:
            shutil.rmtree(self.folder)

    def move_in(self) -> None:
        """Let this process run on the machine."""
        os.environ["TMPDIR"] = str(self.folder / "tmp")
        tempfile.tempdir = None
        os.chdir(self.folder)
        if ctypes.CDLL(None).unshare(_NEW_HOST_NAME) == 0:
            socket.sethostname(self.host)
        else:  # not allowed
            socket.gethostname = lambda: self.host
        platform.node = lambda: self.host  # it keeps what it has found in another process


def start(arguments: list[str], said: Path, moment: Moment | None, machine: Machine | None = None) -> ForkServerProcess:
    """Start the command; what it says goes into a file."""
    given = (arguments, str(said), moment, dict(os.environ), machine)
    process = _context().Process(target=_run, args=given, daemon=True)
    process.start()
    return process


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_SLOW_TO_LOAD)
    return context


def _run(
    arguments: list[str], said: str, moment: Moment | None, environment: Mapping[str, str], machine: Machine | None
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    with contextlib.suppress(FileNotFoundError):  # there are systems without it
        threads = list(Path(f"/proc/{os.getppid()}/task").iterdir())
        assert len(threads) == 1, "what was loaded before the fork has started threads"
    if machine:
        sys.path.insert(0, str(ROOT))
        machine.move_in()
    if moment and moment.event:
        doom(moment)
    if moment and moment.call:
        doom_call(moment)
    from converter.cli import main

    sys.argv = ["aam-inbound", *arguments]
    main()


def doom(moment: Moment) -> None:
    """Have the journal kill this process, at the moment of an event."""
    from converter.delivery.journal import Journal  # here, since it loads Polars
    from converter.delivery.run_files.bucket import BucketLog
    from converter.delivery.run_files.folder import FolderLog

    resume = Journal.resume

    def add_last(log: FolderLog, line: bytes) -> None:
        if log._descriptor is not None:
            os.write(log._descriptor, line[:-6] if moment.how == "torn" else line + b"\n")

    def write_last(log: BucketLog, kind: Any, line: bytes) -> None:
        if moment.how != "torn":  # an object is whole, or is not there
            log._write(kind, line)

    def going_on(journal: Journal) -> None:
        resume(journal)
        if moment.event == "run":  # for this process, it begins here
            _die(moment, moment.seconds)

    FolderLog.append = _dying(moment, FolderLog.append, add_last)  # type: ignore[method-assign]
    BucketLog._add = _dying(moment, BucketLog._add, write_last)  # type: ignore[method-assign]
    Journal.resume = going_on  # type: ignore[method-assign]


def _dying(moment: Moment, add: Callable[..., None], add_last: Callable[..., None]) -> Callable[..., None]:
    """Return what adds a line to a log as `add` does, but dies at the moment; `add_last` then adds the last one."""
    left = moment.times

    def adding(log: Any, *given: Any, **options: Any) -> None:
        nonlocal left
        event = orjson.loads(given[-1] or b"{}").get("event")
        left -= event == moment.event
        due = event == moment.event and left == 0
        if due and moment.how == "before":
            _die(moment, moment.seconds)
        if not due or moment.how == "before" or (moment.how == "after" and moment.seconds):
            add(log, *given, **options)
        else:
            with log._lock:  # its line is the last one: no other thread adds one before the end
                add_last(log, *given)
                _die(moment, 0)
        if due:
            _die(moment, moment.seconds)

    return adding


def doom_call(moment: Moment) -> None:
    """Have a function kill this process."""
    module, _, path = moment.call.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original, calls = getattr(owner, name), itertools.count(1)  # of several threads

    def calling(*args: Any, **keywords: Any) -> Any:
        is_last = next(calls) == moment.times
        if is_last and moment.how == "before":
            _die(moment, 0)
        result = original(*args, **keywords)
        if is_last:
            _die(moment, 0)
        return result

    setattr(owner, name, calling)


def _die(moment: Moment, seconds: float) -> None:
    """End at once, or in so many seconds, whatever is going on then; by another signal only where it is not handled."""
    if moment.signal != signal.SIGKILL and seconds:
        late = threading.Timer(seconds, os.kill, (os.getpid(), moment.signal))
        late.daemon = True
        late.start()
    elif seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds)  # nothing handles its signal, and the system sends it
    else:
        os.kill(os.getpid(), moment.signal)
