"""CPU seconds of each thread of a measured process, and the time for which its threads hold the interpreter lock.

All is read from outside, by the process that measures, until the end; the measured process is never stopped.

- CPU times of threads come from `/proc/PID/task/TID/schedstat`, in nanoseconds, every few hundredths of a second. What
  a thread uses after it was last seen is known as a sum only.
- The interpreter lock is a flag in the memory of the process, which follows the address of the thread that had it
  last. Both are read from `/proc/PID/mem` every millisecond: the share of times at which the flag is set is the share
  of time for which some thread holds the lock.
- The measured process writes to a file where the flag is, and the names of its threads: the system knows only its own
  numbers for threads of Python. Threads of libraries have the names that the system has for them; those without a name
  of their own have that of the program.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchmarks import BenchmarkError

MAIN = "main"
POLARS = "polars"
LIBRARIES = "other libraries"
ENDED = "ended unseen"
"""What threads used after they were last seen, and all of those never seen."""
_EVERY = 0.001  # seconds
_TIMES_EVERY = 30  # readings of the lock
_LOCK = "lock"
_MOST = 1 << 20  # bytes of the interpreter's state, in which the lock is


@dataclass(frozen=True)
class Threads:
    """The threads of one role in a run: how many there were, their CPU seconds, those of the busiest.

    `lock_seconds` are those for which one of them held the interpreter lock.
    """

    count: int
    cpu_seconds: float
    busiest: float
    lock_seconds: float


NONE = Threads(0, 0.0, 0.0, 0.0)


def tell(path: Path) -> None:
    """In the measured process: write to `path` where the lock is, and each thread that Python starts from now on."""
    import ctypes

    state = ctypes.pythonapi.PyThreadState_Get
    state.restype = ctypes.c_void_p
    names = path.open("a", encoding="utf-8", buffering=1)
    names.write(f"0 {_lock_address(state())} {_LOCK}\n{threading.get_native_id()} {state()} MainThread\n")
    original = threading.Thread.run

    def run(self: threading.Thread) -> None:
        names.write(f"{threading.get_native_id()} {state()} {self.name}\n")
        original(self)

    threading.Thread.run = run  # type: ignore[method-assign] # every way to start a thread leads here


def _lock_address(state: int) -> int:
    """Return where the address of the thread that had the lock last is, which the flag follows; 0 if it is not found.

    The memory of the interpreter is compared while this thread has the lock and while it has not: the address of this
    thread's `state` stands there both times, followed by 1 and by 0.
    """
    import ctypes

    start = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    with Path("/proc/self/mem").open("rb", 0) as memory:
        released = os.pread(memory.fileno(), _MOST, start)  # without the lock, as Python reads files
    held = ctypes.string_at(start, len(released))
    for found in re.finditer(re.escape(struct.pack("Pi", state, 1)), held):
        if released[found.start() : found.end()] == struct.pack("Pi", state, 0):
            return start + found.start()
    return 0


class Sampler:
    """Reads times of threads and the interpreter lock of a process until it is stopped."""

    def __init__(self, told: Path) -> None:
        """`told` is the file to which the process will write."""
        told.touch()
        self._told = told
        self._seen: dict[int, tuple[float, str]] = {}
        self._ended: list[tuple[int, float, str]] = []
        self._states: dict[int, str] = {}  # roles of threads that run, by their addresses, which are used again
        self._read = 0  # bytes of `told`
        self._address = 0
        self._holders: Counter[str] = Counter()
        self._wall = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler")
        self._pid = 0
        self._memory: IO[bytes] | None = None
        self._began = 0.0

    def start(self, pid: int) -> None:
        """Sample process `pid` from now on. Raises `BenchmarkError` if the system does not have such times."""
        if not Path("/proc/self/schedstat").exists():
            raise BenchmarkError("Times of threads are read from /proc/PID/task/TID/schedstat, which only Linux has.")
        self._pid = pid
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._memory:
            self._memory.close()

    def _sample(self) -> None:
        for reading in itertools.count():
            if self._stop.wait(_EVERY):
                return
            if reading % _TIMES_EVERY == 0:
                self._read_times()
            if self._told.stat().st_size > self._read:
                self._read_states()
            with contextlib.suppress(OSError, struct.error):  # the process has ended
                self._read_lock()

    def _read_lock(self) -> None:
        if not self._address:
            return
        if not self._memory:
            self._memory = Path(f"/proc/{self._pid}/mem").open("rb", 0)  # noqa: SIM115 - read until the process ends
            self._began = time.perf_counter()
        holder, held = struct.unpack("Pi", os.pread(self._memory.fileno(), struct.calcsize("Pi"), self._address))
        self._holders[self._states.get(holder, LIBRARIES) if held else ""] += 1
        self._wall = time.perf_counter() - self._began

    def _read_states(self) -> None:
        self._read = self._told.stat().st_size
        for _, state, name in self._names():
            if name == _LOCK:
                self._address = state
            else:
                self._states[state] = role_of(name)

    def _read_times(self) -> None:
        for tid, seconds, name in _times(self._pid):
            before = self._seen.get(tid)
            if before and seconds < before[0]:  # the number was given to another thread
                self._ended.append((tid, *before))
            self._seen[tid] = (seconds, name)

    def _names(self) -> list[tuple[int, int, str]]:
        """Return what the process has told: number, address and name of threads, and of the lock."""
        lines = self._told.read_text("utf-8").splitlines(keepends=True)
        fields = [line.split(" ", 2) for line in lines if line.endswith("\n")]
        return [(int(tid), int(state), name.strip()) for tid, state, name in fields]

    def roles(self, total: float) -> dict[str, Threads]:
        """Return the threads of each role; `total` are the CPU seconds of the process at its end."""
        python = {tid: role_of(name) for tid, _, name in self._names()}
        second = self._wall / (self._holders.total() or 1)
        held = {role: count * second for role, count in self._holders.items() if role}
        seconds: dict[str, list[float]] = defaultdict(list)
        for tid, spent, name in [*self._ended, *((tid, *seen) for tid, seen in self._seen.items())]:
            role = MAIN if tid == self._pid else python.get(tid) or _role_of_library(name)
            seconds[role].append(spent)
        found = {
            role: Threads(len(spent), sum(spent), max(spent), held.get(role, 0.0)) for role, spent in seconds.items()
        }
        left = max(0.0, total - sum(each.cpu_seconds for each in found.values()))
        return found | {ENDED: replace(NONE, cpu_seconds=left)}


def role_of(name: str) -> str:
    """Return the role of a thread of Python: its name without the number in its pool."""
    return MAIN if name == "MainThread" else re.sub(r"[-_ ]\(?\d+.*$", "", name)


def _role_of_library(name: str) -> str:
    return POLARS if name.startswith(("polars", "async-executor", "tokio", "jemalloc")) else LIBRARIES


def _times(pid: int) -> Iterator[tuple[int, float, str]]:
    """Yield number, CPU seconds and name of each thread. Those that end meanwhile are left out."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            seconds = int((thread / "schedstat").read_bytes().split()[0]) / 1e9
            name = (thread / "comm").read_text("utf-8", errors="replace").strip()
        except (OSError, IndexError):
            continue
        yield int(thread.name), seconds, name
