"""`start`: a job of 1,000 rows, as a user starts it, beside the import of Polars, which it cannot do without."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, run_command, warm
from benchmarks.results import Measured, Start
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, DPID, PLAIN, WORKLOADS, Input, Workload

BASE = "import polars"
OURS = "aam-inbound convert"
ROWS = 1_000
GOAL = 1.8
"""The highest ratio of wall times of `OURS` and `BASE` that we want."""
_MIB = 2**20


def start(seed: int, runs: int, target: Path) -> None:
    """Run the commands in turns, print a table and write all numbers to `target`."""
    machine = describe()
    print(f"{machine}\n{ROWS:,} rows, {runs} runs each, in turns\n", flush=True)
    source = Input(WORKLOADS[PLAIN], ROWS, seed)
    warm(generated(source))
    with tempfile.TemporaryDirectory(prefix="start-", dir=DATA) as folder:
        output = Path(folder, "out").resolve()
        commands = {
            "python": [sys.executable, "-c", "pass"],
            BASE: [sys.executable, "-c", "import polars"],
            "import converter": [sys.executable, "-c", "from converter import Job, convert"],
            OURS: [sys.executable, "-m", "converter", *arguments(source.workload, source.path.resolve(), output)],
        }
        found: dict[str, list[Measurement]] = {name: [] for name in commands}
        for run in range(runs + 1):  # the first one only warms up
            for name, command in commands.items():
                shutil.rmtree(output, ignore_errors=True)
                wall, cpu, peak = run_command(command)
                if run:
                    found[name].append(Measurement(wall, cpu, peak, 0))
    result = Start(BASE, [Measured(name, ROWS, each) for name, each in found.items()], machine)
    print(summary(result))
    result.write(target)


def arguments(workload: Workload, path: Path, output: Path) -> list[str]:
    """Return the arguments of the command line with which the file at `path` is converted to the folder `output`."""
    signals = [part for name in workload.signals for part in ("--signal", name)]
    to = ["--to", str(output), "--report-dir", str(output / "reports")]
    return ["convert", str(path), "--id", workload.id, *signals, "--trait", workload.traits, "--dpid", str(DPID), *to]


def summary(result: Start) -> str:
    """Return the times as a table for the terminal."""
    base = result.of(result.base)
    rows = [
        [
            each.name,
            spread(each.walls),
            spread(each.cpus),
            spread(each.ratios(base)),
            spread(each.cpu_ratios(base)),
            spread(each.peaks, _MIB, 0),
            f"{GOAL}" if each.name == OURS else "",
        ]
        for each in result.commands
    ]
    head = ["command", "wall s", "CPU s", f"wall / {base.name}", f"CPU / {base.name}", "peak MiB", "goal"]
    return f"{table(head, rows)}\nmedian [least-most]; the goal is for the ratio of wall times"
