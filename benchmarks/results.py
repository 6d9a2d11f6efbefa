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
from benchmarks.workloads import CHARTS, RESULTS, TRIALS, Input

LEAST_SECONDS = 0.001
"""Of a run without the start: with few rows, it may have been faster than the start was."""


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
        """Return wall times, run by run, in terms of those of `base` in the same turn.

        Where there are more or fewer runs than of `base`, as of what was measured again by itself, no two of them are
        of one turn: each is compared with the median of `base`.
        """
        return _ratios(self.walls, base.walls)

    def ratio(self, base: Measured) -> float:
        """Return the median of the ratios of wall times."""
        return statistics.median(self.ratios(base))

    def cpu_ratio(self, base: Measured) -> float:
        """Return the median of the ratios of CPU seconds."""
        return statistics.median(self.cpu_ratios(base))

    def cpu_ratios(self, base: Measured) -> list[float]:
        """Return CPU seconds likewise."""
        return _ratios(self.cpus, base.cpus)


def _ratios(mine: list[float], base: list[float]) -> list[float]:
    if len(mine) != len(base):
        base = [statistics.median(base)] * len(mine)
    return [one / other for one, other in zip(mine, base, strict=True)]


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
    """Ours with options or a state, each on the same number of rows, beside the plain job."""

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
                "cpu_ratio_median": round(each.cpu_ratio(self.of_base), 3),
                "wall_ratio_median": round(each.ratio(self.of_base), 3),
            }
        _write(path, document)


@dataclass(frozen=True)
class Role:
    """Threads that do the same: how many, their CPU seconds, those of the busiest; `grows` with `run.threads`.

    `lock_seconds` are those of wall time for which one of them held the interpreter lock.
    """

    name: str
    threads: int
    cpu_seconds: float
    busiest_seconds: float
    lock_seconds: float
    grows: bool


