"""`spark`: ours on a cluster of Spark, beside Spark SQL that builds the same lines by expressions, in turns.

1. The table is written as several Parquet files. The level of gzip at which the files of Spark SQL are nearest in size
   to ours is found with a part of the lines.
2. Each way runs on the same cluster: a master and two workers on this machine. What executors and the driver take is
   read from the system when a job has begun and when it is done, JVMs and Python apart.
3. The lines are compared. Ours on one machine, from the same files, is run beside them, and so is a job with few rows,
   whose CPU seconds are those of the start.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.cluster import Cluster, CpuSeconds, cluster, daemon_environment, missing, used_by
from benchmarks.lines import digest, lines_of
from benchmarks.machine import Machine, describe
from benchmarks.measure import generated, measure, outputs, warm
from benchmarks.spark_jobs import SparkTask
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, Input, Workload

ALONE = "one machine"
OURS, FRAME, SQL = "ours", "ours-frame", "sql"
FILES = 16
LEVELS = ("BEST_SPEED", "TWO", "THREE", "FOUR", "FIVE", "SIX")
"""Names of zlib's levels from 1, as Hadoop has them."""
LEAST_SPEED = 2.0
"""How many times as long as ours Spark SQL should take, at least."""
MOST_CPU = 1.3
"""The highest ratio of CPU seconds of Python for a row, on the cluster and on one machine, that we want."""
_FEW_ROWS = 1_000
_LEVEL_ROWS = 200_000
_MIB = 2**20


@dataclass(frozen=True)
class Use:
    """What a run took: wall seconds from the start of the job to its end, CPU seconds, the bytes of its output.

    `python_peak` is the peak memory of the largest process of an executor that runs Python, in bytes.
    """

    wall_seconds: float
    driver_jvm: float
    driver_python: float
    executors_jvm: float
    executors_python: float
    output_bytes: int
    python_peak: int

    @property
    def cpu_seconds(self) -> float:
        """All CPU seconds."""
        return self.driver_jvm + self.driver_python + self.executors_jvm + self.executors_python


@dataclass(frozen=True)
class Way:
    """A way, its runs, and its runs with few rows."""

    name: str
    runs: list[Use]
    starts: list[Use]

    def seconds(self, of: Callable[[Use], float]) -> float:
        """Return the median of some seconds, without those of the start."""
        return statistics.median(map(of, self.runs)) - statistics.median(map(of, self.starts))


@dataclass(frozen=True)
class OnSpark:
    """All ways on the same table."""

    workload: str
    rows: int
    files: int
    level: str
    ways: list[Way]
    machine: Machine
    spark: str

    def of(self, name: str) -> Way:
        """Return a way."""
        return next(each for each in self.ways if each.name == name)

    @property
    def speed(self) -> float:
        """How many times as long as ours Spark SQL takes, in wall time."""
        return _wall(self.of(SQL)) / _wall(self.of(OURS))

    @property
    def cpu_ratio(self) -> float:
        """CPU seconds of the processes that run Python, on the cluster, in terms of those on one machine."""
        return self.of(OURS).seconds(_python) / self.of(ALONE).seconds(_python)

    def write(self, path: Path) -> None:
        """Write everything, and what it comes to."""
        per_row = {
            each.name: {
                "python_us": round(each.seconds(_python) / self.rows * 1e6, 3),
                "jvm_us": round(each.seconds(lambda use: use.executors_jvm) / self.rows * 1e6, 3),
            }
            for each in self.ways
        }
        summary = {"wall_ratio": round(self.speed, 3), "python_ratio": round(self.cpu_ratio, 3), "cpu_of_row": per_row}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(self), "summary": summary}, indent=1) + "\n", "utf-8")


