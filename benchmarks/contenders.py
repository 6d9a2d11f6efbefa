"""The contenders: each turns the workload's file into gzipped lines in a folder, in a process of its own.

What a contender needs is imported when it runs: a process pays, in time and memory, for its own libraries
only.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.workload import COLUMNS, DPID, ID, SIGNALS, TIMESTAMP, TRAIT_SEPARATOR, TRAITS


@dataclass(frozen=True)
class Contender:
    """A way to convert: `convert` takes the input and an empty folder; `needs` is a module it imports."""

    convert: Callable[[Path, Path], None]
    needs: str | None = None


def run(name: str, path: Path, folder: Path) -> None:
    """Run a contender here and now, in this process."""
    require(name)
    if not path.is_file():
        raise BenchmarkError(f"There is no input '{path}': python -m benchmarks generate wide-csv --help.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BenchmarkError(f"The folder '{folder}' is not empty: its files would be taken for output.")
    CONTENDERS[name].convert(path.resolve(), folder.resolve())


def require(name: str) -> None:
    """Raise `BenchmarkError` where what a contender needs is not installed."""
    needs = CONTENDERS[name].needs
    if needs and importlib.util.find_spec(needs) is None:
        raise BenchmarkError(f"The contender '{name}' is not installed: pip install {needs}")


def _ours(path: Path, folder: Path, *, worth: int | None = None) -> None:
    from converter import Job, convert, kernel

    if worth is not None:
        kernel.WORTH_BYTES = worth

    reports = folder.with_name(folder.name + "-report")  # beside the output, which holds lines only
    reports.mkdir(exist_ok=True)
    convert(
        Job(
            input={"path": str(path), "format": "csv"},
            id={"column": ID},
            record={"signals": list(SIGNALS), "traits": [TRAITS]},
            output={"to": str(folder), "dpid": DPID, "timestamp": TIMESTAMP},
            report={"dir": str(reports)},
        )
    )


def _chdb(path: Path, folder: Path) -> None:
    import chdb

    query: Callable[[str], object] = chdb.query  # untyped where it is installed, unknown where it is not
    query(_chdb_query(path, folder / "lines.gz"))


def _chdb_query(path: Path, target: Path) -> str:
    """Return the query that writes the lines.

    It rejects every ID with an '@'; in the workload those are e-mail addresses. Each item comes with a comma
    before it, and the first comma is cut off: measured a little cheaper than to filter and join an array.
    """
    pairs = [f"""if({name} = '', '', concat(',"{name}"="', {name}, '"'))""" for name in SIGNALS]
    traits = f"concat(',d_sid=', replaceAll({TRAITS}, '{TRAIT_SEPARATOR}', ',d_sid='))"
    items = ", ".join([*pairs, f"if({TRAITS} = '', '', {traits})"])
    schema = ", ".join(f"{name} String" for name in COLUMNS)
    return f"""
        SELECT concat({ID}, '\\t', substring(concat({items}), 2))
        FROM file({_quoted(path)}, 'CSVWithNames', '{schema}')
        WHERE position({ID}, ':') = 0 AND position({ID}, '@') = 0
        INTO OUTFILE {_quoted(target)} COMPRESSION 'gzip' LEVEL 1
        FORMAT LineAsString
        SETTINGS max_threads = {os.cpu_count() or 1}
    """


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def _python(path: Path, folder: Path) -> None:
    from benchmarks.reference import convert_plainly

    convert_plainly(path, folder)


CONTENDERS = {
    "ours": Contender(_ours),
    "loops": Contender(partial(_ours, worth=0)),
    "frames": Contender(partial(_ours, worth=1 << 62)),
    "chdb": Contender(_chdb, needs="chdb"),
    "python": Contender(_python),
}
OURS = "ours"
BOTH_WAYS = ("loops", "frames")
"""Ours, with and without the compiled loops, whatever the size of the input."""
REFERENCE = "python"
