"""`check`: our converter's lines against those of the plain reference script, one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.contenders import OURS, REFERENCE
from benchmarks.lines import first_difference
from benchmarks.measure import generated, measure
from benchmarks.workload import DATA, file_name


def check(rows: int, seed: int) -> bool:
    """Convert a file of `rows` rows in both ways; print the result and return whether the lines are equal."""
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="check-", dir=DATA) as folder:
        path = generated(Path(folder, file_name(rows)), rows, seed)
        ours, theirs = Path(folder, OURS), Path(folder, REFERENCE)
        measure(OURS, path, ours)
        measure(REFERENCE, path, theirs)
        equal, differ = first_difference(ours, theirs)
    if differ:
        # The number only: what a line says of a user is not for a log.
        print(f"The outputs differ first in line {equal + 1:,}.")
    else:
        print(f"{equal:,} lines from {rows:,} rows, each the same as the reference script's.")
    return not differ