def spark(source: Input, runs: int, target: Path, *, names: Sequence[str] = (OURS, FRAME, SQL), cores: int = 1) -> None:
    """Measure all ways in turns, print a table and write all numbers to `target`.

    `cores` are those of each of the two workers. Raises `BenchmarkError` if the lines are not the same.
    """
    if absent := missing():
        raise BenchmarkError(absent)
    machine = describe()
    print(f"{machine}\n{source.path.name}, {runs} runs each, in turns\n", flush=True)
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spark-", dir=DATA) as name:
        folder = Path(name).resolve()
        tables = {each.rows: _split(each, folder / str(each.rows)) for each in _inputs(source)}
        with cluster(folder / "cluster", cores=cores, memory="3g") as made:
            bench = _Bench(made, source.workload, folder)
            level = bench.choose_level(tables[min(_LEVEL_ROWS, source.rows)]) if SQL in names else ""
            ways = bench.ways(names, tables[source.rows], tables[_FEW_ROWS], runs)
    result = OnSpark(source.workload.name, source.rows, FILES, level, ways, machine, _version())
    print(f"\n{summary(result)}")
    result.write(target)


def _inputs(source: Input) -> list[Input]:
    return [replace(source, rows=rows) for rows in {source.rows, min(_LEVEL_ROWS, source.rows), _FEW_ROWS}]


def _split(source: Input, folder: Path) -> Path:
    """Write the table as several Parquet files; return their folder."""
    generated(source)
    # In another process: the one that measures stays small.
    program = (
        "import sys, polars as pl\n"
        "rows, files = int(sys.argv[3]), int(sys.argv[4])\n"
        "each = -(-rows // files)\n"
        "for number in range(-(-rows // each)):\n"
        "    part = pl.scan_parquet(sys.argv[1]).slice(number * each, each)\n"
        "    part.sink_parquet(f'{sys.argv[2]}/{number:03}.parquet', compression='snappy', row_group_size=120_000)\n"
    )
    folder.mkdir()
    command = [sys.executable, "-c", program, str(source.path.resolve()), str(folder), str(source.rows), str(FILES)]
    subprocess.run(command, check=True)
    return folder


class _Bench:
    """Runs ways on a cluster; `folder` has room for their output."""

    def __init__(self, made: Cluster, workload: Workload, folder: Path) -> None:
        self._cluster, self._workload, self._folder = made, workload, folder
        self._level = LEVELS[0]
        self._log = folder / "driver.log"

    def choose_level(self, path: Path) -> str:
        """Choose the level of zlib, which is Java's too, that compresses lines about as well as ours does."""
        ours = self._alone(path).output_bytes
        lines = b"".join(lines_of(self._folder / "output"))
        sizes = {name: len(zlib.compress(lines, level)) for level, name in enumerate(LEVELS, 1)}
        self._level = min(LEVELS, key=lambda name: abs(sizes[name] - ours))
        print(f"gzip of Spark SQL: {self._level}, {sizes[self._level] / ours:.2f} times the size of ours", flush=True)
        return self._level

    def ways(self, names: Sequence[str], path: Path, few: Path, runs: int) -> list[Way]:
        """Run all ways in turns, and compare their lines once."""
        functions = {ALONE: self._alone, **{name: _bound(self._on_cluster, name) for name in names}}
        found = {name: Way(name, [], []) for name in functions}
        wanted = None
        for run in range(1, runs + 1):
            for name, function in functions.items():
                found[name].starts.append(function(few))
                found[name].runs.append(use := function(path))
                print(f"run {run}: {name} took {use.wall_seconds:,.2f} s", flush=True)
                if run > 1:
                    continue
                lines = digest(self._folder / "output")
                wanted = wanted or lines
                if not lines.same_lines(wanted):
                    raise BenchmarkError(f"The lines of {name} ({lines.lines:,}) are not those of {ALONE}.")
        return list(found.values())

    def _alone(self, path: Path) -> Use:
        found = measure("ours", self._workload, path, self._folder / "output")
        return Use(found.wall_seconds, 0, found.cpu_seconds, 0, 0, found.output_bytes, 0)

    def _on_cluster(self, name: str, path: Path) -> Use:
        output = self._folder / "output"
        for each in (output, Path(f"{output}-report")):
            shutil.rmtree(each, ignore_errors=True)
        warm(path)
        settings = self._cluster.settings(memory="1g") | {"spark.driver.memory": "1g"}
        task = SparkTask(name, self._workload.name, str(path), str(output), self._level, settings)
        command = [sys.executable, "-m", "benchmarks.spark_jobs", json.dumps(asdict(task))]
        with self._log.open("wb") as log:
            driver = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=daemon_environment(),
                text=True,
                cwd=self._folder,
            )
        with driver:  # closes its pipes, and waits for its end
            try:
                self._expect(driver, "ready")
                executors, drivers, begin = self._cluster.cpu_seconds(), used_by(driver.pid), time.perf_counter()
                _answer(driver)
                self._expect(driver, "done")
                wall = time.perf_counter() - begin
                executors, drivers = (
                    _since(executors, self._cluster.cpu_seconds()),
                    _since(drivers, used_by(driver.pid)),
                )
                peak = self._cluster.python_peak()
                _answer(driver)
                driver.wait()
            finally:
                driver.kill()
        size = sum(file.stat().st_size for file in outputs(output))
        return Use(wall, drivers.jvm, drivers.python, executors.jvm, executors.python, size, peak)

    def _expect(self, driver: subprocess.Popen[str], word: str) -> None:
        """Wait for a word of a driver."""
        assert driver.stdout
        for line in driver.stdout:
            if line.strip() == word:
                return
        said = self._log.read_text("utf-8", errors="replace")[-2000:]
        raise BenchmarkError(f"A driver ended before it was {word}, with exit code {driver.wait()}: {said}")


