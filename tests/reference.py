"""What a data file should be, worked out row by row in plain Python. It imports nothing of the package.

Slow and simple on purpose: golden files and property tests compare the converter with it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FORBIDDEN = re.compile("[:\x00-\x1f\x7f-\x9f\ufeff]|%3[Aa]")
ADDRESS = re.compile(r"[\w!#$&'*+.=?^`{|}~\"-](?: ?@|@ )(?:[^\W_][\w-]*\.)+[^\W\d_]{2,}")
"""An e-mail address, anywhere in a text: no domain ends in a number or in one letter."""


def read_csv(path: str) -> list[dict[str, str]]:
    """Read a sound CSV file; all fields are text."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines(rows: Iterable[dict[str, str]], job: dict[str, Any]) -> Iterator[str | None]:
    """Yield the line of each row as `line` gives it. `job` is laid out as a job file is."""
    for row in rows:
        yield line(row, job)


def line(row: dict[str, str], job: dict[str, Any]) -> str | None:
    """Return the line of a row, `None` where it is rejected, empty where it is skipped."""
    record = job["record"]
    id_ = row[job["id"]["column"]].strip()
    if not id_ or FORBIDDEN.search(id_) or ADDRESS.search(id_):
        return None
    signals = []
    for signal in record.get("signals", []):
        signal = {"column": signal, "key": signal} if isinstance(signal, str) else signal
        value = signal.get("value") or row[signal["column"]]
        if re.search('["\x00-\x1f\x7f-\x9f]', value):
            on_bad_value = record.get("on_bad_value", "clean")
            if on_bad_value == "reject":
                return None
            value = re.sub("[\x00-\x1f\x7f-\x9f]+", " ", value).replace('"', "'") if on_bad_value == "clean" else ""
        if value:
            signals.append(f'"{signal.get("key", signal.get("column"))}"="{value}"')
    for prefix, name in (("d_sid", "traits"), ("d_unsid", "removed_traits")):
        for list_ in record.get(name, []):
            if isinstance(list_, int):
                signals.append(f"{prefix}={list_}")
                continue
            list_ = {"column": list_} if isinstance(list_, str) else list_
            items = (item.strip() for item in row[list_["column"]].split(list_.get("separator", "|")))
            signals += [f"{prefix}={item}" for item in items if re.fullmatch("[0-9]+", item)]
    text = f"{id_}\t{','.join(signals)}\n"
    if len(text.encode()) > 102_400:
        return None
    return text if signals else ""
