"""`changes`: ours with a state, when no user and when one in a hundred has changed, beside the plain job on that day.

1. On fewer rows, the lines are compared with those of two plain runs: what is new in the second one.
2. The jobs take turns, each in a fresh process, with a fresh copy of the state that the first day left.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import OURS, OURS_CHANGES
from benchmarks.contenders.ours import REMOVALS, STATE
from benchmarks.lines import lines_of
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, measure
from benchmarks.results import Measured, OptionCosts
from benchmarks.table import spread, table
from benchmarks.workloads import Input

BASE = "plain"
GOAL = 1.3
"""The highest ratio to the plain job that we want where one user in a hundred has changed, in wall time."""
ONE_IN = 100
_MIB = 2**20
_PROVEN_ROWS = 100_000


@dataclass(frozen=True)
class Day:
    """A run to measure; `state` is whether there is one from the day before, `changed` whether its input is another."""

    name: str
    state: bool = True
    changed: bool = False
    removals: bool = False


CHANGED = "1 % changed"
DAYS = (
    Day("first", state=False),
    Day("none changed"),
    Day(CHANGED, changed=True),
    Day("first, removals", state=False, removals=True),
    Day("none changed, removals", removals=True),
    Day("1 % changed, removals", changed=True, removals=True),
)


def changes(source: Input, runs: int, target: Path) -> None:
    """Measure each of `DAYS`, print a table and write all numbers to `target`.

    Raises `BenchmarkError` if lines are not those that have changed.
    """
    machine = describe()
    print(f"{machine}\n{source.path.name}, {runs} runs each, in turns\n", flush=True)
    source.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="changes-", dir=source.folder) as folder:
        _prove(replace(source, rows=min(source.rows, _PROVEN_ROWS)), Path(folder))
        found = _measured(source, runs, Path(folder))
    costs = OptionCosts(
        source.rows, source.seed, BASE, [Measured(name, source.rows, each) for name, each in found.items()], machine
    )
    print(f"\n{summary(costs)}")
    costs.write(target)


def _measured(source: Input, runs: int, folder: Path) -> dict[str, list[Measurement]]:
    first, second = generated(source), _second_day(source, folder)
    found: dict[str, list[Measurement]] = {name: [] for name in (BASE, *(day.name for day in DAYS))}
    for run in range(1, runs + 1):
        found[BASE].append(_run(OURS, source, second, folder / "output"))
        for day in DAYS:
            with _state(folder, day):
                path = second if day.changed else first
                found[day.name].append(_run(OURS_CHANGES, source, path, folder / "output"))
        for name, each in found.items():
            print(f"run {run}: {name} took {each[-1].cpu_seconds:,.2f} CPU s", flush=True)
    return found


@contextmanager
def _state(folder: Path, day: Day) -> Iterator[None]:
    """Tell the contender about a state: an empty one, or a copy of what the first day left, which is kept then."""
    state, kept = folder / "state", folder / ("kept-removals" if day.removals else "kept")
    if day.state:
        shutil.copytree(kept, state)
    os.environ |= {STATE: str(state), REMOVALS: "yes" if day.removals else ""}
    yield
    if not day.state and not kept.exists():
        state.rename(kept)
    else:
        shutil.rmtree(state)


def _run(contender: str, source: Input, path: Path, output: Path) -> Measurement:
    found = measure(contender, source.workload, path, output)
    shutil.rmtree(output.with_name(output.name + "-report"))  # a report is never overwritten
    return found


def _second_day(source: Input, folder: Path) -> Path:
    """Write the table as it is on the next day, when one user in a hundred has another city."""
    path = folder / f"second-{source.rows}.csv"
    with generated(source).open("rb") as old, path.open("wb") as new:
        new.write(next(old))
        for number, line in enumerate(old):
            if number % ONE_IN:
                new.write(line)
            else:
                fields = line.split(b",", 3)
                new.write(b",".join([*fields[:2], b"Vaduz", fields[3]]))
    return path


def _prove(source: Input, folder: Path) -> None:
    """Compare the lines on the second day with what is new in those of a plain run."""
    first, second = generated(source), _second_day(source, folder)
    plain = []
    for path in (first, second):
        _run(OURS, source, path, folder / "plain")
        plain.append(set(lines_of(folder / "plain")))
    for day in (each for each in DAYS if not each.removals):
        with _state(folder, day):
            _run(OURS_CHANGES, source, second if day.changed else first, folder / "ours")
        expected = plain[1] - plain[0] if day.changed else set() if day.state else plain[0]
        if sorted(lines_of(folder / "ours")) != sorted(expected):
            raise BenchmarkError(f"The lines of the run '{day.name}' are not those that have changed.")
    shutil.rmtree(folder / "kept")


def summary(costs: OptionCosts) -> str:
    """Return the costs as a table for the terminal."""
    base = costs.of_base
    rows = []
    for each in costs.options:
        goal = GOAL if each.name == CHANGED else 0
        row = [each.name, spread(each.walls), spread(each.cpus), spread(each.cpu_ratios(base))]
        missed = "missed" if goal and each.ratio(base) > goal else ""
        rows.append([*row, spread(each.ratios(base)), f"{goal}" if goal else "", missed, spread(each.peaks, _MIB, 0)])
    head = ["run", "wall s", "CPU s", f"CPU / {base.name}", f"wall / {base.name}", "goal", "", "peak MiB"]
    return f"{table(head, rows)}\nmedian [least-most]; ratios within each turn; the goal is for the ratio of wall times"
