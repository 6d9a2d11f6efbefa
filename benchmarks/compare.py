"""`compare`: contenders on the same input, in turns, with their outputs proven equal.

1. The inputs are generated, and ours runs once, unmeasured: it gives the lines that all must give.
2. The contenders take turns (A B A B …), each in a fresh process. After a contender's first run its lines are read.
3. Everything is printed, and kept as JSON.
"""

from __future__ import annotations

import gzip
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import CONTENDERS, OURS, chosen_level, require
from benchmarks.lines import Digest, digest
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, measure, outputs, run_fresh, size_of
from benchmarks.results import Comparison, Measured
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, Input

_MB = 1e6
_MIB = 2**20
_LEAST_ROWS = 200_000  # of which a part is measured: in fewer, starting would count too much


@dataclass(frozen=True)
class _Entry:
    """A contender and what it runs on: one row in `one_in`, at a level of gzip."""

    name: str
    source: Input
    one_in: int
    level: int | None

    def path(self, lines: Path) -> Path:
        """Return what it reads; `lines` is the file of the finished lines."""
        match CONTENDERS[self.name].reads:
            case "lines":
                return lines
            case "plain":
                return generated(self.source.plain)
            case _:
                return generated(self.source)


def compare(source: Input, names: Sequence[str], runs: int, target: Path) -> None:
    """Measure each contender `runs` times, print a table and write all numbers to `target` as JSON.

    Raises `BenchmarkError` where a contender is missing or fails, or where outputs differ.
    """
    require(names)
    entries = [_entry(name, source) for name in names]
    machine = describe()
    size = size_of(generated(source))
    print(f"{machine}\n{source.path.name}, {size / _MB:,.1f} MB, {runs} runs each, in turns\n", flush=True)
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=DATA) as folder:
        wanted, text = _prepared(entries, source, Path(folder))
        measured = _in_turns(entries, runs, wanted, text, Path(folder))
    base = OURS if OURS in names else names[0]
    whole = wanted[source.rows]
    result = Comparison(
        workload=source.workload.name,
        rows=source.rows,
        seed=source.seed,
        input_bytes=size,
        lines=whole.lines,
        text_bytes=whole.text_bytes,
        base=base,
        contenders=measured,
        machine=machine,
    )
    print(f"\n{summary(result)}")
    result.write(target)


def profile(source: Input) -> None:
    """Print where our CPU seconds go, with the rules and without."""
    for name in (OURS, "ours-no-rules"):
        with tempfile.TemporaryDirectory(prefix="profile-", dir=DATA) as folder:
            options = ["--workload", source.workload.name, "--profile"]
            print(f"\n{name}:", flush=True)
            run_fresh("run", name, str(source.path.resolve()), folder + "/out", *options, output=None)


def present(names: Sequence[str]) -> list[str]:
    """Return those of the contenders that are installed, and say which ones are not."""
    for name in names:
        if missing := CONTENDERS[name].missing:
            print(f"{name} is left out: {', '.join(missing)} is not installed.")
    return [name for name in names if not CONTENDERS[name].missing]


def _entry(name: str, source: Input) -> _Entry:
    one_in = CONTENDERS[name].one_in
    if source.rows // one_in < _LEAST_ROWS:
        one_in = 1
    part = Input(source.workload, source.rows // one_in, source.seed, source.folder)
    return _Entry(name, part, one_in, chosen_level(name, source.workload.name))


def _prepared(entries: Sequence[_Entry], source: Input, folder: Path) -> tuple[dict[int, Digest], Path]:
    """Run ours once on each input, unmeasured.

    Return its lines' digests by the input's rows, and a file that has the lines as text where one is needed.
    """
    text, output = folder / "lines.txt", folder / "prepared"
    wanted: dict[int, Digest] = {}
    for part in [source, *(entry.source for entry in entries)]:
        if part.rows in wanted:
            continue
        measure(OURS, part.workload, generated(part), output)
        wanted[part.rows] = digest(output)
        if part == source and any(CONTENDERS[entry.name].reads == "lines" for entry in entries):
            with text.open("wb") as file:
                for packed in outputs(output):
                    with gzip.open(packed) as lines:
                        shutil.copyfileobj(lines, file, 1 << 20)
        shutil.rmtree(output)
    for entry in entries:
        if CONTENDERS[entry.name].other_lines:  # it compiles loops of its own
            measure(entry.name, entry.source.workload, generated(entry.source), output)
            shutil.rmtree(output)
    return wanted, text


def _in_turns(
    entries: Sequence[_Entry], runs: int, wanted: dict[int, Digest], text: Path, folder: Path
) -> list[Measured]:
    """Run A B A B …: what changes on the machine meanwhile then changes for all of them."""
    measured: dict[str, list[Measurement]] = {entry.name: [] for entry in entries}
    in_order = {}
    for run in range(1, runs + 1):
        for entry in entries:
            output = folder / entry.name
            found = measure(entry.name, entry.source.workload, entry.path(text), output, level=entry.level)
            measured[entry.name].append(found)
            print(f"run {run}: {entry.name} took {found.wall_seconds:,.2f} s", flush=True)
            if entry.name not in in_order:
                in_order[entry.name] = _proven(entry, digest(output), wanted[entry.source.rows])
            shutil.rmtree(output)
    return [
        Measured(
            name=entry.name,
            rows=entry.source.rows,
            runs=measured[entry.name],
            one_in=entry.one_in,
            level=entry.level,
            in_order=in_order[entry.name],
        )
        for entry in entries
    ]


def _proven(entry: _Entry, found: Digest, wanted: Digest) -> bool:
    """Say whether the lines are in our order. Raises `BenchmarkError` where they are others."""
    if CONTENDERS[entry.name].other_lines:
        return True
    if not found.same_lines(wanted):
        raise BenchmarkError(
            f"The lines of {entry.name} ({found.lines:,}, {found.text_bytes:,} bytes) are not those of {OURS} "
            f"({wanted.lines:,}, {wanted.text_bytes:,} bytes): nothing can be compared."
        )
    return found.sha256 == wanted.sha256


def summary(result: Comparison) -> str:
    """Return the result as a table for the terminal, with what must be known to read it."""
    head = ["contender", "level", "wall s", "CPU s", "CPU/wall", "peak MiB", "output MB"]
    head += [f"wall / {result.base}", "run by run"]
    rows = []
    for each in result.contenders:
        mark = f" (1 row in {each.one_in})" if each.one_in > 1 else ""
        size = statistics.median(run.output_bytes for run in each.runs) * each.one_in
        rows.append(
            [
                each.name + mark,
                "" if each.level is None else str(each.level),
                spread(each.walls),
                spread(each.cpus),
                f"{each.cpu / each.wall:.2f}",
                spread(each.peaks, _MIB, 0),
                f"{size / _MB:,.1f}",
                f"{each.wall / result.of_base.wall:.2f}",
                spread(each.ratios(result.of_base)),
            ]
        )
    notes = ["median [least-most]; the peak is of the largest process; the level is that of gzip, where one can be set"]
    if any(each.one_in > 1 for each in result.contenders):
        notes.append("1 row in N: measured on so many rows alone; seconds and bytes are N times what was measured")
    others = ", ".join(each.name for each in result.contenders if not each.in_order)
    order = f"the same from every contender{f', in another order from {others}' if others else ''}"
    notes.append(f"{result.lines:,} lines, {result.text_bytes / _MB:,.1f} MB of text; {order}")
    return "\n".join([table(head, rows), *notes])
