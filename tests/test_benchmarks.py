"""The benchmarks measure what they say: every contender makes our lines, and all of a process tree is counted."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import BenchmarkError, measure, start
from benchmarks.changes import DAYS, changes
from benchmarks.contenders import CONTENDERS, Contender, chosen_level, floor, measured_levels, run
from benchmarks.databases import databases
from benchmarks.delay import delayed
from benchmarks.deliver import DELAY_SECONDS, deliver
from benchmarks.generate import generate
from benchmarks.goals import _goals, goals
from benchmarks.lines import digest, first_difference
from benchmarks.machine import Machine
from benchmarks.measure import Measurement, outputs
from benchmarks.options import OPTIONS
from benchmarks.results import (
    Comparison,
    Cores,
    CoreUse,
    Deliveries,
    Installation,
    Measured,
    OptionCosts,
    Role,
    Scaling,
    Start,
    comparison_path,
    cores_path,
    databases_path,
    deliveries_path,
    install_path,
    options_path,
    read,
    scaling_path,
    start_path,
)
from benchmarks.threads import Sampler, role_of
from benchmarks.workloads import PLAIN, SEED, WORKLOADS, Input, files_of
from converter.parts import blocks
from converter.parts import packer as parts

from .servers.postgresql import postgresql_server

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
    (report,) = ours.with_name("output-report").glob("*.report.json")
    records = json.loads(report.read_bytes())["records"]
    assert 0 < sum(records["rejected"].values()) == ROWS - records["written"] < ROWS // 500
    assert digest(ours).lines == records.get("lines", records["written"])


def test_the_same_seed_gives_the_same_file(table: Input, tmp_path: Path) -> None:
    again = Input(table.workload, ROWS, folder=tmp_path)
    generate(again)
    assert [path.read_bytes() for path in files_of(again.path)] == [path.read_bytes() for path in files_of(table.path)]
    assert Input.at(again.path) == again


def test_a_folder_and_packed_files_have_the_rows_of_the_plain_file(table: Input) -> None:
    if table.workload.suffix not in ("csv.gz", "files"):
        pytest.skip("not the plain table in another form")
    generate(table.plain)
    texts = [path.read_bytes() for path in files_of(table.path)]
    if table.workload.file_rows:
        assert len(texts) == ROWS // table.workload.file_rows
        (header,) = {text.split(b"\n", 1)[0] for text in texts}
        text = header + b"\n" + b"".join(text.split(b"\n", 1)[1] for text in texts)
    else:
        text = gzip.decompress(*texts)
    assert text == table.plain.path.read_bytes()


def test_a_third_of_the_rows_has_escaped_quotes(tmp_path: Path) -> None:
    made = Input(WORKLOADS["quoted"], 9_000, folder=tmp_path)
    generate(made)
    rows = made.path.read_bytes().splitlines()[1:]
    assert sum(b'""' in row for row in rows) == len(rows) / 3


def test_inputs_that_were_not_used_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, recent, new = (Input(WORKLOADS["long-csv"], rows, folder=tmp_path) for rows in (1_000, 2_000, 3_000))
    other = tmp_path / "another.csv"
    other.touch()
    for made in (old, recent):
        generate(made)
    os.utime(old.path, (1, 1))
    monkeypatch.setattr(measure, "KEPT_BYTES", measure.size_of(recent.path) + 3_000 * new.workload.row_bytes)
    measure.generated(new)
    assert sorted(tmp_path.iterdir()) == sorted([recent.path, new.path, other])


@pytest.mark.parametrize("name", WORKLOADS)
def test_bytes_of_rows_are_as_stated(name: str, tmp_path: Path) -> None:
    made = Input(WORKLOADS[name], ROWS, folder=tmp_path)
    generate(made)
    assert measure.size_of(made.path) / ROWS == pytest.approx(made.workload.row_bytes, rel=0.25)


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


@pytest.mark.parametrize("name", OPTIONS)
def test_lines_with_an_option_are_those_of_the_plain_script(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = OPTIONS[name]
    made = Input(WORKLOADS[option.workload], 5_000, folder=tmp_path)
    generate(made)
    if option.beside:
        few = replace(option.beside, rows=100, folder=tmp_path)
        generate(few)
        section = {"input": {"suppress": {"path": str(few.path), "column": "crm_id"}}}
        monkeypatch.setitem(OPTIONS, name, replace(option, sections=section))
    for contender in ("ours", "python"):
        run(contender, made.workload, made.path, tmp_path / contender, option=name)
    equal, differ = first_difference(tmp_path / "ours", tmp_path / "python")
    assert equal > 4_900
    assert not differ


def test_an_option_changes_the_lines(tmp_path: Path) -> None:
    """So that its cost is not that of an option which does nothing."""
    rows = [{"crm_id": "U0307", "gender": "other", "plan": '"standard", yearly'}]
    same = {name for name, option in OPTIONS.items() if [option.change(row) for row in rows] == rows}
    assert same == {
        "plain",
        "quoted",
        "escape",
        "escape-quoted",
        "comment",
        "skip_spaces",
        "any_id",
        "filter",
        "suppress",
        "auto",
        "id-sync",
        "case_collisions",
        "user_lines",
        "repeated",
    }


def test_days_with_a_state_are_measured_when_their_lines_are_what_changed(tmp_path: Path) -> None:
    changes(Input(WORKLOADS["wide-csv"], 2_000, folder=tmp_path), 1, tmp_path / "changes.json")
    costs = read(OptionCosts, tmp_path / "changes.json")
    assert [each.name for each in costs.options] == ["plain", *(day.name for day in DAYS)]
    sizes = {each.name: each.runs[0].output_bytes for each in costs.options}
    assert sizes["none changed"] == 0
    assert 0 < sizes["1 % changed"] < sizes["first"] / 20


# --- threads ------------------------------------------------------------------------------------------------------

BURN = """
import hashlib, sys, threading, time
from pathlib import Path
from benchmarks.threads import tell

