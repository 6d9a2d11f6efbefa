"""The benchmarks measure what they say: every contender makes our lines, and all of a process tree is counted."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import BenchmarkError, measure
from benchmarks.contenders import CONTENDERS, Contender, chosen_level, floor, measured_levels, run
from benchmarks.generate import generate
from benchmarks.lines import digest
from benchmarks.machine import Machine
from benchmarks.measure import Measurement, outputs
from benchmarks.results import Comparison, Measured, Scaling, comparison_path, read, scaling_path
from benchmarks.workloads import WORKLOADS, Input
from converter.parts import packer as parts

ROWS = 20_000


@pytest.fixture(scope="module", params=WORKLOADS)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Input:
    """A small input of each workload."""
    made = Input(WORKLOADS[request.param], ROWS, folder=tmp_path_factory.mktemp("inputs"))
    generate(made)
    return made


@pytest.fixture(scope="module")
def ours(table: Input, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours") / "output"
    run("ours", table.workload, table.path, folder)
    return folder


def test_a_workload_has_rows_that_are_rejected(table: Input, ours: Path) -> None:
    assert 0 < ROWS - digest(ours).lines < ROWS // 500


def test_the_same_seed_gives_the_same_file(table: Input, tmp_path: Path) -> None:
    again = Input(table.workload, ROWS, folder=tmp_path)
    generate(again)
    assert again.path.read_bytes() == table.path.read_bytes()
    assert Input.at(again.path) == again


@pytest.mark.parametrize("name", ["floor", "polars", "python"])
def test_contenders_make_our_lines(name: str, table: Input, ours: Path, tmp_path: Path) -> None:
    _check_lines(name, table, ours, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["awk", "chdb", "duckdb", "duckdb-pigz", "pandas"])
def test_contenders_of_the_group_make_our_lines(name: str, table: Input, ours: Path, tmp_path: Path) -> None:
    if name not in table.workload.contenders or CONTENDERS[name].missing:
        pytest.skip("not installed, or not for this workload")
    _check_lines(name, table, ours, tmp_path)


def _check_lines(name: str, table: Input, ours: Path, folder: Path) -> None:
    path = table.path
    if CONTENDERS[name].reads == "lines":
        path = folder / "lines.txt"
        path.write_bytes(b"".join(gzip.decompress(file.read_bytes()) for file in outputs(ours)))
    # In a process of its own, as it is measured: libraries keep threads and settings in theirs.
    measure.measure(name, table.workload, path, folder / "output")
    assert digest(folder / "output").same_lines(digest(ours))


def test_the_floor_compresses_as_we_do(tmp_path: Path) -> None:
    assert (parts.ISAL_LEVELS["balanced"], parts._BLOCK_BYTES) == (floor.LEVEL, floor.BLOCK_BYTES)
    assert parts.WINDOW_BYTES == floor.WINDOW_BYTES
    text = b'U1\t"plan"="basic"\n' * 1000
    for before in (b"", b'U0\t"plan"="basic"\n'):
        block = parts.compress(text, 1, before)
        assert floor._compress(text, before) == (block.data, block.crc32, len(text))


def test_the_floor_imports_nothing_of_the_converter() -> None:
    heavy = "{'converter', 'polars', 'numpy', 'pyarrow'}"
    program = f"import sys, benchmarks.__main__, benchmarks.contenders.floor; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=measure.ROOT)
    assert done.stdout.strip() == "set()"


def test_levels_are_those_nearest_to_ours_in_size() -> None:
    for workload, sizes in measured_levels().items():
        for name, by_level in sizes["by_level"].items():
            chosen = abs(by_level[str(chosen_level(name, workload))] - sizes["ours"])
            assert chosen == min(abs(size - sizes["ours"]) for size in by_level.values())
            assert set(map(int, by_level)) == set(CONTENDERS[name].levels)
    assert chosen_level("ours", "wide-csv") is None


def test_cpu_time_of_a_pipeline_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    burn = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    # It stands where `python -m benchmarks` would: a shell that waits for two programs.
    script = tmp_path / "burn"
    script.write_text(f"#!/bin/sh\n'{sys.executable}' -c '{burn}' | '{sys.executable}' -c '{burn}'\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    _, cpu, _ = measure.run_fresh()
    assert cpu > 0.95


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(CONTENDERS, "absent", Contender("absent.convert", modules=("no_such_module",)))
    with pytest.raises(BenchmarkError, match="no_such_module"):
        run("absent", WORKLOADS["wide-csv"], tmp_path, tmp_path)
    with pytest.raises(BenchmarkError, match="wide.csv"):
        Input.at(tmp_path / "wide.csv")


def _measured(name: str, wall: float, one_in: int = 1, threads: int = 0) -> Measured:
    runs = [Measurement(wall * factor, wall, 1 << 28, 1000) for factor in (1.0, 1.1, 1.2)]
    return Measured(name, 1_000_000 // one_in, runs, one_in, threads=threads, input_bytes=10**8)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    machine = Machine(2, "a processor", 1 << 34, "Linux x86_64", "3.11", {})
    contenders = [_measured("floor", 1), _measured("ours", 4), _measured("polars", 8), _measured("python", 5, 20)]
    for name in WORKLOADS:
        comparison = Comparison(name, 10**6, 1, 10**8, 10**6, 10**9, "ours", contenders, machine)
        comparison.write(comparison_path(tmp_path, name))
        assert read(Comparison, comparison_path(tmp_path, name)) == comparison
    threads = [_measured("ours", 4, threads=count) for count in (1, 2)]
    scaling = Scaling("wide-csv", 1, [_measured("ours", 4)], threads, machine)
    scaling.write(scaling_path(tmp_path))
    assert read(Scaling, scaling_path(tmp_path)) == scaling
    return tmp_path


def test_what_ran_on_a_part_counts_for_the_whole(results: Path) -> None:
    found = read(Comparison, comparison_path(results, "wide-csv")).contenders[-1]
    assert found.wall == pytest.approx(20 * 5 * 1.1)
    assert found.ratios(_measured("ours", 4)) == pytest.approx([25.0] * 3)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the group bench is not installed")
@pytest.mark.filterwarnings("default")
def test_charts_are_the_same_each_time(results: Path, tmp_path: Path) -> None:
    from benchmarks.chart import draw

    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        draw(results, folder)
    for name in ("compare.svg", "compare.png", "scale.svg", "scale.png"):
        one, two = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert one


def test_a_profile_accounts_for_all_cpu_seconds(table: Input, tmp_path: Path) -> None:
    arguments = ["run", "loops", str(table.path), str(tmp_path / "out"), "--profile"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=measure.ROOT, capture_output=True, text=True, check=True
    )
    seconds = {line.rsplit(maxsplit=2)[0].strip(): float(line.split()[-2]) for line in done.stdout.splitlines()[1:]}
    total = seconds.pop("all")
    assert sum(seconds.values()) == pytest.approx(total, abs=0.1)
    assert {"start", "format", "compress", "write"} < seconds.keys()
    assert 0 < seconds["start"] < total


@pytest.mark.slow
def test_without_rules_every_row_becomes_a_line(table: Input, tmp_path: Path) -> None:
    run("ours-no-rules", table.workload, table.path, tmp_path / "out")
    assert digest(tmp_path / "out").lines == ROWS
