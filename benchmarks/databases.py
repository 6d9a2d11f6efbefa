"""`databases`: ours from a table of PostgreSQL, by its URL and from `COPY … TO STDOUT` as standard input, in turns.

The server is one of this machine, with a table of its own; its CPU seconds count in the wall time alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.lines import digest
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, outputs, run_command
from benchmarks.postgresql import PASSWORD, Server, postgresql
from benchmarks.results import Measured, OptionCosts
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, DPID, TIMESTAMP, Input

OURS = "by its URL"
COPY = "COPY into standard input"
GOAL = 1.0
"""The highest ratio of wall times of `OURS` and `COPY` that we want."""
MOST_BYTES = 512_000_000
"""The most memory that we want either to take."""
_TABLE = "crm"
_MIB = 2**20


def databases(source: Input, runs: int, target: Path) -> None:
    """Load the table, measure both ways in turns, print a table and write all numbers to `target`.

    Raises `BenchmarkError` if their lines are not the same.
    """
    machine = describe()
    print(f"{machine}\n{source.path.name}, {runs} runs each, in turns\n", flush=True)
    path = generated(source)
    found: dict[str, list[Measurement]] = {OURS: [], COPY: []}
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="databases-", dir=DATA) as name, postgresql() as server:
        _load(server, source, path)
        folder = Path(name).resolve()
        for run in range(1, runs + 1):
            for way, command in _commands(server, source, folder).items():
                found[way].append(_measure(command, folder / way))
                print(f"run {run}: {way} took {found[way][-1].wall_seconds:,.2f} s", flush=True)
            if run == 1:
                _compare(folder)
    costs = OptionCosts(
        source.rows, source.seed, COPY, [Measured(way, source.rows, each) for way, each in found.items()], machine
    )
    print(f"\n{summary(costs)}")
    costs.write(target)


def _load(server: Server, source: Input, path: Path) -> None:
    """Copy the file into a table of texts, all of which is in memory or on disk once this is done."""
    columns = ", ".join(f"{name} text" for name in source.workload.columns)
    server.run(f"CREATE UNLOGGED TABLE {_TABLE} ({columns})")
    server.run(f"\\copy {_TABLE} FROM '{path.resolve()}' WITH (FORMAT csv, HEADER)")
    server.run(f"VACUUM (ANALYZE, FREEZE) {_TABLE}")
    server.run("CHECKPOINT")


def _commands(server: Server, source: Input, folder: Path) -> Mapping[str, list[str]]:
    """Return the command of each way, which writes to a folder of its name."""
    copy = f"COPY {_TABLE} TO STDOUT WITH (FORMAT csv, HEADER)"
    pipeline = [server.client(copy), _convert("-", source, folder / COPY, "--format", "csv")]
    return {
        OURS: _convert(server.url, source, folder / OURS, "--set", f"input.table={_TABLE}"),
        COPY: ["bash", "-o", "pipefail", "-c", " | ".join(map(shlex.join, pipeline))],
    }


def _convert(path: str, source: Input, folder: Path, *options: str) -> list[str]:
    """Return our command."""
    workload = source.workload
    settings = [f"output.timestamp={TIMESTAMP}", f"report.dir={folder}-report"]
    chosen = [part for name in workload.signals for part in ("--signal", name)]
    chosen += [part for setting in settings for part in ("--set", setting)]
    chosen += ["--id", workload.id, "--trait", workload.traits, "--dpid", str(DPID), "--to", str(folder)]
    return [sys.executable, "-m", "converter", "convert", path, "--quiet", *chosen, *options]


def _measure(command: list[str], folder: Path) -> Measurement:
    for each in (folder, Path(f"{folder}-report")):
        shutil.rmtree(each, ignore_errors=True)
    os.sync()
    wall, cpu, peak = run_command(command, environment={**_environment(), "PGPASSWORD": PASSWORD})
    return Measurement(wall, cpu, peak, sum(file.stat().st_size for file in outputs(folder)))


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _compare(folder: Path) -> None:
    """Compare the lines of both ways."""
    ours, copied = digest(folder / OURS), digest(folder / COPY)
    if not ours.same_lines(copied):
        raise BenchmarkError(f"The lines differ: {ours.lines:,} {OURS}, {copied.lines:,} by {COPY}.")
    order = "in the same order" if ours.sha256 == copied.sha256 else "in another order"
    print(f"{ours.lines:,} lines, the same, {order}", flush=True)


def summary(costs: OptionCosts) -> str:
    """Return what both ways took as a table for the terminal."""
    base = costs.of_base
    rows = []
    for each in costs.options:
        missed = "missed" if each.ratio(base) > GOAL or max(each.peaks) > MOST_BYTES else ""
        ratios = [spread(each.ratios(base)), spread(each.cpu_ratios(base))]
        rows.append([each.name, spread(each.walls), spread(each.cpus), *ratios, spread(each.peaks, _MIB, 0), missed])
    peak = f"peak MiB (≤ {MOST_BYTES // _MIB})"
    head = ["table", "wall s", "CPU s", f"wall / COPY (≤ {GOAL})", "CPU / COPY", peak, ""]
    note = "median [least-most]; ratios within each turn; psql counts in CPU seconds, the server does not"
    return f"{table(head, rows)}\n{note}"
