"""`goals`: what the kept results come to, beside what we want."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import BenchmarkError, changes, cores, deliver, install, start
from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.options import OPTIONS
from benchmarks.results import (
    Comparison,
    Cores,
    Deliveries,
    Installation,
    Measured,
    OptionCosts,
    Scaling,
    Start,
    changes_path,
    comparison_path,
    cores_path,
    deliveries_path,
    install_path,
    options_path,
    read,
    scaling_path,
    start_path,
)
from benchmarks.table import table
from benchmarks.workloads import WORKLOADS

_ADVANTAGE = {
    "wide-csv": 2.4,
    "wide-parquet": 2.0,
    "typed-parquet": 2.0,
    "long-csv": 2.8,
    "ndjson": 1.5,
    "gathered": 2.0,
}
"""How many times as long as ours the fastest other tool takes, at least."""
_ABOVE_FLOOR = {"wide-csv": 1.8, "wide-parquet": 2.1, "typed-parquet": 2.6}
"""How many times as long as the floor ours takes, at most."""
_ABOVE_PLAIN = {"csv-gz": 1.25, "many-files": 1.25}
_ABOVE_NO_RULES = 1.12
_ABOVE_EVEN = 1.5
"""How many times as long users take of whom some have most rows, at most."""
_PEAK_MB = 512
_GATHERED_PEAK_MB = 1_000
_REMEMBERING = "options that remember all rows"
_MOST_OF_PEERS = 2e9
"""The bytes of memory that other tools may take where rows are gathered."""


class Goal(NamedTuple):
    """A figure, and the least or the most that it should be."""

    name: str
    value: float
    wanted: float
    is_least: bool = False

    @property
    def sign(self) -> str:
        """On which side of `wanted` the figure should be."""
        return "≥" if self.is_least else "≤"

    @property
    def is_met(self) -> bool:
        """Whether the figure is as good as wanted, or better."""
        return self.value >= self.wanted if self.is_least else self.value <= self.wanted


def goals(folder: Path) -> None:
    """Print a table of the goals about which `folder` has results. Raises `BenchmarkError` if there are none."""
    found = list(_goals(folder))
    if not found:
        raise BenchmarkError(f"There are no results in '{folder}': python -m benchmarks all --help.")
    rows = [
        [
            each.name,
            f"{each.value:.2f}",
            f"{each.sign} {each.wanted:g}",
            "" if each.is_met else "missed",
        ]
        for each in found
    ]
    print(table(["figure", "measured", "goal", ""], rows))


def _goals(folder: Path) -> Iterator[Goal]:
    peaks: dict[str, list[Measured]] = {}
    for name in WORKLOADS:
        if (path := comparison_path(folder, name)).exists():
            comparison = read(Comparison, path)
            peaks[name] = [comparison.of_base]
            yield from _of_comparison(comparison)
    if {"gathered", "skewed"} <= peaks.keys():
        even, skewed = (statistics.median(_walls(peaks[name])) for name in ("gathered", "skewed"))
        yield Goal("skewed / gathered, wall", skewed / even, _ABOVE_EVEN)
    if (path := options_path(folder)).exists():
        costs = read(OptionCosts, path)
        peaks["options"] = [each for each in costs.options if not OPTIONS[each.name].remembers]
        peaks[_REMEMBERING] = [each for each in costs.options if OPTIONS[each.name].remembers]
        for each in costs.options:
            if wanted := OPTIONS[each.name].goal:
                yield Goal(f"{each.name} / {costs.base}, CPU", each.cpu_ratio(costs.of_base), wanted)
    if (path := changes_path(folder)).exists():
        days = read(OptionCosts, path)
        peaks["changes"] = days.options
        changed = next(each for each in days.options if each.name == changes.CHANGED)
        yield Goal(f"{changed.name} / {days.base}, wall", changed.ratio(days.of_base), changes.GOAL)
    if (path := cores_path(folder)).exists():
        uses = read(Cores, path).uses
        for use in (use for use in uses if use.threads == max(each.threads for each in uses)):
            name = f"{use.workload}, {use.threads} threads: share of {use.limit.name}"
            yield Goal(name, use.limit.cpu_seconds / use.cpu_seconds, cores.goal_of(use.workload))
    if (path := scaling_path(folder)).exists():
        peaks["scale"] = read(Scaling, path).sizes
    for name, measured in ((name, measured) for name, measured in peaks.items() if measured):
        yield Goal(f"{name}: peak memory, MB", max(max(each.peaks) for each in measured) / 1e6, _most_of(name))
    if (path := start_path(folder)).exists():
        result = read(Start, path)
        yield Goal(f"{start.OURS} / {start.BASE}", result.of(start.OURS).ratio(result.of(start.BASE)), start.GOAL)
    if (path := deliveries_path(folder)).exists():
        for sent in read(Deliveries, path).deliveries:
            yield Goal(f"{sent.name}: ours / rclone, wall", sent.ours.ratio(sent.rclone), deliver.GOAL)
    if (path := install_path(folder)).exists():
        installed = read(Installation, path)
        yield Goal("installed, MB", installed.bytes / 1e6, install.GOAL_BYTES / 1e6)
        yield Goal("first run / second run", installed.first_ratio, install.GOAL_RATIO)


def _walls(measured: list[Measured]) -> list[float]:
    return [wall for each in measured for wall in each.walls]


def _most_of(name: str) -> float:
    gathers = name in (_REMEMBERING, "changes") or (name in WORKLOADS and WORKLOADS[name].gathered)
    return _GATHERED_PEAK_MB if gathers else _PEAK_MB


def _of_comparison(comparison: Comparison) -> Iterator[Goal]:
    """Yield the goals of one workload; ratios are medians of those within each turn."""
    name = comparison.workload
    found = {each.name: each for each in comparison.contenders}
    ours = found[OURS]
    peers = [each for each in found.values() if CONTENDERS[each.name].is_peer]
    if WORKLOADS[name].gathered:
        peers = [each for each in peers if max(each.peaks) < _MOST_OF_PEERS]
    if peers and name in _ADVANTAGE:
        fastest = min(peers, key=lambda each: each.wall)
        yield Goal(f"{name}: {fastest.name} / {OURS}", fastest.ratio(ours), _ADVANTAGE[name], is_least=True)
    wanted = {
        "floor": _ABOVE_FLOOR.get(name),
        "ours-on-plain": _ABOVE_PLAIN.get(name),
        "ours-no-rules": _ABOVE_NO_RULES,
    }
    for other, most in wanted.items():
        if most and other in found:
            yield Goal(f"{name}: {OURS} / {other}", ours.ratio(found[other]), most)
