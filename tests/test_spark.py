"""Runs on Spark give what the same job gives on one machine: lines, rejects and counts."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from converter import convert
from converter.errors import ConverterError
from converter.jobs.document import merge
from converter.report import Report

from .conftest import Run

if shutil.which("java") is None:
    pytest.skip("needs Java", allow_module_level=True)
pyspark = pytest.importorskip("pyspark")

from converter import spark  # noqa: E402 - after what may be missing

PARTITIONS = 3


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    from converter.spark.session import open_session

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.files.maxPartitionBytes": "1",
    }
    arguments = " ".join(f"--conf {name}={value}" for name, value in settings.items())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_SUBMIT_ARGS", f"{arguments} pyspark-shell")
        made = open_session("local[2]")
    yield made
    made.stop()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def write_files(run: Run, rows: int = 400) -> None:
    """Write three files: the second has rows that are rejected, and malformed ones."""
    (run.folder / "in").mkdir()
    for number in range(PARTITIONS):
        lines = ["id,a", *(f"user-{number}-{row},{row % 7}" for row in range(rows))]
        if number == 1:
            lines[5:5] = [",1", "x@example.com,2", "too,many,fields"]
        (run.folder / "in" / f"{number}.csv").write_text("\n".join(lines) + "\n")
    run.job["input"] = {"path": str(run.folder / "in")}


def lines_of(folder: Path) -> Counter[bytes]:
    return Counter(line for path in folder.iterdir() for line in gzip.decompress(path.read_bytes()).splitlines())


def rejects_of(report: Report) -> list[dict[str, Any]]:
    assert report.rejects_path
    return [json.loads(line) for line in gzip.decompress(Path(report.rejects_path).read_bytes()).splitlines()]


def on_one_machine(run: Run, *, now: float | None = None, **changes: Any) -> Report:
    folder = run.folder / "one"
    other = {"output": {"to": str(folder / "out")}, "report": {"dir": str(folder / "reports")}}
    return convert(run.make_job(**merge(other, changes)), now=now)


def test_files_give_the_lines_rejects_and_counts_of_one_machine(session: Any, run: Run) -> None:
    write_files(run)
    ids = "".join(f"user-{number}-{row}\n" for number in range(PARTITIONS) for row in range(0, 400, 9))
    run.job["input"]["suppress"] = {"path": str(run.write(f"id\n{ids}", "list.csv")), "column": "id"}
    report, one = spark.convert(run.make_job(), session), on_one_machine(run)
    assert report.records["skipped"]["suppressed"] == 135
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert report.signals == one.signals
    assert rejects_of(report) == rejects_of(one)
    assert [each["path"] for each in report.input] == [each["path"] for each in one.input]
    assert report.input == one.input
    assert report.first_lines == one.first_lines
    assert sorted(each.name for each in report.parts) == run.files  # nothing else is left
    assert [name.rsplit(".", 2)[1] for name in run.files] == ["1", "2", "3"]


def write_groups(run: Run, rows: Iterable[tuple[str, ...]], names: tuple[str, ...] = ("id", "a")) -> None:
    """Write a Parquet file of several row groups beside a small one, whose rows are rejected."""
    (run.folder / "in").mkdir()
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names), run.folder / "in" / "0.parquet", row_group_size=150)
    rejected = pa.table([["", "a@example.com"], *[["1", "2"] for _ in names[1:]]], names)
    pq.write_table(rejected, run.folder / "in" / "1.parquet")
    run.job["input"] = {"path": str(run.folder / "in")}


def test_row_groups_of_a_file_give_what_the_file_gives(session: Any, run: Run) -> None:
    ids = (f"user-{row}" if row % 9 else f"{row}@example.com" for row in range(400))
    write_groups(run, ((id_, str(row % 7)) for row, id_ in enumerate(ids)))
    report, one = spark.convert(run.make_job(), session), on_one_machine(run)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert rejects_of(report) == rejects_of(one)
    assert report.input == one.input
    assert [name.rsplit(".", 2)[1] for name in run.files] == ["1", "2", "3"]  # all rows of the fourth are rejected


def write_text(run: Run, name: str, row: str, rows: int, torn: str = "") -> None:
    """Write a text of a few MiB, beside a small file: some rows are rejected, and some are malformed."""
    (run.folder / "in").mkdir()
    ids = (f"user-{number % 97_000}" if number % 5_000 else f"{number}@example.com" for number in range(rows))
    lines = [row % {"id": id_, "a": number % 11} for number, id_ in enumerate(ids)]
    lines[rows - 100 : rows - 100] = ["malformed"]
    lines[9:9] = ["malformed", *[torn] * bool(torn)]
    (run.folder / "in" / name).write_text("\n".join(["id,a", *lines] if name.endswith("csv") else lines))
    (run.folder / "in" / "small.csv").write_text("id,a\n,1\nuser-small,2\n")
    run.job["input"] = {"path": [str(run.folder / "in" / each) for each in (name, "small.csv")]}


TEXTS = {
    "csv": ("0.csv", '%(id)s,"%(a)s\nlonger"\r', ""),
    "torn": ("0.csv", '%(id)s,"%(a)s\nlonger"', 'user,5" of rain'),
    "ndjson": ("0.ndjson", '{"id": "%(id)s", "a": "%(a)s"}', ""),
}


@pytest.mark.parametrize("name", TEXTS)
def test_ranges_of_a_text_give_what_the_text_gives(
    session: Any, run: Run, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, row, torn = TEXTS[name]
    write_text(run, file, row, 150_000, torn)
    with caplog.at_level("INFO", "converter"):
        report = spark.convert(run.make_job(), session)
    assert ("torn" in [getattr(each, "event", "") for each in caplog.records]) == (name == "torn")
    one = on_one_machine(run)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records == one.records
    assert rejects_of(report) == rejects_of(one)
    assert report.input == one.input
    assert report.first_lines == one.first_lines
    assert sorted(each.name for each in report.parts) == run.files
    assert len(run.files) == (2 if name == "torn" else 1 + -(-(run.folder / "in" / file).stat().st_size >> 20))


def test_a_dataframe_gives_the_lines_of_one_machine(session: Any, run: Run) -> None:
    write_files(run)
    (run.folder / "in" / "1.csv").write_text("\n".join(["id,a", ",1", "x@example.com,2", "user,3", ""]))
    rows = [each.split(",") for path in sorted((run.folder / "in").iterdir()) for each in path.read_text().split()[1:]]
    frame = session.createDataFrame(rows, "id string, a string").repartition(4)
    one = on_one_machine(run)
    del run.job["input"]
    report = spark.convert(run.make_job(), frame=frame)
    assert lines_of(run.out) == lines_of(run.folder / "one" / "out")
    assert report.records["read"] == frame.count()
    assert report.spark == {"rows": frame.count()}
    assert report.records["written"] == one.records["written"]
    files = {each["file"] for each in rejects_of(report)}
    assert files <= {f"pyspark.DataFrame, partition {number}" for number in range(4)}
    assert files


def test_a_dataframe_that_fails_is_an_error_of_the_input(session: Any, run: Run) -> None:
    from pyspark.sql.functions import lit, raise_error

    del run.job["input"]
    frame = session.range(3).select(raise_error(lit("a secret value")).alias("id"), lit("1").alias("a"))
    with pytest.raises(ConverterError) as caught:
        spark.convert(run.make_job(), frame=frame)
    assert caught.value.code == "E-INPUT-FRAME"
    assert "secret" not in str(caught.value)


def test_the_error_of_a_task_has_its_code_and_nothing_is_left(session: Any, run: Run) -> None:
    write_files(run)
    whole = gzip.compress((run.folder / "in" / "2.csv").read_bytes())
    (run.folder / "in" / "2.csv").unlink()
    (run.folder / "in" / "3.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConverterError) as caught:
        spark.convert(run.make_job(), session)
    assert caught.value.code == "E-INPUT-DAMAGED"
    assert "3.csv.gz" in caught.value.message
    assert run.files == []


@pytest.mark.parametrize("url", ["sc://127.0.0.1:1", "sc://127.0.0.1:port", "sc://127.0.0.1:{}/path"])
def test_a_session_that_cannot_be_opened_is_an_error(session: Any, url: str) -> None:
    from converter.spark.session import open_session

    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ConverterError) as caught:
        open_session(url.format(server.getsockname()[1]))
    assert caught.value.code == "E-SPARK-SESSION"