def _bound(function: Callable[[str, Path], Use], name: str) -> Callable[[Path], Use]:
    return lambda path: function(name, path)


def _answer(driver: subprocess.Popen[str]) -> None:
    assert driver.stdin
    driver.stdin.write("\n")
    driver.stdin.flush()


def _since(before: CpuSeconds, after: CpuSeconds) -> CpuSeconds:
    return CpuSeconds(after.jvm - before.jvm, after.python - before.python)


def _wall(way: Way) -> float:
    return statistics.median(use.wall_seconds for use in way.runs)


def _python(use: Use) -> float:
    """Return the CPU seconds that convert rows: of the executors' Python, or of the only process."""
    return use.executors_python or use.driver_python


def _version() -> str:
    from importlib import metadata

    return metadata.version("pyspark")


def summary(result: OnSpark) -> str:
    """Return a table for the terminal, with what must be known to read it."""
    head = ["way", "wall s", "CPU s: executors' Python", "executors' JVM", "driver"]
    head += ["peak MiB of Python", "output MiB", "rows/s of a core"]
    rows = []
    for each in result.ways:
        of: Mapping[str, list[float]] = {
            "wall": [use.wall_seconds for use in each.runs],
            "python": [use.executors_python for use in each.runs],
            "jvm": [use.executors_jvm for use in each.runs],
            "driver": [use.driver_jvm + use.driver_python for use in each.runs],
            "peak": [float(use.python_peak) for use in each.runs],
            "output": [float(use.output_bytes) for use in each.runs],
        }
        busy = each.seconds(lambda use: use.cpu_seconds)
        figures = [spread(of[name], _MIB if name in ("output", "peak") else 1) for name in of]
        rows.append([each.name, *figures, f"{result.rows / busy:,.0f}"])
    notes = [
        f"median [least-most]; gzip of Spark SQL: {result.level}; Spark {result.spark}",
        f"Spark SQL takes {result.speed:.2f} times as long as ours (≥ {LEAST_SPEED})",
        f"Python takes {result.cpu_ratio:.2f} times the CPU seconds of one machine (≤ {MOST_CPU}), the start aside",
    ]
    return "\n".join([table(head, rows), *notes])
