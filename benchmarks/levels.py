"""`levels`: how large each contender's output is at each level of gzip, so that like is compared with like."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.compare import present
from benchmarks.contenders import CONTENDERS, OURS, chosen_level, keep_levels
from benchmarks.measure import generated, measure
from benchmarks.table import table
from benchmarks.workloads import DATA, Input


def levels(source: Input) -> None:
    """Run every contender that has levels at each of them, print the sizes, and keep them for other runs."""
    path = generated(source)
    workload = source.workload
    names = present([name for name in workload.contenders if CONTENDERS[name].levels])
    with tempfile.TemporaryDirectory(prefix="levels-", dir=DATA) as folder:
        output = Path(folder, "output")
        ours = measure(OURS, workload, path, output).output_bytes
        sizes: dict[str, dict[str, int]] = {}
        for name in names:
            sizes[name] = {}
            for level in CONTENDERS[name].levels:
                sizes[name][str(level)] = measure(name, workload, path, output, level=level).output_bytes
    keep_levels(workload.name, {"rows": source.rows, "ours": ours, "by_level": sizes})
    rows = [
        [name, str(chosen_level(name, workload.name)), *(f"{size / ours:.2f}" for size in sizes[name].values())]
        for name in names
    ]
    most = max((len(row) for row in rows), default=2) - 2
    print(f"{workload.name}, {source.rows:,} rows: sizes in terms of those of {OURS} ({ours:,} bytes)\n")
    print(table(["contender", "chosen", *(f"level {level + 1}" for level in range(most))], rows))
