"""A standalone cluster of Spark on this machine: a master and workers, as processes that listen on 127.0.0.1 alone.

pyspark has all of it but Java. Executors are processes of their worker, and the processes that run Python are those of
their executor: what a cluster takes, and what is to be killed, is found by that.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks import BenchmarkError
from benchmarks.workloads import ROOT

HOSTS = ("127.0.0.1", "localhost")
"""Two names of one machine: Spark starts a speculative attempt only where the first one does not run."""
_SECONDS = 180.0
_CLIENT_SECONDS = 5.0
_DAEMON_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_EXECUTOR = "ExecutorBackend"
_TICKS = os.sysconf("SC_CLK_TCK")
_T = TypeVar("_T")


class CpuSeconds(NamedTuple):
    """What executors have taken so far: their JVMs, and the processes that run Python."""

    jvm: float
    python: float


@dataclass(frozen=True)
class Daemon:
    """A process of the cluster, the port that it listens on, and the folder of its log and files."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    @property
    def executors(self) -> list[int]:
        """The process IDs of the executors that a worker has started."""
        parents = _parents()
        return [pid for pid in _descendants(self.process.pid, parents) if _EXECUTOR in _command_line(pid)]

    def kill(self) -> None:
        """End it at once, and all processes that it has started."""
        for pid in [self.process.pid, *_descendants(self.process.pid, _parents())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Cluster:
    """A cluster whose files are in `folder`. Each worker has `cores` slots for tasks, and `memory` for executors.

    `local` has folders for the temporary files of workers, by their number, where these are not below `folder`. Raises
    `BenchmarkError` where something is missing or does not start.
    """

    def __init__(self, folder: Path, *, cores: int, memory: str, local: Mapping[int, Path] | None = None) -> None:
        if absent := missing():
            raise BenchmarkError(absent)
        self.folder = folder
        self._cores, self._memory, self._local = cores, memory, dict(local or {})
        self._ui = 0
        self.master = self._start_master()
        self.workers = [self._start_worker(number) for number in range(len(HOSTS))]
        self._wait_for_workers()

    @property
    def url(self) -> str:
        """The URL of the master."""
        return f"spark://127.0.0.1:{self.master.port}"

    def settings(self, *, memory: str = "512m", cores: int = 0) -> dict[str, str]:
        """Return settings of an application; `memory` is that of each executor, and `cores` its most (0: all)."""
        limits = {"spark.cores.max": str(cores)} if cores else {}
        return {
            "spark.master": self.url,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
            "spark.executor.memory": memory,
            "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
            "spark.locality.wait": "0s",
            "spark.log.level": "WARN",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            **limits,
        }

    def revive(self) -> None:
        """Start a worker again in place of each one that has ended, and wait for it."""
        for number, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                self.workers[number] = self._start_worker(number)
        self._wait_for_workers()

    def stop(self) -> None:
        """End all processes."""
        for daemon in (*self.workers, self.master):
            daemon.kill()

    def executors(self) -> list[int]:
        """Return the process IDs of all executors."""
        return [pid for worker in self.workers for pid in worker.executors]

    def at(self, pid: int) -> tuple[Daemon, int]:
        """Return the worker of a process that runs Python, and the process ID of its executor."""
        parents = _parents()
        for worker in self.workers:
            for executor in worker.executors:
                if pid in _descendants(executor, parents):
                    return worker, executor
        raise BenchmarkError(f"Process {pid} is that of no executor.")

    def cpu_seconds(self) -> CpuSeconds:
        """Return what the executors that run have taken, with all processes that they have waited for."""
        parents, jvm, python = _parents(), 0.0, 0.0
        for executor in self.executors():
            jvm += _cpu_of(executor, waited_for=False)
            python += sum(_cpu_of(pid, waited_for=True) for pid in _descendants(executor, parents))
        return CpuSeconds(jvm, python)

    def python_peak(self) -> int:
        """Return the peak memory of the largest process that runs Python in an executor, in bytes."""
        parents = _parents()
        pids = [pid for executor in self.executors() for pid in _descendants(executor, parents)]
        return max(map(_peak_of, pids), default=0)

    def _start_master(self) -> Daemon:
        master = self._start("master", self.folder / "master", "deploy.master.Master", lambda port: [
            "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0",
        ])  # fmt: skip
        # It says where its pages are, which tell which workers there are.
        found = _wait(lambda: re.search(r"Bound MasterWebUI to .*:(\d+)\b", master.log), "the master's pages")
        self._ui = int(found[1])
        return master

    def _start_worker(self, number: int) -> Daemon:
        folder = self.folder / f"worker-{number}"
        local = self._local.get(number, folder / "local")
        options = ["--host", HOSTS[number], "--cores", str(self._cores), "--memory", self._memory]
        options += ["--webui-port", "0", "--work-dir", str(folder / "work")]
        environment = {"SPARK_LOCAL_DIRS": str(local), "TMPDIR": str(local)}
        local.mkdir(parents=True, exist_ok=True)
        return self._start(f"worker {number}", folder, "deploy.worker.Worker", lambda port: [
            *options, "--port", str(port), self.url,
        ], environment)  # fmt: skip

    def _start(
        self,
        name: str,
        folder: Path,
        main: str,
        options: Callable[[int], Sequence[str]],
        environment: Mapping[str, str] | None = None,
    ) -> Daemon:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["bash", str(home() / "bin" / "spark-class"), f"org.apache.spark.{main}", *options(port)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**daemon_environment(), **(environment or {})},
            )
        daemon = Daemon(process, port, folder)
        try:
            _wait(lambda: process.poll() is not None or _listens(port), name)
        except BenchmarkError:
            daemon.kill()
            raise
        if process.poll() is not None:
            raise BenchmarkError(f"Spark's {name} does not start: {daemon.log[-2000:]}")
        return daemon

    def _wait_for_workers(self) -> None:
        """Wait until the master has all workers that run, and no other."""
        wanted = {worker.port for worker in self.workers}
        _wait(lambda: self._registered() >= wanted, "the workers")

    def _registered(self) -> set[int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ui}/json/", timeout=_CLIENT_SECONDS) as answer:
            state = json.load(answer)
        return {worker["port"] for worker in state["workers"] if worker["state"] == "ALIVE"}


