"""`scale`: our converter on inputs of growing size; memory should not grow with them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import OURS
from benchmarks.machine import describe
from benchmarks.measure import generated, measure, warm
from benchmarks.table import table
from benchmarks.workload import DATA, file_name


def scale(rows: int, factors: Sequence[int], seed: int) -> None:
    """Convert files of `rows` times each factor, and print what that took beside the first."""
    print(f"{describe()}\n", flush=True)
    printed = []
    first = None
    DATA.mkdir(parents=True, exist_ok=True)
    for factor in factors:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=DATA) as folder:
            path = generated(Path(folder, file_name(rows * factor)), rows * factor, seed)
            warm(path)
            found = measure(OURS, path, Path(folder, OURS))
            size = path.stat().st_size
        first = first or found
        printed.append(
            [
                f"{rows * factor:,}",
                f"{size / 1e6:,.1f}",
                f"{found.wall_seconds:,.2f}",
                f"{found.peak_bytes / 2**20:,.0f}",
                f"{found.wall_seconds / first.wall_seconds:.2f}",
                f"{found.peak_bytes / first.peak_bytes:.2f}",
            ]
        )
    print(table(["rows", "input MB", "wall s", "peak MiB", "wall / first", "peak / first"], printed))
