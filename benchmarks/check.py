"""`check`: our converter's lines against those of the plain reference script, one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import BOTH_WAYS, OURS, REFERENCE
from benchmarks.lines import first_difference
from benchmarks.measure import generated, measure
from benchmarks.workloads import DATA, Input, Workload


def check(workloads: Sequence[Workload], rows: int, seed: int) -> bool:
    """Convert files of `rows` rows in each way; print the result and return whether all lines are equal."""
    right = [_is_right(workload, rows, seed) for workload in workloads]  # all of them, also after a wrong one
    return all(right)


def _is_right(workload: Workload, rows: int, seed: int) -> bool:
    DATA.mkdir(parents=True, exist_ok=True)
    same = True
    with tempfile.TemporaryDirectory(prefix="check-", dir=DATA) as folder:
        path = generated(Input(workload, rows, seed, Path(folder)))
        theirs = Path(folder, REFERENCE)
        measure(REFERENCE, workload, path, theirs)
        for way in BOTH_WAYS if workload.format != "parquet" else [OURS]:
            ours = Path(folder, way)
            measure(way, workload, path, ours)
            equal, differ = first_difference(ours, theirs)
            if differ:
                # The number only: what a line says of a user is not for a log.
                print(f"{workload.name}, {way}: the outputs differ first in line {equal + 1:,}.")
                same = False
            else:
                print(
                    f"{workload.name}, {way}: {equal:,} lines from {rows:,} rows, each as the reference script has it."
                )
    return same