tell(Path(sys.argv[1]))
TEXT = bytes(20_000_000)

def python():  # holds the lock
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        pass

def native():  # does not
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        hashlib.sha256(TEXT).digest()

for name, work in (("loop_0", python), ("hash_0", native), ("hash_1", native)):
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()
time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="times of threads are read as Linux has them")
def test_cpu_seconds_and_the_lock_are_told_apart_by_role(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path / "told")
    try:
        _, cpu, _ = measure.run_command([sys.executable, "-c", BURN, str(tmp_path / "told")], started=sampler.start)
    finally:
        sampler.stop()
    roles = sampler.roles(cpu)
    assert (roles["loop"].count, roles["hash"].count) == (1, 2)
    assert roles["loop"].cpu_seconds == pytest.approx(0.4, abs=0.1)
    assert roles["hash"].cpu_seconds == pytest.approx(0.8, abs=0.15)
    assert roles["hash"].busiest < roles["hash"].cpu_seconds
    assert sum(role.cpu_seconds for role in roles.values()) == pytest.approx(cpu, abs=0.01)
    assert roles["loop"].lock_seconds > 0.3
    assert roles["hash"].lock_seconds < roles["loop"].lock_seconds / 2


@pytest.mark.parametrize(
    "name, role",
    [("MainThread", "main"), ("convert_12", "convert"), ("delivery", "delivery"), ("Thread-3 (run)", "Thread")],
)
def test_the_role_of_a_thread_is_its_name_without_a_number(name: str, role: str) -> None:
    assert role_of(name) == role


def _use(limit: float) -> CoreUse:
    names = {"main": limit, "flush": limit / 2, "convert": 10 - 1.5 * limit, "polars": 2.0}
    roles = [Role(name, 1, cpu, cpu, 1.0, name in ("convert", "polars")) for name, cpu in names.items()]
    return CoreUse("wide-csv", 10**6, 16, 8.0, 1.0, roles)


def test_the_busiest_role_with_fixed_threads_limits_the_cores() -> None:
    use = _use(2.0)
    assert use.limit.name == "main"
    assert use.cpu_seconds == pytest.approx(12)
    assert [use.speed_up(cores) for cores in (4, 8)] == pytest.approx([4, 6])
    assert use.lock_seconds == pytest.approx(4)


def test_the_floor_compresses_as_we_do(tmp_path: Path) -> None:
    assert (blocks.ISAL_LEVELS["balanced"], parts._BLOCK_BYTES) == (floor.LEVEL, floor.BLOCK_BYTES)
    assert blocks.WINDOW_BYTES == floor.WINDOW_BYTES
    text = b'U1\t"plan"="basic"\n' * 1000
    for before in (b"", b'U0\t"plan"="basic"\n'):
        block = blocks.compress(text, 1, before)
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
    kept: dict[Path, Scaling | OptionCosts | Cores | Start | Installation] = {
        scaling_path(tmp_path): scaling,
        options_path(tmp_path): OptionCosts(10**6, 1, "plain", [_measured("plain", 4), _measured("pad", 5)], machine),
        cores_path(tmp_path): Cores([_use(2.0)], machine),
        start_path(tmp_path): Start(start.BASE, [_measured(start.BASE, 1), _measured(start.OURS, 2)], machine),
        install_path(tmp_path): Installation(9.0, 100, {"polars": 100}, 10, _measured("ours", 1).runs, machine),
    }
    for path, result in kept.items():
        result.write(path)
        assert read(type(result), path) == result
    return tmp_path


def test_what_ran_on_a_part_counts_for_the_whole(results: Path) -> None:
    found = read(Comparison, comparison_path(results, "wide-csv")).contenders[-1]
    assert found.wall == pytest.approx(20 * 5 * 1.1)
    assert found.ratios(_measured("ours", 4)) == pytest.approx([25.0] * 3)


