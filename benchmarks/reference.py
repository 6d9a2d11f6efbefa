"""The contender `python`: what one would write with the standard library in an afternoon.

It is also what `check` compares with, so it shares nothing with the converter and says every rule again in
its own words. It covers what the workload holds: no value there has a double quote or a control character.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

from benchmarks.workload import DPID, ID, SIGNALS, TIMESTAMP, TRAIT_SEPARATOR, TRAITS

_LEVEL = 1  # as the other contenders compress


def convert_plainly(path: Path, folder: Path) -> None:
    """Convert the workload at `path`, row by row, to one file in `folder`."""
    target = folder / f"ftp_dpm_{DPID}_{TIMESTAMP}.sync.1.gz"
    with (
        path.open(encoding="utf-8", newline="") as rows,
        gzip.open(target, "wt", compresslevel=_LEVEL, encoding="utf-8", newline="") as lines,
    ):
        for row in csv.DictReader(rows):
            # An ID with a colon is forbidden, and one that is an e-mail address would be personal data.
            if ":" not in row[ID] and "@" not in row[ID]:
                lines.write(_line(row))


def _line(row: Mapping[str, str]) -> str:
    items = [f'"{name}"="{row[name]}"' for name in SIGNALS if row[name]]
    items += [f"d_sid={trait}" for trait in row[TRAITS].split(TRAIT_SEPARATOR) if trait]
    return f"{row[ID]}\t{','.join(items)}\n"
