"""Jobs whose lines depend on all rows of a user give the same on Spark as on one machine."""

from __future__ import annotations

import gzip
import shutil
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from converter.errors import JobError
from converter.jobs.document import merge
from converter.report import Report
from converter.spark.support import check_job

from .conftest import TIMESTAMP, Run
from .errors import raises
from .test_spark import (
    TEXTS,
    lines_of,
    on_one_machine,
    rejects_of,
    session,
    spark,
    write_groups,
    write_text,
)

__all__ = ["session"]
DAY = 86_400

JOBS: dict[str, dict[str, Any]] = {
    "no order": {"rows": "signal", "many_values": "reject"},
    "order": {"rows": "signal", "order": "b"},
    "repeated and limited": {"repeated": "drop", "user_lines": "enforce"},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run of three files: users are in all of them, one has too many rows, and some rows are rejected."""
    run = Run(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = [f"user-{(row * 7 + number) % 97},{row % 11},{(row * 31 + number) % 13}" for row in range(300)]
        rows += [f"same-{row},{row % 5},{number}" for row in range(40)]
        rows += [f"many,{number * 100 + row},{row}" for row in range(100)]
        rows[5:5] = [",1,1", "x@example.com,2,1", "too,many,fields,here"]
        (tmp_path / "in" / f"{number}.csv").write_text("\n".join(["id,a,b", *rows]) + "\n")
    run.job["input"] = {"path": str(tmp_path / "in")}
    return run


def by_place(rejects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rejects, key=repr)


def test_ids_that_differ_by_case_are_found_as_on_one_machine(session: Any, run: Run) -> None:
    for number in (0, 2):
        with (run.folder / "in" / f"{number}.csv").open("a") as file:
            file.writelines(f"{'User'[:number]}{'user'[number:]}-{row * 9},1,1\n" for row in range(30))
    for index, kind in enumerate(("report", "reject")):
        job = {"id": {"case_collisions": kind}, "output": {"timestamp": 1_700_000_000 + index}}
        report, one = spark.convert(run.make_job(**job), session), on_one_machine(run, **job)
        assert report.ids == one.ids
        assert report.ids["case_collisions"]["ids"] > 10
        assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
        assert report.records == one.records
        assert report.warnings == one.warnings
        assert by_place(rejects_of(report)) == by_place(rejects_of(one))


def test_ids_that_are_mapped_to_many_are_counted_as_on_one_machine(session: Any, tmp_path: Path) -> None:
    run, many = Run(tmp_path), 120
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = [f"{uuid.UUID(int=(number * 50 + row) % many + (1 << 100))},crm-7" for row in range(50)]
        rows += [f"{uuid.UUID(int=1 << 101)},crm-{number * 50 + row}" for row in range(50)] + ["nothing,crm-1"]
        (tmp_path / "in" / f"{number}.csv").write_text("\n".join(["device,customer", *rows]) + "\n")
    run.job = {
        "input": {"path": str(tmp_path / "in")},
        "sync": {"columns": [{"column": "device", "type": "gaid"}, {"column": "customer", "type": "crm", "dpid": 12}]},
        "output": {"kind": "id-sync", "to": str(run.out), "timestamp": 1_700_000_000},
        "report": {"dir": str(tmp_path / "reports")},
    }
    report, one = spark.convert(run.make_job(), session), on_one_machine(run)
    assert len(report.ids["over_limit"]) == 2
    assert report.ids == one.ids
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert report.warnings == one.warnings
    assert by_place(rejects_of(report)) == by_place(rejects_of(one))


@pytest.mark.parametrize("name", JOBS)
def test_files_are_gathered_as_on_one_machine(session: Any, run: Run, name: str) -> None:
    record = {"signals": ["a"], **JOBS[name]}
    report, one = spark.convert(run.make_job(record=record), session), on_one_machine(run, record=record)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert report.signals == one.signals
    assert by_place(rejects_of(report)) == by_place(rejects_of(one))
    assert report.skipped_examples == one.skipped_examples
    assert report.input == one.input
    assert sorted(each.name for each in report.parts) == run.files  # nothing else is left


def test_row_groups_of_a_file_are_gathered_as_on_one_machine(session: Any, tmp_path: Path) -> None:
    run, record = Run(tmp_path), {"signals": ["a"], "rows": "signal", "many_values": "reject"}
    write_groups(
        run, ((f"user-{row % 97}", str(row % 97 % 11 + row // 950), "1") for row in range(1_000)), ("id", "a", "b")
    )
    report, one = spark.convert(run.make_job(record=record), session), on_one_machine(run, record=record)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert by_place(rejects_of(report)) == by_place(rejects_of(one))


SIGNALS = {"record": {"signals": ["a"], "rows": "signal", "many_values": "reject"}}


@pytest.mark.parametrize(
    "name, job", [("csv", SIGNALS), ("torn", SIGNALS), ("torn", {"id": {"case_collisions": "reject"}})]
)
def test_ranges_of_a_text_are_gathered_as_on_one_machine(
    session: Any, tmp_path: Path, name: str, job: dict[str, Any]
) -> None:
    run, (file, row, torn) = Run(tmp_path), TEXTS[name]
    write_text(run, file, row, 70_000, torn)
    report, one = spark.convert(run.make_job(**job), session), on_one_machine(run, **job)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert by_place(rejects_of(report)) == by_place(rejects_of(one))
    assert sorted(each.name for each in report.parts) == run.files


def by_data_source(folder: Path) -> dict[str, Counter[bytes]]:
    """Return the lines of each data source in the names of files."""
    found: dict[str, Counter[bytes]] = {}
    for path in folder.iterdir():
        found.setdefault(path.name.split("_13")[0], Counter()).update(gzip.decompress(path.read_bytes()).splitlines())
    return found


def test_users_of_several_data_sources_are_gathered_as_on_one_machine(session: Any, tmp_path: Path) -> None:
    run, record = Run(tmp_path), {"signals": ["a"], "rows": "signal"}
    ids = [f"user-{row}" if row % 3 else f"38400000-8cf0-11bd-b23e-10b96e40{row:04}" for row in range(60)]
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = "".join(f"{id_},{(row + number) % 7}\n" for row, id_ in enumerate(ids))
        (tmp_path / "in" / f"{number}.csv").write_text("id,a\n" + rows)
    run.job["input"], run.job["id"]["type"] = {"path": str(tmp_path / "in")}, "auto"
    del run.job["output"]["dpid"]
    run.job["output"]["route"] = {"crm": 1234, "gaid": {"target": 1234}}
    report, one = spark.convert(run.make_job(record=record), session), on_one_machine(run, record=record)
    assert by_data_source(run.out) == by_data_source(run.folder / "one" / "out")
    assert len(by_data_source(run.out)) == 2
    assert report.records == one.records
    assert sorted(each.name for each in report.parts) == run.files


def test_a_dataframe_is_gathered_as_on_one_machine(session: Any, run: Run) -> None:
    rows = [[f"user-{row % 97}", str(row % 97 % 11 + row // 950), "1"] for row in range(1_000)]
    rows[5:5] = [["", "1", "1"], ["x@example.com", "2", "1"]]
    frame = session.createDataFrame(rows, "id string, a string, b string").repartition(4)
    record = {"signals": ["a"], "rows": "signal", "many_values": "reject"}
    run.job["input"] = {"path": str(run.write("\n".join(["id,a,b", *map(",".join, rows)]) + "\n"))}
    one = on_one_machine(run, record=record)
    del run.job["input"]
    report = spark.convert(run.make_job(record=record), frame=frame)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert report.signals == one.signals
    assert {each["file"] for each in rejects_of(report)} <= {f"pyspark.DataFrame, partition {n}" for n in range(4)}


def test_changes_are_those_of_one_machine_and_so_is_their_state(session: Any, run: Run) -> None:
    def job(state: str, day: int, **changes: Any) -> dict[str, Any]:
        delta = {"state": str(run.folder / state), "removals": True, "gone": "remove"}
        record = {"signals": ["a"], "traits": ["b"]}
        return merge({"delta": delta, "record": record, "output": {"timestamp": TIMESTAMP + day * DAY}}, changes)

    def check(report: Report, one: Report) -> None:
        made = [
            Counter(line for part in each.parts for line in gzip.decompress(Path(part.url).read_bytes()).splitlines())
            for each in (report, one)
        ]
        assert made[0] == made[1]
        assert (report.changes, report.records, report.signals) == (one.changes, one.records, one.signals)
        assert by_place(rejects_of(report)) == by_place(rejects_of(one))

    check(
        spark.convert(run.make_job(**job("state", 0)), session, now=TIMESTAMP),
        on_one_machine(run, now=TIMESTAMP, **job("other", 0)),
    )
    (run.folder / "in" / "2.csv").write_text("id,a,b\n,1,1\nsame-1,9,9\n")
    now = TIMESTAMP + DAY
    report = spark.convert(run.make_job(**job("state", 1)), session, now=now)
    check(report, on_one_machine(run, now=now, **job("other", 1)))
    assert report.changes
    assert report.changes["changed"] > 90
    shutil.rmtree(run.folder / "in")
    path = run.write("id,a,b\nsame-1,9,9\n,1,1\n")
    now += DAY
    frame = session.createDataFrame([("same-1", "9", "9"), ("", "1", "1")], "id string, a string, b string")
    frame = session.createDataFrame([], frame.schema).union(frame)  # its first partition is empty
    del run.job["input"]
    report = spark.convert(run.make_job(**job("other", 2)), frame=frame, now=now)  # each has the state of the other
    one = on_one_machine(run, now=now, **job("state", 2, input={"path": str(path)}))
    assert (report.changes, report.records) == (one.changes, one.records)
    assert report.changes
    assert report.changes["removed"] > 90


def test_rows_that_stay_where_they_are_cannot_be_gathered(tmp_path: Path) -> None:
    with raises(JobError, "E-SPARK-UNSUPPORTED", "record.rows"):
        check_job(Run(tmp_path).make_job(record={"signals": ["a"], "rows": "signal"}))
