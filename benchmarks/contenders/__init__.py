"""The contenders: each turns a workload's file into gzipped lines in a folder, in a process of its own.

One module each. They import what they need when they run: a process pays, in time and memory, for its own libraries
only.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from benchmarks import BenchmarkError
from benchmarks.workloads import Workload, files_of

_LEVELS = Path(__file__).resolve().parent.parent / "levels.json"


@dataclass(frozen=True)
class Task:
    """What a contender has to do: the input, an empty folder, the number of threads, the level of compression.

    `option` is the name of one of `benchmarks.options.OPTIONS`, for ours.
    """

    workload: Workload
    path: Path
    folder: Path
    threads: int
    level: int
    option: str = ""

    @property
    def files(self) -> list[Path]:
        """The files of the input."""
        return files_of(self.path)

    @property
    def glob(self) -> str:
        """A pattern for the files of the input: the path itself if it is a file."""
        return f"{self.path}/*" if self.path.is_dir() else str(self.path)

    @property
    def target(self) -> Path:
        """A file for the lines, for contenders that write one."""
        return self.folder / "lines.gz"


@dataclass(frozen=True)
class Contender:
    """A way to convert.

    `place` is the function that does so, as `module.function` within this package; `modules` and `commands` must be
    installed. `levels` are the levels of gzip that it can be set to. A slow one runs on one row in `one_in`. `reads` is
    what it reads: the workload's input, the finished lines as text, or the same rows in one plain CSV file.
    `other_lines` says that its lines differ from ours.
    """

    place: str
    modules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    levels: range = range(0)
    one_in: int = 1
    reads: Literal["input", "lines", "plain"] = "input"
    other_lines: bool = False

    def convert(self, task: Task) -> None:
        """Do the task in this process."""
        module, _, name = self.place.rpartition(".")
        function: Callable[[Task], None] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        function(task)

    @property
    def is_peer(self) -> bool:
        """Whether it is another tool that makes the same lines of the same input."""
        return self.reads == "input" and not self.place.startswith(("ours.", "unjudged."))

    @property
    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        modules = [name for name in self.modules if importlib.util.find_spec(name) is None]
        return modules + [name for name in self.commands if shutil.which(name) is None]


_ZLIB = range(1, 7)
CONTENDERS = {
    "ours": Contender("ours.convert"),
    "ours-on-plain": Contender("ours.convert", reads="plain"),
    "loops": Contender("ours.convert_with_loops"),
    "frames": Contender("ours.convert_without_loops"),
    "ours-to-s3": Contender("ours.convert_to_s3", other_lines=True),
    "ours-from-s3": Contender("ours.convert_from_s3"),
    "ours-changes": Contender("ours.convert_changes", other_lines=True),
    "ours-no-rules": Contender("unjudged.convert", other_lines=True),
    "floor": Contender("floor.compress_lines", reads="lines"),
    "duckdb": Contender("duckdb_copy.convert", modules=("duckdb",)),
    "duckdb-pigz": Contender("duckdb_copy.convert_with_pigz", modules=("duckdb",), commands=("pigz",), levels=_ZLIB),
    "chdb": Contender("chdb_query.convert", modules=("chdb",), levels=_ZLIB),
    "polars": Contender("polars_sink.convert", levels=_ZLIB),
    "sort": Contender("sort_pipeline.convert", commands=("mawk", "sort", "pigz"), levels=_ZLIB),
    "awk": Contender("awk_pipeline.convert", commands=("mawk", "split", "pigz"), levels=_ZLIB),
    "pandas": Contender("pandas_chunks.convert", modules=("pandas",), levels=_ZLIB, one_in=10),
    "python": Contender("plain_python.convert", levels=_ZLIB, one_in=20),
}
OURS = "ours"
OURS_TO_S3 = "ours-to-s3"
OURS_FROM_S3 = "ours-from-s3"
OURS_CHANGES = "ours-changes"
BOTH_WAYS = ("loops", "frames")
"""Ours, with and without the compiled loops, whatever the size of the input."""
REFERENCE = "python"


def run(
    name: str,
    workload: Workload,
    path: Path,
    folder: Path,
    threads: int = 0,
    level: int | None = None,
    *,
    option: str = "",
    run_threads: int = 0,
    told: Path | None = None,
    profile: bool = False,
) -> None:
    """Run a contender in this process; `profile` prints where the CPU seconds of one of ours went.

    It is limited to as many cores as it has threads, if the system can do that; 0 threads mean one a core. `level` is
    by default the chosen one; `option` is for ours. `run_threads` are as many threads on all cores. What
    `cores` needs to know of threads is written to the file `told`.
    """
    require([name])
    if not path.exists():
        raise BenchmarkError(f"There is no input '{path}': python -m benchmarks generate --help.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BenchmarkError(f"The folder '{folder}' is not empty: its files would be taken for output.")
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    threads = run_threads or threads or os.cpu_count() or 1
    if told:
        from benchmarks.threads import tell

        tell(told)
    chosen = chosen_level(name, workload.name) if level is None else level
    task = Task(workload, path.resolve(), folder.resolve(), threads, chosen or 1, option)
    if not profile:
        CONTENDERS[name].convert(task)
        return
    from benchmarks.profile import Profile

    watched = Profile()
    watched.watch()
    CONTENDERS[name].convert(task)
    print(watched)


def require(names: Iterable[str]) -> None:
    """Raise `BenchmarkError` where what a contender needs is not installed."""
    for name in names:
        if missing := CONTENDERS[name].missing:
            raise BenchmarkError(
                f"The contender '{name}' needs {', '.join(missing)}: pip install --group bench has the modules."
            )


def chosen_level(name: str, workload: str) -> int | None:
    """Return the level at which a contender's output is nearest in size to ours; nothing where it has none.

    `python -m benchmarks levels` has measured that.
    """
    if not CONTENDERS[name].levels:
        return None
    measured = measured_levels().get(workload)
    sizes = measured["by_level"].get(name) if measured else None
    if measured is None or not sizes:
        return 1
    ours = measured["ours"]
    return min(CONTENDERS[name].levels, key=lambda level: abs(sizes[str(level)] - ours))


class Sizes(TypedDict):
    """Bytes of output for so many rows: of ours, and of each contender by its level."""

    rows: int
    ours: int
    by_level: dict[str, dict[str, int]]


def measured_levels() -> dict[str, Sizes]:
    """Return what has been measured, by workload."""
    found: dict[str, Sizes] = json.loads(_LEVELS.read_text("utf-8"))
    return found


def keep_levels(workload: str, sizes: Sizes) -> None:
    """Keep what was measured, beside what is kept of other workloads."""
    _LEVELS.write_text(json.dumps(measured_levels() | {workload: sizes}, indent=1) + "\n", "utf-8")
