"""Frames of Python as inputs, and rejects as frames."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from converter import InputError, Job, JobError, convert
from converter.commands.progress import Progress
from converter.errors import ColumnError
from converter.sources import batches, frames

from .conftest import Run
from .errors import raises

FRAME = pl.DataFrame(
    {
        "id": [f"u{n}" for n in range(3000)],
        "a": [n if n % 3 else None for n in range(3000)],
        "d": [datetime.date(2024, 1, 1 + n % 28) for n in range(3000)],
        "t": [[str(n), "7"] for n in range(3000)],
        "unused": [{"x": n} for n in range(3000)],
    }
)
LINES = [
    f"u{n}\t" + (f'"a"="{n}",' if n % 3 else "") + f'"d"="2024-01-{1 + n % 28:02}",d_sid={n},d_sid=7'
    for n in range(3000)
]
RECORD = {"signals": ["a", "d"], "traits": ["t"]}


class Stream:
    """A frame of another library: all that it has is a stream, which it gives once."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame: pl.DataFrame | None = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        frame, self._frame = self._frame, None
        assert frame is not None, "it is read twice"
        return frame.__arrow_c_stream__(requested_schema)


def reader(frame: pl.DataFrame, rows: int = 100) -> pa.RecordBatchReader:
    table = frame.to_arrow()
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=rows))


GIVEN: dict[str, Callable[[pl.DataFrame], Any]] = {
    "DataFrame": lambda frame: frame,
    "chunks": lambda frame: pl.concat([frame[:7], frame[7:2000], frame[2000:]], rechunk=False),
    "LazyFrame": lambda frame: frame.lazy(),
    "Table": lambda frame: frame.to_arrow(),
    "RecordBatch": lambda frame: frame.rechunk().to_arrow().to_batches()[0],
    "RecordBatchReader": reader,
    "stream": Stream,
}


def job_of(run: Run, **changes: Any) -> Job:
    sections: dict[str, Any] = {name: section for name, section in run.job.items() if name != "input"}
    return Job(**{**sections, "record": RECORD, **changes})


@pytest.mark.parametrize("kind", GIVEN)
def test_frames_are_converted_with_their_types(run: Run, kind: str) -> None:
    seen: list[Progress] = []
    report = convert(job_of(run), input=GIVEN[kind](FRAME), progress=seen.append)
    assert run.lines == LINES
    assert report.records == {"read": 3000, "written": 3000, "rejected": {}, "skipped": {}}
    (read,) = report.input
    assert read["path"].endswith(f".{kind}") or kind in ("chunks", "stream")
    assert {progress.bytes_total for progress in seen} == {None}
    assert seen[-1].rows == 3000


@pytest.mark.parametrize("kind", GIVEN)
def test_rows_of_frames_are_selected(run: Run, kind: str) -> None:
    options = {"filter": "d < DATE '2024-01-03' AND a > 2000"}
    report = convert(job_of(run, input=options), input=GIVEN[kind](FRAME))
    assert len(run.lines) == sum(n % 28 < 2 and n % 3 != 0 and n > 2000 for n in range(3000))
    assert set(report.records["skipped"]) == {"filtered_out", "filter_unknown"}


def test_what_is_read_once_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_KEPT_BYTES", 1)  # the first batch is kept all the same, for the first rows
    asked: list[int] = []

    def rows() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(FRAME.to_arrow().to_batches(max_chunksize=10)):
            asked.append(number)
            yield batch

    convert(job_of(run), input=pa.RecordBatchReader.from_batches(FRAME.to_arrow().schema, rows()))
    assert run.lines == LINES
    assert asked == list(range(300))


