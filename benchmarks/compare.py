"""`compare`: contenders on the same input, in turns, with their outputs proven equal."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import OURS, require
from benchmarks.lines import Digest, digest
from benchmarks.machine import Machine, describe
from benchmarks.measure import Measurement, measure, warm
from benchmarks.table import spread, table
from benchmarks.workload import DATA

_MB = 1e6
_MIB = 2**20


def compare(path: Path, names: Sequence[str], runs: int, target: Path) -> None:
    """Measure each contender `runs` times, print a table and write all numbers to `target` as JSON.

    Raises `BenchmarkError` where a contender is missing or fails, or where outputs differ.
    """
    for name in names:
        require(name)
    if not path.is_file():
        raise BenchmarkError(f"There is no input '{path}': python -m benchmarks generate wide-csv --help.")
    machine = describe()
    size = path.stat().st_size / _MB
    print(f"{machine}\n{path.name}, {size:,.1f} MB, {runs} runs each, in turns\n", flush=True)
    measured, digests = _in_turns(path, names, runs)
    base = OURS if OURS in names else names[0]
    ratios = {name: _ratios(measured[name], measured[base]) for name in names}
    ordered = len({found.sha256 for found in digests.values()}) == 1
    print(f"\n{_table(measured, ratios, base)}\n")
    print(_proof(digests[base], len(names), ordered=ordered))
    _write(target, path, machine, measured, ratios, base, digests)


def _in_turns(path: Path, names: Sequence[str], runs: int) -> tuple[dict[str, list[Measurement]], dict[str, Digest]]:
    """Run A B A B …: what changes on the machine meanwhile then changes for all of them."""
    measured: dict[str, list[Measurement]] = {name: [] for name in names}
    digests: dict[str, Digest] = {}
    DATA.mkdir(parents=True, exist_ok=True)
    warm(path)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=DATA) as folder:
        for run in range(1, runs + 1):
            for name in names:
                output = Path(folder, name)
                found = measure(name, path, output)
                measured[name].append(found)
                print(f"run {run}: {name} took {found.wall_seconds:,.2f} s", flush=True)
                if name not in digests:
                    digests[name] = digest(output)
                    _check(name, digests[name], names[0], digests[names[0]])
    return measured, digests


def _check(name: str, found: Digest, first: str, wanted: Digest) -> None:
    if not found.same_lines(wanted):
        raise BenchmarkError(
            f"The lines of {name} ({found.lines:,}, {found.text_bytes:,} bytes) are not those of {first} "
            f"({wanted.lines:,}, {wanted.text_bytes:,} bytes): nothing can be compared."
        )


def _ratios(runs: Sequence[Measurement], base: Sequence[Measurement]) -> list[float]:
    """Return wall times, run by run, in terms of those of `base` in the same turn."""
    return [run.wall_seconds / other.wall_seconds for run, other in zip(runs, base, strict=True)]


def _table(measured: Mapping[str, Sequence[Measurement]], ratios: Mapping[str, Sequence[float]], base: str) -> str:
    wall = {name: statistics.median(run.wall_seconds for run in runs) for name, runs in measured.items()}
    head = ["contender", "wall s", "CPU s", "peak MiB", "output MB", f"wall / {base}", "run by run"]
    rows = [
        [
            name,
            spread([run.wall_seconds for run in runs]),
            spread([run.cpu_seconds for run in runs]),
            spread([run.peak_bytes for run in runs], _MIB, 0),
            spread([statistics.median(run.output_bytes for run in runs)], _MB, 1),
            f"{wall[name] / wall[base]:.2f}",
            spread(ratios[name]),
        ]
        for name, runs in measured.items()
    ]
    return f"{table(head, rows)}\nmedian [least-most]"


def _proof(found: Digest, contenders: int, *, ordered: bool) -> str:
    lines = f"{found.lines:,} lines, {found.text_bytes / _MB:,.1f} MB of text"
    if contenders == 1:
        return f"{lines}; one contender, so there was nothing to compare them with"
    order = "in the same order" if ordered else "though not in the same order"
    return f"{lines}; the same from every contender, {order}"


def _write(
    target: Path,
    path: Path,
    machine: Machine,
    measured: Mapping[str, Sequence[Measurement]],
    ratios: Mapping[str, Sequence[float]],
    base: str,
    digests: Mapping[str, Digest],
) -> None:
    document = {
        "machine": asdict(machine),
        "input": {"name": path.name, "bytes": path.stat().st_size},
        "base": base,
        "contenders": {
            name: {
                "runs": [asdict(run) for run in runs],
                "wall_seconds_median": statistics.median(run.wall_seconds for run in runs),
                "wall_ratios": ratios[name],
                "lines": digests[name].lines,
                "text_bytes": digests[name].text_bytes,
                "sha256": digests[name].sha256,
            }
            for name, runs in measured.items()
        },
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
