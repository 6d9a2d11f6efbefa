"""`scale`: ours on inputs of growing size, whose memory should not grow with them, and on one core after the other."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import OURS
from benchmarks.machine import describe
from benchmarks.measure import generated, measure, remove, size_of
from benchmarks.results import Measured, Scaling
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, Input

_MIB = 2**20


def scale(source: Input, factors: Sequence[int], threads: Sequence[int], runs: int, target: Path) -> None:
    """Convert `source` times each factor, and `source` with each number of threads; print and keep what that took."""
    machine = describe()
    print(f"{machine}\n{source.workload.name}, {runs} runs each\n", flush=True)
    inputs = [Input(source.workload, source.rows * factor, source.seed, source.folder) for factor in factors]
    sizes = [_measured(each, runs) for each in inputs]
    print(f"{_sizes_table(sizes)}\n", flush=True)
    limited = [_measured(source, runs, count) for count in threads]
    print(f"{_threads_table(limited)}\nmedian [least-most]")
    Scaling(source.workload.name, source.seed, sizes, limited, machine).write(target)


def powers() -> list[int]:
    """Return 1, 2, 4 … and the number of cores."""
    most = os.cpu_count() or 1
    return sorted({1 << power for power in range(most.bit_length()) if 1 << power <= most} | {most})


def _measured(source: Input, runs: int, threads: int = 0) -> Measured:
    """Measure ours on an input; one that was not there before is removed again, since these are large."""
    kept = source.path.exists()
    path = generated(source)
    DATA.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=DATA) as folder:
            output = Path(folder, OURS)
            found = []
            for _ in range(runs):
                found.append(measure(OURS, source.workload, path, output, threads=threads))
                shutil.rmtree(output)
        return Measured(OURS, source.rows, found, threads=threads, input_bytes=size_of(path))
    finally:
        if not kept:
            remove(path)


def _sizes_table(sizes: Sequence[Measured]) -> str:
    first = sizes[0]
    rows = [
        [
            f"{each.rows:,}",
            f"{each.input_bytes / 1e6:,.1f}",
            spread(each.walls),
            spread(each.peaks, _MIB, 0),
            f"{each.wall / first.wall:.2f}",
            f"{statistics.median(each.peaks) / statistics.median(first.peaks):.2f}",
        ]
        for each in sizes
    ]
    return table(["rows", "input MB", "wall s", "peak MiB", "wall / first", "peak / first"], rows)


def _threads_table(limited: Sequence[Measured]) -> str:
    first = limited[0]
    rows = [
        [str(each.threads), spread(each.walls), spread(each.cpus), f"{first.wall / each.wall:.2f}"] for each in limited
    ]
    return table(["threads", "wall s", "CPU s", "first / wall"], rows)