@contextlib.contextmanager
def cluster(folder: Path, *, cores: int, memory: str) -> Iterator[Cluster]:
    """Start a cluster, and stop it."""
    made = Cluster(folder, cores=cores, memory=memory)
    try:
        yield made
    finally:
        made.stop()


def missing() -> str:
    """Return what a cluster needs and is not installed, in a sentence; nothing where all is there."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install --group spark"
    if java() is None:
        return "Java is not installed: apt-get install openjdk-17-jre-headless"
    return ""


def java() -> str | None:
    """Return the path of Java: that of JAVA_HOME or else the first one in PATH."""
    of_home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(of_home, "bin"))) if of_home else shutil.which("java")


def home() -> Path:
    """Return the folder of Spark's programs and libraries, inside of pyspark."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise BenchmarkError(missing())
    return Path(found.origin).parent


def daemon_environment() -> dict[str, str]:
    """Return the environment of the cluster's processes and of drivers: this Python, this package, one address."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SPARK_")}
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **kept,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "SPARK_DAEMON_JAVA_OPTS": _DAEMON_OPTIONS,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_HOME": str(home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def used_by(pid: int) -> CpuSeconds:
    """Return what a driver has taken: its JVM, and itself with its other processes."""
    jvm, python = 0.0, _cpu_of(pid, waited_for=True)
    for each in _descendants(pid, _parents()):
        if "java" in _command_line(each).partition("\0")[0]:
            jvm += _cpu_of(each, waited_for=False)
        else:
            python += _cpu_of(each, waited_for=True)
    return CpuSeconds(jvm, python)


def java_of(pid: int) -> int:
    """Return the process of the JVM that a driver has started."""
    return next(each for each in _descendants(pid, _parents()) if "java" in _command_line(each).partition("\0")[0])


# --- processes --------------------------------------------------------------------------------------------------------


def _parents() -> dict[int, int]:
    """Return the parent of each process of this machine."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(stat.parent.name)] = int(_fields(stat)[1])
    return parents


def _descendants(pid: int, parents: Mapping[int, int]) -> list[int]:
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def _cpu_of(pid: int, *, waited_for: bool) -> float:
    """Return the CPU seconds of a process, and of those that it has waited for."""
    with contextlib.suppress(OSError):
        fields = _fields(Path(f"/proc/{pid}/stat"))
        return sum(map(int, fields[11 : 15 if waited_for else 13])) / _TICKS
    return 0.0


def _peak_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _fields(stat: Path) -> list[str]:
    """Return the fields behind the name, which may have spaces: the state, the parent, …."""
    return stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait(condition: Callable[[], _T | None], what: str) -> _T:
    """Return what a condition gives once that is true. Raises `BenchmarkError` where it does not come true."""
    until = time.monotonic() + _SECONDS
    while not (found := condition()):
        if time.monotonic() > until:
            raise BenchmarkError(f"Spark does not start in {_SECONDS:g} s: {what}.")
        time.sleep(0.05)
    return found