@dataclass(frozen=True)
class CoreUse:
    """A run of ours by roles of threads, without the start, whose CPU seconds are apart."""

    workload: str
    rows: int
    threads: int
    wall_seconds: float
    start_cpu_seconds: float
    roles: list[Role]

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds of all roles."""
        return max(LEAST_SECONDS, sum(role.cpu_seconds for role in self.roles))

    @property
    def limit(self) -> Role:
        """The busiest role whose threads do not grow with `run.threads`."""
        return max((role for role in self.roles if not role.grows and role.threads), key=lambda role: role.cpu_seconds)

    @property
    def lock_seconds(self) -> float:
        """For how many seconds of wall time any thread held the interpreter lock."""
        return sum(role.lock_seconds for role in self.roles)

    def speed_up(self, cores: int) -> float:
        """Return how many times as fast as on one core a run can be on so many, because of the limit."""
        return min(cores, self.cpu_seconds / self.limit.cpu_seconds) if self.limit.cpu_seconds else cores


@dataclass(frozen=True)
class Cores:
    """Runs of ours by roles of threads."""

    uses: list[CoreUse]
    machine: Machine

    def write(self, path: Path) -> None:
        """Write everything, and what the model says."""
        document = asdict(self)
        for entry, use in zip(document["uses"], self.uses, strict=True):
            entry["summary"] = {
                "cpu_seconds": round(use.cpu_seconds, 3),
                "limit": use.limit.name,
                "limit_share": round(use.limit.cpu_seconds / use.cpu_seconds, 4),
                "lock_share": round(use.lock_seconds / use.wall_seconds, 4),
                "speed_up": {str(cores): round(use.speed_up(cores), 2) for cores in (4, 8, 16)},
            }
        _write(path, document)


@dataclass(frozen=True)
class Start:
    """Short commands, run in turns; `base` is what the others are compared with."""

    base: str
    commands: list[Measured]
    machine: Machine

    def of(self, name: str) -> Measured:
        """Return the measurements of a command."""
        return next(each for each in self.commands if each.name == name)

    def write(self, path: Path) -> None:
        """Write everything, with medians."""
        document = asdict(self)
        base = self.of(self.base)
        for entry, each in zip(document["commands"], self.commands, strict=True):
            entry["summary"] = _summary(each) | {
                "cpu_ratio_median": round(each.cpu_ratio(base), 3),
                "wall_ratio_median": round(each.ratio(base), 3),
            }
        _write(path, document)


@dataclass(frozen=True)
class Delivered:
    """Parts sent to a server by ours and by rclone; `opened` are the most connections of each, where these are seen."""

    server: str
    load: str
    delay_seconds: float
    connections: int
    ours: Measured
    rclone: Measured
    opened: list[int]

    @property
    def name(self) -> str:
        """What tables call it."""
        delay = f", {self.delay_seconds * 1000:g} ms" if self.delay_seconds else ""
        return f"{self.server}, {self.load}{delay}"


@dataclass(frozen=True)
class Deliveries:
    """Deliveries to several servers."""

    deliveries: list[Delivered]
    machine: Machine

    def write(self, path: Path) -> None:
        """Write everything, with medians."""
        document = asdict(self)
        for entry, each in zip(document["deliveries"], self.deliveries, strict=True):
            entry["summary"] = {
                "wall_ratio_median": round(each.ours.ratio(each.rclone), 3),
                "cpu_ratio_median": round(each.ours.cpu_ratio(each.rclone), 3),
            }
        _write(path, document)


@dataclass(frozen=True)
class Installation:
    """An installation into an empty environment: its seconds, its bytes, those of each package, its first runs."""

    install_seconds: float
    bytes: int
    packages: dict[str, int]
    rows: int
    runs: list[Measurement]
    machine: Machine

    @property
    def first_ratio(self) -> float:
        """The wall time of the first run in terms of the second."""
        return self.runs[0].wall_seconds / self.runs[1].wall_seconds

    def write(self, path: Path) -> None:
        """Write everything, and the ratio of the first two runs."""
        _write(path, asdict(self) | {"summary": {"first_ratio": round(self.first_ratio, 3)}})


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


_Kept = TypeVar("_Kept", Comparison, OptionCosts, Cores, Start, Deliveries, Installation, Scaling)


def read(kind: type[_Kept], path: Path) -> _Kept:
    """Read what `write` wrote."""
    from pydantic import TypeAdapter  # here, since the process that measures stays small

    return TypeAdapter(kind).validate_json(path.read_bytes())


def folder_for(*sources: Input) -> Path:
    """Return the folder for results on these inputs."""
    return RESULTS if all(source.rows == source.workload.rows for source in sources) else TRIALS


def charts_for(source: Input) -> Path:
    """Return the folder for charts of them."""
    return CHARTS if source.rows == source.workload.rows else TRIALS


def comparison_path(folder: Path, workload: str) -> Path:
    """Return where the comparison of a workload is kept."""
    return folder / f"compare-{workload}.json"


def options_path(folder: Path) -> Path:
    """Return where the costs of options are kept."""
    return folder / "options.json"


def changes_path(folder: Path) -> Path:
    """Return where the costs of sending only changes are kept."""
    return folder / "changes.json"


def cores_path(folder: Path) -> Path:
    """Return where CPU seconds by role are kept."""
    return folder / "cores.json"


def start_path(folder: Path) -> Path:
    """Return where the times of short commands are kept."""
    return folder / "start.json"


def deliveries_path(folder: Path) -> Path:
    """Return where deliveries are kept."""
    return folder / "deliver.json"


def databases_path(folder: Path) -> Path:
    """Return where what databases take is kept."""
    return folder / "databases.json"


def spark_path(folder: Path) -> Path:
    """Return where what a cluster takes is kept."""
    return folder / "spark.json"


def install_path(folder: Path) -> Path:
    """Return where the installation is kept."""
    return folder / "install.json"


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
