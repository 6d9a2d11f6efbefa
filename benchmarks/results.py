"""What measurements are kept as: JSON, from which the charts are drawn.

Those of whole measurements are kept in the repository; those of fewer rows, which only show that everything runs,
are not.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.machine import Machine
from benchmarks.measure import Measurement
from benchmarks.workloads import CHARTS, DATA, RESULTS, Input

_TRIALS = DATA / "trials"


@dataclass(frozen=True)
class Measured:
    """The runs of one contender, on one row in `one_in`, or of one setting.

    `level` is the level of gzip, where it can be set; `in_order` says whether its lines are in the input's order.
    """

    name: str
    rows: int
    runs: list[Measurement]
    one_in: int = 1
    level: int | None = None
    in_order: bool = True
    threads: int = 0
    input_bytes: int = 0

    @property
    def walls(self) -> list[float]:
        """The wall seconds of each run, for all rows: where it ran on a part of them, as many times more."""
        return [run.wall_seconds * self.one_in for run in self.runs]

    @property
    def cpus(self) -> list[float]:
        """The CPU seconds of each run, for all rows likewise."""
        return [run.cpu_seconds * self.one_in for run in self.runs]

    @property
    def wall(self) -> float:
        """The median of wall seconds."""
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        """The median of CPU seconds."""
        return statistics.median(self.cpus)

    @property
    def peaks(self) -> list[int]:
        """The peak memory of each run, in bytes."""
        return [run.peak_bytes for run in self.runs]

    def ratios(self, base: Measured) -> list[float]:
        """Return wall times, run by run, in terms of those of `base` in the same turn."""
        return [mine / other for mine, other in zip(self.walls, base.walls, strict=True)]

    def cpu_ratios(self, base: Measured) -> list[float]:
        """Return CPU seconds likewise."""
        return [mine / other for mine, other in zip(self.cpus, base.cpus, strict=True)]


@dataclass(frozen=True)
class Comparison:
    """Contenders on one workload; `lines` and `text_bytes` are those of the whole output."""

    workload: str
    rows: int
    seed: int
    input_bytes: int
    lines: int
    text_bytes: int
    base: str
    contenders: list[Measured]
    machine: Machine

    @property
    def of_base(self) -> Measured:
        """What the others are compared with."""
        return next(each for each in self.contenders if each.name == self.base)

    def write(self, path: Path) -> None:
        """Write everything, and what it comes to, for those who read the file itself."""
        document = asdict(self)
        for entry, each in zip(document["contenders"], self.contenders, strict=True):
            ratios = each.ratios(self.of_base)
            entry["summary"] = _summary(each) | {
                "wall_ratio_median": round(statistics.median(ratios), 3),
                "wall_ratios": [round(ratio, 3) for ratio in ratios],
            }
        _write(path, document)


@dataclass(frozen=True)
class OptionCosts:
    """Ours with options, each on the same number of rows, beside the plain job."""

    rows: int
    seed: int
    base: str
    options: list[Measured]
    machine: Machine

    @property
    def of_base(self) -> Measured:
        """The plain job."""
        return next(each for each in self.options if each.name == self.base)

    def write(self, path: Path) -> None:
        """Write everything, with medians."""
        document = asdict(self)
        for entry, each in zip(document["options"], self.options, strict=True):
            entry["summary"] = _summary(each) | {
                "cpu_ratio_median": round(statistics.median(each.cpu_ratios(self.of_base)), 3),
                "wall_ratio_median": round(statistics.median(each.ratios(self.of_base)), 3),
            }
        _write(path, document)


@dataclass(frozen=True)
class Scaling:
    """Ours on growing inputs, and with more and more threads, each held to as many cores."""

    workload: str
    seed: int
    sizes: list[Measured]
    threads: list[Measured]
    machine: Machine

    def write(self, path: Path) -> None:
        """Write everything, and what it comes to."""
        document = asdict(self)
        for entry, each in zip(document["sizes"] + document["threads"], [*self.sizes, *self.threads], strict=True):
            entry["summary"] = _summary(each)
        _write(path, document)


_Kept = TypeVar("_Kept", Comparison, OptionCosts, Scaling)


def read(kind: type[_Kept], path: Path) -> _Kept:
    """Read what `write` wrote."""
    from pydantic import TypeAdapter  # here, since the process that measures stays small

    return TypeAdapter(kind).validate_json(path.read_bytes())


def folder_for(source: Input) -> Path:
    """Return the folder for results on this input."""
    return RESULTS if source.rows == source.workload.rows else _TRIALS


def charts_for(source: Input) -> Path:
    """Return the folder for charts of them."""
    return CHARTS if source.rows == source.workload.rows else _TRIALS


def comparison_path(folder: Path, workload: str) -> Path:
    """Return where the comparison of a workload is kept."""
    return folder / f"compare-{workload}.json"


def options_path(folder: Path) -> Path:
    """Return where the costs of options are kept."""
    return folder / "options.json"


def scaling_path(folder: Path) -> Path:
    """Return where the scaling is kept."""
    return folder / "scale.json"


def _summary(each: Measured) -> dict[str, float | int]:
    """Return medians, of all rows where it ran on a part of them."""
    return {
        "wall_seconds": round(each.wall, 3),
        "cpu_seconds": round(each.cpu, 3),
        "cpu_per_wall": round(statistics.median(run.cpu_seconds / run.wall_seconds for run in each.runs), 3),
        "peak_bytes": round(statistics.median(each.peaks)),
        "output_bytes": round(statistics.median(run.output_bytes for run in each.runs)) * each.one_in,
    }


def _write(path: Path, document: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
