"""Runs one step of a benchmark in a fresh process, and measures that process as the system sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.workloads import ROOT, Input, Workload, files_of

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_READ = 1 << 20
KEPT_BYTES = 12_000_000_000
"""The most that inputs take on disk; outputs take up to 3 GB beside them, while they are compared."""


@dataclass(frozen=True)
class Measurement:
    """What a run took: seconds of wall time and of CPU (user and system), its peak memory, its output.

    CPU is of the process and all that it waited for: the programs of a pipeline too. The peak is of the largest of
    them alone, since the system keeps no sum.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output_bytes: int


def run_fresh(
    *arguments: str, output: int | None = subprocess.DEVNULL, started: Callable[[int], None] | None = None
) -> tuple[float, float, int]:
    """Run `python -m benchmarks` with arguments; return wall and CPU seconds, and peak memory in bytes.

    What it prints goes to `output`; `None` is where ours goes. `started` is called with the number of the process.
    """
    return run_command([sys.executable, "-m", "benchmarks", *arguments], output=output, started=started)


def run_command(
    command: Sequence[str],
    *,
    output: int | None = subprocess.DEVNULL,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    started: Callable[[int], None] | None = None,
) -> tuple[float, float, int]:
    """Run a command in `folder`; return and take the same as `run_fresh`. Raises `BenchmarkError` if it fails.

    Linux counts the peak of this process as the minimum of the child's. So callers import nothing heavy: their dozen
    MB are then less than any contender needs.
    """
    if environment is None:  # installed packages have byte code, so what is measured may write it as well
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    # The process is waited for with wait4, which returns what it used.
    process = subprocess.Popen(command, cwd=folder, stdout=output, env=environment)
    try:
        if started:
            started(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:  # an interrupt: the process must not go on writing while its folder is removed
        process.kill()
        process.wait()
        raise
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"'{' '.join(command[:5])}' failed, with exit code {process.returncode}.")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _MAXRSS_UNIT


def measure(
    contender: str,
    workload: Workload,
    path: Path,
    folder: Path,
    *,
    threads: int = 0,
    level: int | None = None,
    option: str = "",
) -> Measurement:
    """Run a contender on `path`; what `folder` held before is removed, its new output stays."""
    shutil.rmtree(folder, ignore_errors=True)
    warm(path)
    os.sync()  # what was written before does not slow this run
    options = ["--workload", workload.name, "--threads", str(threads)]
    if level is not None:
        options += ["--level", str(level)]
    if option:
        options += ["--option", option]
    wall, cpu, peak = run_fresh("run", contender, str(path.resolve()), str(folder.resolve()), *options)
    return Measurement(wall, cpu, peak, sum(file.stat().st_size for file in outputs(folder)))


def generated(table: Input) -> Path:
    """Return the path of an input. If it does not exist, another process makes it, whose memory does not count here."""
    if table.path.exists():
        os.utime(table.path)  # it was used now
    else:
        _make_room(table)
        options = ["--rows", str(table.rows), "--seed", str(table.seed), "--to", str(table.folder.resolve())]
        run_fresh("generate", table.workload.name, *options)
    return table.path


def _make_room(table: Input) -> None:
    """Remove the inputs that have not been used for the longest time, if all would have more than `KEPT_BYTES`."""
    if not table.folder.exists():
        return
    kept = sorted(
        (path for path in table.folder.iterdir() if Input.is_one(path)), key=lambda path: path.stat().st_mtime
    )
    excess = sum(map(size_of, kept)) + table.rows * table.workload.row_bytes - KEPT_BYTES
    for path in kept:
        if excess <= 0:
            return
        excess -= size_of(path)
        remove(path)


def remove(path: Path) -> None:
    """Remove an input: a file, or a folder of files."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def warm(path: Path) -> None:
    """Read the input once, so that no contender waits for the disk."""
    for each in files_of(path):
        with each.open("rb", buffering=0) as file:
            while file.read(_READ):
                pass


def size_of(path: Path) -> int:
    """Return the bytes of an input."""
    return sum(each.stat().st_size for each in files_of(path))


def outputs(folder: Path) -> list[Path]:
    """Return the files of an output in the order of their parts: 2 before 10."""
    return sorted(folder.iterdir(), key=lambda file: [(len(word), word) for word in file.name.split(".")])