def test_runs_without_a_turn_are_compared_with_the_median() -> None:
    base, alone = _measured("plain", 4), _measured("pad", 5)
    alone = replace(alone, runs=alone.runs[:2])
    assert alone.ratios(base) == pytest.approx([5 / 4.4, 5.5 / 4.4])
    assert alone.cpu_ratio(base) == pytest.approx(5 / 4)


def test_goals_compare_ours_with_other_tools_and_options_with_none(results: Path, tmp_path: Path) -> None:
    found = {goal.name: goal for goal in _goals(results)}
    assert found["wide-csv: polars / ours"].value == pytest.approx(2)
    assert not found["wide-csv: polars / ours"].is_met
    assert found["ndjson: polars / ours"].is_met
    assert found["wide-csv: ours / floor"].value == pytest.approx(4)
    assert found["pad / plain, CPU"].value == pytest.approx(1.25)
    assert found["aam-inbound convert / import polars"].value == pytest.approx(2)
    assert found["wide-csv, 16 threads: share of main"].value == pytest.approx(2 / 12)
    with pytest.raises(BenchmarkError):
        goals(tmp_path / "empty")


def test_deliveries_are_measured_beside_rclone_also_over_a_long_line(tmp_path: Path) -> None:
    target = deliveries_path(tmp_path)
    deliver(["rclone"], ["10 of 40 MB"], 2, 0.001, 1, target)
    here, far = read(Deliveries, target).deliveries
    assert [here.delay_seconds, far.delay_seconds] == [0.0, DELAY_SECONDS]
    assert min(far.opened) >= 2
    assert {len(each.runs) for each in (here.ours, here.rclone, far.ours, far.rclone)} == {1}
    assert len(list(_goals(tmp_path))) == 2


def test_a_table_of_postgresql_gives_the_same_lines_by_its_url_and_through_copy(tmp_path: Path) -> None:
    postgresql_server()  # skipped where it is not installed
    target = databases_path(tmp_path)
    databases(Input(WORKLOADS[PLAIN], 2000, SEED, tmp_path), 1, target)
    costs = read(OptionCosts, target)
    assert costs.rows == 2000
    assert [len(each.runs) for each in costs.options] == [1, 1]
    assert costs.options[0].runs[0].output_bytes == costs.of_base.runs[0].output_bytes


def test_a_proxy_delays_and_does_not_narrow() -> None:
    """A round trip takes the delay, and many megabytes little more than one byte."""
    sent = bytes(range(256)) * (1 << 14)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def echo() -> None:
            with listener.accept()[0] as server, server.makefile("rb") as came:
                server.sendall(came.read(len(sent)))

        answering = threading.Thread(target=echo)
        answering.start()
        with (
            delayed(listener.getsockname()[1], 0.2) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port)) as line,
        ):
            begun = time.monotonic()
            line.sendall(sent)
            with line.makefile("rb") as came:
                assert came.read(len(sent)) == sent
            # The handshake, and the way there and back; were each block delayed by itself, it would take 12 s.
            assert 0.4 <= time.monotonic() - begun < 10
            assert proxy.most == 1
        answering.join()


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the group bench is not installed")
@pytest.mark.filterwarnings("default")
def test_charts_of_the_kept_results_are_the_same_each_time(tmp_path: Path) -> None:
    from benchmarks.chart import draw

    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        draw(measure.ROOT / "benchmarks" / "results", folder)
    names = [f"{stem}.{suffix}" for stem in ("compare", "cores", "options", "scale") for suffix in ("svg", "png")]
    assert sorted(path.name for path in folders[0].iterdir()) == sorted(names)
    for name in names:
        one, two = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert one


def test_a_profile_accounts_for_all_cpu_seconds(tmp_path: Path) -> None:
    made = Input(WORKLOADS["wide-csv"], ROWS, folder=tmp_path)
    generate(made)
    arguments = ["run", "loops", str(made.path), str(tmp_path / "out"), "--profile"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=measure.ROOT, capture_output=True, text=True, check=True
    )
    seconds = {line.rsplit(maxsplit=2)[0].strip(): float(line.split()[-2]) for line in done.stdout.splitlines()[1:]}
    total = seconds.pop("all")
    assert sum(seconds.values()) == pytest.approx(total, abs=0.1)
    assert {"start", "compress", "thread main, all else", "thread convert, all else"} < seconds.keys()
    assert any(stage.startswith("loops: ") for stage in seconds)
    assert 0 < seconds["start"] < total


@pytest.mark.slow
def test_without_rules_every_row_becomes_a_line(table: Input, tmp_path: Path) -> None:
    run("ours-no-rules", table.workload, table.path, tmp_path / "out")
    assert digest(tmp_path / "out").lines == ROWS
