"""`check`: our converter's lines against those of the plain reference script, one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.contenders import BOTH_WAYS, REFERENCE
from benchmarks.lines import first_difference
from benchmarks.measure import generated, measure
from benchmarks.workload import DATA, file_name


def check(rows: int, seed: int) -> bool:
    """Convert a file of `rows` rows in each way; print the result and return whether the lines are equal."""
    DATA.mkdir(parents=True, exist_ok=True)
    same = True
    with tempfile.TemporaryDirectory(prefix="check-", dir=DATA) as folder:
        path = generated(Path(folder, file_name(rows)), rows, seed)
        theirs = Path(folder, REFERENCE)
        measure(REFERENCE, path, theirs)
        for way in BOTH_WAYS:
            ours = Path(folder, way)
            measure(way, path, ours)
            equal, differ = first_difference(ours, theirs)
            if differ:
                # The number only: what a line says of a user is not for a log.
                print(f"{way}: the outputs differ first in line {equal + 1:,}.")
                same = False
            else:
                print(f"{way}: {equal:,} lines from {rows:,} rows, each the same as the reference script's.")
    return same
