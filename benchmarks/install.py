"""`install`: how long `pip install .` takes in an empty environment, how large it is, and what the first run takes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, outputs, run_command, warm
from benchmarks.results import Installation
from benchmarks.start import arguments
from benchmarks.table import table
from benchmarks.workloads import ROOT, Input

_MB = 1e6
_RUNS = 4  # the first and the second are compared; the others say how much runs differ
_SHOWN = 12  # packages
GOAL_BYTES, GOAL_RATIO = 620_000_000, 1.1
"""The highest size, and the highest ratio of the first run and the second, that we want."""


def install(source: Input, target: Path) -> None:
    """Install into a new environment, convert `source` in it, print what that took and write it to `target`.

    pip takes packages from its cache if they are there. The home folder is a new one, so that no cache of ours exists.
    """
    machine = describe()
    print(f"{machine}\n{source.path.name}\n", flush=True)
    warm(generated(source))
    with tempfile.TemporaryDirectory(prefix="install-") as folder:  # not below the sources, which would be imported
        environment = Path(folder, "environment")
        run_command([sys.executable, "-m", "venv", str(environment)])
        python = str(environment / "bin" / "python")
        before = _packages(environment)
        seconds, _, _ = run_command([python, "-m", "pip", "install", "--quiet", "--quiet", str(ROOT)])
        packages = _packages(environment)
        added = {name: size - before.get(name, 0) for name, size in packages.items() if size > before.get(name, 0)}
        runs = [_run(environment, source, Path(folder)) for _ in range(_RUNS)]
    result = Installation(seconds, sum(added.values()), added, source.rows, runs, machine)
    print(summary(result))
    result.write(target)


def _packages(environment: Path) -> dict[str, int]:
    """Return the bytes of each folder and file with packages, the largest first."""
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes = {each.name: _bytes(each) for each in packages.iterdir()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def _run(environment: Path, source: Input, folder: Path) -> Measurement:
    output = folder / "out"
    command = [str(environment / "bin" / "aam-inbound"), *arguments(source.workload, source.path.resolve(), output)]
    home = folder / "home"
    home.mkdir(exist_ok=True)
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "XDG_"))}
    try:
        wall, cpu, peak = run_command(command, folder=home, environment=variables | {"HOME": str(home)})
        return Measurement(wall, cpu, peak, sum(file.stat().st_size for file in outputs(output) if file.is_file()))
    finally:
        shutil.rmtree(output, ignore_errors=True)


def summary(result: Installation) -> str:
    """Return the sizes and the times as tables for the terminal."""
    shown = list(result.packages.items())[:_SHOWN]
    rows = [[name, f"{size / _MB:,.1f}"] for name, size in shown]
    rows.append(["others", f"{(result.bytes - sum(size for _, size in shown)) / _MB:,.1f}"])
    rows.append(["all", f"{result.bytes / _MB:,.1f}"])
    runs = [
        [f"{number}", f"{run.wall_seconds:.2f}", f"{run.cpu_seconds:.2f}", f"{run.peak_bytes / 2**20:,.0f}"]
        for number, run in enumerate(result.runs, 1)
    ]
    return "\n".join(
        [
            f"pip install: {result.install_seconds:.1f} s, from its cache where packages were there",
            f"{table(['package', 'MB'], rows)}\ngoal: at most {GOAL_BYTES / _MB:,.0f} MB\n",
            table([f"run, {result.rows:,} rows", "wall s", "CPU s", "peak MiB"], runs),
            f"first run / second run: {result.first_ratio:.2f} (goal: at most {GOAL_RATIO}); "
            f"in CPU seconds {result.runs[0].cpu_seconds / result.runs[1].cpu_seconds:.2f}",
        ]
    )