def test_a_query_runs_with_the_columns_that_are_used(run: Run) -> None:
    def fail(column: pl.Series) -> pl.Series:
        raise AssertionError("it is not used")

    query = FRAME.lazy().with_columns(pl.col("unused").map_batches(fail, return_dtype=pl.String))
    convert(job_of(run), input=query)
    assert run.lines == LINES


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows_of_a_query(tmp_path: Path) -> None:
    code = f"""
import polars as pl, resource
from converter import Job, convert
path = {str(tmp_path / "in.csv")!r}
with open(path, "w") as file:
    file.write("id,a\\n")
    for number in range(3_000_000):
        file.write(f"user-{{number}},{{'x' * 200}}\\n")
output = {{"to": {str(tmp_path / "out")!r}, "dpid": 1234}}
report = {{"dir": {str(tmp_path / "reports")!r}}}
job = Job(id={{"column": "id"}}, record={{"signals": ["a"]}}, output=output, report=report)
report = convert(job, input=pl.scan_csv(path))
print(report.records["written"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    written, peak = map(int, out.split())
    assert written == 3_000_000
    assert peak < 500_000, "KiB, where the rows take 640 MB"


def test_the_environment_is_as_it_was_after_a_query(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = frames._CHUNK_VARIABLE
    inside: list[str | None] = []

    def look(column: pl.Series) -> pl.Series:
        inside.append(os.environ.get(name))
        return column

    query = FRAME.lazy().with_columns(pl.col("id").map_batches(look, return_dtype=pl.String, is_elementwise=True))
    for number, given in enumerate((None, "1000")):
        monkeypatch.delenv(name, raising=False)
        if given:
            monkeypatch.setenv(name, given)
        output = {"to": str(run.folder / "out"), "dpid": 1234, "timestamp": 1_400_000_000 + number}
        convert(job_of(run, output=output), input=query)
        assert os.environ.get(name) == given
        assert set(inside) == {given or str(frames._CHUNK_BYTES)}
        inside.clear()


def test_frames_in_memory_are_read_twice_where_that_is_needed(run: Run) -> None:
    frame = pl.DataFrame({"id": ["A", "a", "b"], "a": ["x", "y", "z"]})
    changes: dict[str, Any] = {"id": {"column": "id", "case_collisions": "reject"}, "record": {"signals": ["a"]}}
    report = convert(job_of(run, **changes), input=frame)
    assert report.records["rejected"] == {"id_case_collision": 2}
    with raises(InputError, "E-INPUT-ONCE", "polars.LazyFrame"):
        convert(job_of(run, **changes), input=frame.lazy())


def test_a_run_of_a_frame_begins_anew(run: Run) -> None:
    for number in range(2):
        job = job_of(run, output={"to": str(run.folder / "out"), "dpid": 1234, "timestamp": 1_400_000_000 + number})
        assert convert(job, input=FRAME, resume=True).outcome == "done"


def test_the_input_is_a_path_or_a_frame(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with raises(JobError, "E-JOB-INVALID", "input.path"):
        convert(run.make_job(), input=FRAME)
    with raises(JobError, "E-JOB-INVALID", "input.path", "--input"):
        convert(job_of(run))
    assert run.files == []
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("given", [5, "in.csv", FRAME["id"], {"id": ["1"]}], ids=str)
def test_what_is_no_frame_is_named(tmp_path: Path, given: Any) -> None:
    with raises(JobError, "E-ARGUMENT", type(given).__name__):
        convert(job_of(Run(tmp_path)), input=given)


def test_missing_columns_and_types_of_frames_are_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with raises(ColumnError, "E-COLUMN-MISSING", "'a'", "polars.DataFrame"):
        convert(job_of(run), input=FRAME.drop("a"))
    with raises(ColumnError, "E-COLUMN-TYPE", "'unused'"):
        convert(job_of(run, record={"signals": ["unused"]}), input=FRAME)
    table = pa.Table.from_arrays([pa.array(["1"]), pa.array(["x"]), pa.array(["y"])], names=["id", "a", "a"])
    with raises(ColumnError, "E-COLUMN-REPEATED", "'a'"):
        convert(job_of(run, record={"signals": ["a"]}), input=table)


def test_a_frame_that_fails_is_an_error_with_its_cause(run: Run) -> None:
    late = FRAME.lazy().with_columns(a=pl.col("id").str.replace("u2999", "secret").str.replace("u", "").cast(pl.Int64))

    def torn() -> Iterator[pa.RecordBatch]:
        yield from FRAME.to_arrow().to_batches(max_chunksize=1000)
        raise RuntimeError("secret")

    failing = pa.RecordBatchReader.from_batches(FRAME.to_arrow().schema, torn())
    for given in (late, failing, FRAME.lazy().select("nope"), pl.scan_parquet("/nowhere/in.parquet")):
        with raises(InputError, "E-INPUT-FRAME", type(given).__name__) as raised:
            convert(job_of(run), input=given)
        assert "secret" not in str(raised.value)
        assert raised.value.__cause__ is not None
    assert run.files == []


def test_an_empty_frame_is_an_error(run: Run) -> None:
    with raises(InputError, "E-NO-ROWS"):
        convert(job_of(run), input=FRAME.clear())


def test_rejects_are_a_frame(run: Run) -> None:
    report = run.convert("id,a\nu1,x\nann@example.com,y\nshort\n,z\n", report={"show_rows": True})
    rejects = report.rejects()
    assert rejects.columns == ["file", "row", "unit", "rule", "code", "columns", "length", "lines", "text"]
    assert rejects["rule"].to_list() == ["id_is_email", "row_too_short", "id_missing"]
    assert rejects["row"].to_list() == [3, 4, 5]
    assert rejects["columns"].struct.field("a").to_list() == ["…", None, "…"]
    assert rejects["length"].to_list() == [None, 5, None]
    assert rejects["text"].to_list() == [None, "short", None]


def test_rejects_are_typed_where_there_are_none_and_where_some_are_left_out(run: Run) -> None:
    report = run.convert("id,a\nu1,x\n,y\n,z\n", report={"rejects_file_rows": 1})
    assert report.rejects()["rule"].to_list() == ["id_missing"]
    none = run.convert("id,a\nu1,x\n", output={"timestamp": 1_400_000_000}).rejects()
    assert none.height == 0
    assert none.schema["row"] == report.rejects().schema["row"] == pl.Int64


def test_rejects_that_are_not_there_are_an_error(run: Run) -> None:
    report = run.convert("id,a\nu1,x\n")
    assert report.rejects_path
    Path(report.rejects_path).unlink()
    with raises(InputError, "E-REJECTS-READ"):
        report.rejects()
    with raises(InputError, "E-INPUT-EMPTY") as raised:
        run.convert("")
    with raises(InputError, "E-REJECTS-READ"):
        raised.value.report.rejects()  # type: ignore[attr-defined]


NESTED = [
    {"id": "u1", "a": b"x", "p": {"city": "Rome", "more": {"k": 1}}, "t": ["1", "2"]},
    {"id": "u2", "a": b"\xff", "p": None, "t": None},
    {"id": "u3", "a": b"y", "p": {"city": "Oslo", "more": None}, "t": ["3"]},
]


@pytest.mark.parametrize("kind", [pl.DataFrame, pl.LazyFrame, pa.Table.from_pylist])
def test_bytes_and_fields_of_structs_of_frames_are_columns(run: Run, kind: Callable[[Any], Any]) -> None:
    signals = ["a", {"column": "p.city", "key": "city"}, {"column": "p.more.k", "key": "k"}]
    job = Job(**{**run.job, "input": {}, "record": {"signals": signals, "traits": ["t"]}})
    convert(job, input=kind(NESTED))
    assert run.lines == ['u1\t"a"="x","city"="Rome","k"="1",d_sid=1,d_sid=2', 'u3\t"a"="y","city"="Oslo",d_sid=3']
    assert [(row["row"], row["rule"]) for row in run.rejects] == [(2, "row_not_text")]
