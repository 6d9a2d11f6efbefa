"""The contender `python`: what one would write with `csv` and `gzip` in an afternoon.

It is also what `check` compares with, so it shares nothing with the converter and says every rule again in
its own words. It covers what the workloads contain: no value there has a control character.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.contenders import Task
from benchmarks.options import BASE, OPTIONS
from benchmarks.workloads import TRAIT_SEPARATOR, Workload


def convert(task: Task) -> None:
    """Convert row by row, to one file."""
    workload = task.workload
    columns = OPTIONS[task.option or BASE].columns
    rows = _parquet_rows(task.path, workload.used) if workload.format == "parquet" else _text_rows(task)
    users: defaultdict[str, set[str]] = defaultdict(set)
    with gzip.open(task.target, "wt", compresslevel=task.level, encoding="utf-8", newline="") as lines:
        for row in map(OPTIONS[task.option or BASE].change, rows):
            # An ID with a colon is forbidden, and one that is an e-mail address would be personal data.
            if ":" in row[workload.id] or "@" in row[workload.id]:
                continue
            if workload.gathered:
                users[row[workload.id]].add(row[workload.traits])
            else:
                lines.write("\t".join(row[name] for name in columns) + "\n" if columns else _line(workload, row))
        for user, traits in users.items():
            lines.write(f"{user}\t{','.join(f'd_sid={trait}' for trait in sorted(traits))}\n")


def _text_rows(task: Task) -> Iterator[Mapping[str, str]]:
    for path in task.files:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file) if task.workload.format == "csv" else map(json.loads, file)


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[Mapping[str, str]]:
    """Yield rows of texts; the standard library reads no Parquet, so pyarrow does."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                yield {name: _text(value) for name, value in row.items()}


def _text(value: str | int | float | bool | dt.date | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)  # of a float, the fewest digits that give it back; of a date, year-month-day


def _line(workload: Workload, row: Mapping[str, str]) -> str:
    # Within the quotes of a pair, a double quote is written as a single one.
    values = {name: row[name].replace('"', "'") for name in workload.signals if row[name]}
    items = [f'"{name}"="{value}"' for name, value in values.items()]
    items += [f"d_sid={trait}" for trait in row[workload.traits].split(TRAIT_SEPARATOR) if trait]
    return f"{row[workload.id]}\t{','.join(items)}\n"
