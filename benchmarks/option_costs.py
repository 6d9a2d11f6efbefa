"""`options`: ours with each option alone and with all together, beside the plain job on the same rows.

1. On fewer rows, the lines of each job are compared with those of the plain Python script.
2. The jobs take turns, each in a fresh process.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import OURS, REFERENCE
from benchmarks.lines import first_difference
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, measure
from benchmarks.options import BASE, OPTIONS
from benchmarks.results import Measured, OptionCosts
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, WORKLOADS, Input

_MIB = 2**20
_PROVEN_ROWS = 100_000


def option_costs(names: Sequence[str], rows: int, seed: int, runs: int, target: Path) -> None:
    """Measure the options `names`, print a table and write all numbers to `target` as JSON.

    Raises `BenchmarkError` if lines are not those of the plain script.
    """
    names = list(dict.fromkeys([BASE, *names]))
    machine = describe()
    print(f"{machine}\n{rows:,} rows, {runs} runs each, in turns\n", flush=True)
    found: dict[str, list[Measurement]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="options-", dir=_made(DATA)) as folder:
        for name in names:
            _prove(name, min(rows, _PROVEN_ROWS), seed, Path(folder))
        for run in range(1, runs + 1):
            for name in names:
                found[name].append(_run(name, OURS, rows, seed, Path(folder, "output")))
                print(f"run {run}: {name} took {found[name][-1].cpu_seconds:,.2f} CPU s", flush=True)
    costs = OptionCosts(rows, seed, BASE, [Measured(name, rows, found[name]) for name in names], machine)
    print(f"\n{summary(costs)}")
    costs.write(target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(name: str, contender: str, rows: int, seed: int, output: Path) -> Measurement:
    workload = WORKLOADS[OPTIONS[name].workload]
    path = generated(Input(workload, rows, seed))
    if beside := OPTIONS[name].beside:
        generated(beside)
    found = measure(contender, workload, path, output, option=name)
    if contender == OURS:
        shutil.rmtree(output.with_name(output.name + "-report"))  # a report is never overwritten
    return found


def _prove(name: str, rows: int, seed: int, folder: Path) -> None:
    """Compare all lines of a job with those of the plain script."""
    ours, theirs = folder / "ours", folder / "theirs"
    _run(name, OURS, rows, seed, ours)
    _run(name, REFERENCE, rows, seed, theirs)
    equal, differ = first_difference(ours, theirs)
    if differ:
        raise BenchmarkError(
            f"With the option '{name}', the lines differ from those of the script in line {equal + 1:,}."
        )


def summary(costs: OptionCosts) -> str:
    """Return the costs as a table for the terminal."""
    base = costs.of_base
    rows = []
    for each in costs.options:
        cpu = each.cpu_ratios(base)
        goal = OPTIONS[each.name].goal
        row = [each.name, spread(each.walls), spread(each.cpus), spread(cpu), spread(each.ratios(base))]
        missed = "missed" if goal and each.cpu_ratio(base) > goal else ""
        rows.append([*row, f"{goal:.1f}" if goal else "", missed, spread(each.peaks, _MIB, 0)])
    head = ["option", "wall s", "CPU s", f"CPU / {base.name}", f"wall / {base.name}", "goal", "", "peak MiB"]
    return (
        f"{table(head, rows)}\nmedian [least-most]; ratios within each turn; the goal is for the ratio of CPU seconds"
    )
