"""`cores`: which threads of ours use the CPU, and how many cores can be used at most before one of them is the limit.

For each workload and number of threads, ours runs on all rows and on a few, whose times are those of the start and are
subtracted. The model: with S CPU seconds in all, of which a role with a fixed number of threads takes b, a run on n
cores takes at least max(S / n, b), so it is at most min(n, S / b) times as fast as on one core. The interpreter lock is
such a role too: at one time one thread can hold it. A thread that waits for a core may hold it, so that the time for
which it is held is the most that it can limit.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import OURS
from benchmarks.machine import describe
from benchmarks.measure import generated, run_fresh, warm
from benchmarks.results import LEAST_SECONDS, Cores, CoreUse, Role
from benchmarks.table import table
from benchmarks.threads import LIBRARIES, NONE, POLARS, Sampler, Threads
from benchmarks.workloads import DATA, WORKLOADS, Input

CORES = (4, 8, 16)
"""For which the model is shown."""
_START_ROWS = 1_000
_STARTS = 5  # at least: they are short, and are subtracted
_POOLS = (POLARS, LIBRARIES)
"""Roles whose threads grow with the cores of the machine, whatever `run.threads` is."""
_GOAL, _GATHERED_GOAL = 0.08, 0.15


def cores(sources: Sequence[Input], threads: Sequence[int], runs: int, target: Path) -> None:
    """Measure ours on each input with each number of threads, print tables and write all numbers to `target`."""
    if len(threads) < 2:
        raise BenchmarkError("--threads needs two numbers at least: they show which roles have more threads with more.")
    machine = describe()
    print(f"{machine}\n{runs} runs each\n", flush=True)
    found = [use for source in sources for use in _uses(source, threads, runs)]
    result = Cores(found, machine)
    print(f"\n{summary(result)}")
    result.write(target)


def _uses(source: Input, threads: Sequence[int], runs: int) -> list[CoreUse]:
    """Measure one input with each number of threads."""
    few = Input(source.workload, min(source.rows, _START_ROWS), source.seed, source.folder)
    started = [_roles(few, count, max(runs, _STARTS)) for count in threads]
    whole = [_roles(source, count, runs) for count in threads]
    growing = _growing(whole)
    uses = []
    for count, (start_wall, start), (wall, roles) in zip(threads, started, whole, strict=True):
        print(f"{source.workload.name}, {count} threads: {wall:,.2f} s", flush=True)
        uses.append(
            CoreUse(
                workload=source.workload.name,
                rows=source.rows,
                threads=count,
                wall_seconds=max(LEAST_SECONDS, wall - start_wall),
                start_cpu_seconds=sum(each.cpu_seconds for each in start.values()),
                roles=[_role(name, roles[name], start.get(name), grows=name in growing) for name in sorted(roles)],
            )
        )
    return uses


def _role(name: str, threads: Threads, start: Threads | None, *, grows: bool) -> Role:
    start = start or NONE
    return Role(
        name,
        threads.count,
        cpu_seconds=max(0.0, threads.cpu_seconds - start.cpu_seconds),
        busiest_seconds=max(0.0, threads.busiest - start.busiest),
        lock_seconds=max(0.0, threads.lock_seconds - start.lock_seconds),
        grows=grows,
    )


def _growing(runs: Sequence[tuple[float, dict[str, Threads]]]) -> set[str]:
    """Return the roles that have more threads in the run with the most threads than in that with the fewest."""
    fewest, most = runs[0][1], runs[-1][1]
    more = {name for name, each in most.items() if name in fewest and each.count > fewest[name].count}
    return more | set(_POOLS)


def _roles(source: Input, threads: int, runs: int) -> tuple[float, dict[str, Threads]]:
    """Return the wall seconds and the threads of each role, as medians over some runs."""
    found = [_run(source, threads) for _ in range(runs)]
    names = {name for _, roles in found for name in roles}
    medians = {}
    for name in names:
        each = [roles.get(name, NONE) for _, roles in found]
        medians[name] = Threads(
            round(statistics.median(role.count for role in each)),
            statistics.median(role.cpu_seconds for role in each),
            statistics.median(role.busiest for role in each),
            statistics.median(role.lock_seconds for role in each),
        )
    return statistics.median(wall for wall, _ in found), medians


def _run(source: Input, threads: int) -> tuple[float, dict[str, Threads]]:
    warm(generated(source))
    with tempfile.TemporaryDirectory(prefix="cores-", dir=DATA) as folder:
        told = Path(folder, "told").resolve()
        sampler = Sampler(told)
        command = [*_command(source, threads, folder), "--tell", str(told)]
        try:
            wall, cpu, _ = run_fresh(*command, started=sampler.start)
        finally:
            sampler.stop()
        return wall, sampler.roles(cpu)


def _command(source: Input, threads: int, folder: str) -> list[str]:
    output = Path(folder, "output").resolve()
    shutil.rmtree(output, ignore_errors=True)
    path = str(source.path.resolve())
    # All cores, also where fewer threads are asked for: so the threads of Polars are as many.
    return ["run", OURS, path, str(output), "--workload", source.workload.name, "--run-threads", str(threads)]


def summary(result: Cores) -> str:
    """Return tables for the terminal: roles of each run, and what the model says."""
    texts = []
    for use in result.uses:
        total = use.cpu_seconds
        rows = [
            [
                role.name,
                str(role.threads),
                f"{role.cpu_seconds:.2f}",
                f"{role.cpu_seconds / total:.1%}",
                f"{role.busiest_seconds:.2f}",
                f"{role.lock_seconds / use.wall_seconds:.1%}" if role.lock_seconds else "",
                "grow" if role.grows else "fixed" if role.threads else "",
            ]
            for role in sorted(use.roles, key=lambda each: -each.cpu_seconds)
        ]
        head = [f"{use.workload}, run.threads = {use.threads}", "threads", "CPU s", "share", "busiest thread"]
        texts.append(table([*head, "holds the lock", "threads"], rows))
        texts.append(_model(use))
    texts.append("CPU s: without the start; holds the lock: share of the wall time, likewise")
    return "\n".join(texts)


def _model(use: CoreUse) -> str:
    limits = [f"{use.speed_up(count):.1f}" for count in CORES]
    counts = ", ".join(map(str, CORES))
    limit = use.limit
    text = f"busiest role with fixed threads: {limit.name}, {limit.cpu_seconds / use.cpu_seconds:.1%} of "
    text += f"{use.cpu_seconds:.2f} CPU s (goal: at most {goal_of(use.workload):.0%}); "
    text += f"at {counts} cores at most {', '.join(limits)} times as fast as on one"
    if held := use.lock_seconds:
        text += f"\nthe interpreter lock is held for {held / use.wall_seconds:.1%} of the time, {held:.2f} s: "
        text += f"it alone would allow {use.cpu_seconds / held:.1f} times or more"
    if use.cpu_seconds < use.start_cpu_seconds:
        text += f"\ntoo few rows: the start, which is subtracted, took {use.start_cpu_seconds:.2f} CPU s"
    return text + "\n"


def goal_of(workload: str) -> float:
    """Return the highest share of all CPU seconds that we want for the busiest role whose threads do not grow."""
    return _GATHERED_GOAL if WORKLOADS[workload].gathered else _GOAL
