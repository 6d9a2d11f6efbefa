"""A run stops as soon as it is certain that it has too many rejects, and what it says and leaves then."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from isal.igzip import READ_BUFFER_SIZE

from converter import convert
from converter.commands import rejections
from converter.commands.progress import Progress
from converter.errors import TooManyRejectsError
from converter.sources import estimate, texts
from converter.sources.delimited import DelimitedSource
from converter.sources.ndjson import NdjsonSource

from .conftest import Run
from .errors import check_named, raises

GOOD, BAD = "u{0},x\n", "u:{0},x\n"
BLOCK = 1000  # bytes
WRONG_COLUMN = "wrong column"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run of some thousand rows have many blocks, as one of many gigabytes has."""
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", BLOCK)
    monkeypatch.setattr(texts, "WINDOW", 256)


def table(*kinds: tuple[str, int]) -> str:
    """Return a table with so many rows of each kind, in this order."""
    return "id,a\n" + "".join(row.format(number) for row, count in kinds for number in range(count))


def refused(run: Run, **changes: Any) -> TooManyRejectsError:
    """Return the error of a run that must have too many rejects, and publish nothing."""
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS") as raised:
        run.convert(**changes)
    assert run.files == []
    assert (run.report["outcome"], run.report["parts"]) == ("refused", [])
    return raised.value


def test_a_number_of_rejects_stops_a_run_at_once(run: Run) -> None:
    run.write(table((BAD, 30), (GOOD, 20_000)))
    error = refused(run, report={"max_rejects": 20})
    records = run.report["records"]
    assert (run.report["complete"], error.exit_code) == (False, 3)
    assert records["rejected"] == {"id_forbidden_character": 30}
    assert records["read"] == records["written"] + 30 < 2000
    assert len(run.rejects) == 30
    (report,) = (run.folder / "reports").glob("*.report.json")
    (rejects,) = (run.folder / "reports").glob("*.rejects.ndjson.gz")
    check_named(str(error), "30 in column 'id'", " 20 ", str(report), str(rejects))


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.ndjson", "in.parquet"])
def test_a_wrong_column_stops_a_run_early_in_every_format(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NdjsonSource.__init__.__kwdefaults__ or {}, "block", BLOCK)
    draw = random.Random(1)  # what is compressed is read some hundred kilobytes at a time
    rows = pl.DataFrame({"id": [f"{draw.randbytes(50).hex()}@example.com" for _ in range(20_000)], "a": "x"})
    monkeypatch.setattr(rejections, "_READ_AHEAD", READ_BUFFER_SIZE)
    path = run.folder / name
    if name.endswith("parquet"):
        rows.write_parquet(path, row_group_size=500)
        monkeypatch.setattr("converter.sources.tables._BLOCK_ROWS", 500)
    else:
        text = (rows.write_ndjson() if "json" in name else rows.write_csv()).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    error = refused(run, input={"path": str(path)}, report={"max_rejects": "10%"})
    assert 2000 < run.report["records"]["read"] < 12_000
    assert not run.report["complete"]
    check_named(str(error), "id_is_email: ", " 10% of ", WRONG_COLUMN)


def test_rejects_within_the_limit_never_stop_a_run_wherever_they_are(run: Run) -> None:
    # All of them come first, with rows that are much longer than the others.
    long = "u:{0}" + "y" * 200 + ",x\n"
    run.write(table((long, 1000), (GOOD, 9000)))
    report = run.convert(report={"max_rejects": "10%"})
    assert (report.complete, report.records["rejected"]) == (True, {"id_forbidden_character": 1000})
    assert len(run.lines) == 9000


@pytest.mark.parametrize("threads, block", [(1, 500), (2, 1000), (4, 50_000), (3, 1 << 20)])
def test_the_outcome_does_not_depend_on_threads_and_blocks(
    run: Run, threads: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", block)
    monkeypatch.setattr(estimate, "_WINDOW", 256)  # so that only a sample is counted
    long = "u:{0}" + "y" * 100 + ",x\n"
    run.write(table((long, 1000), (GOOD, 9000)))
    assert run.convert(run={"threads": threads}, report={"max_rejects": "10%"}).outcome == "done"


def test_a_percentage_of_many_files_counts_all_of_them(run: Run) -> None:
    for number in range(20):
        run.write(table((BAD if number < 2 else GOOD, 1000)), f"in{number:02}.csv")
    changes: dict[str, Any] = {"input": {"path": str(run.folder / "in*.csv")}}
    assert not refused(run, **changes, report={"max_rejects": "9%"}).visible
    assert not run.report["complete"]
    assert run.convert(**changes, report={"max_rejects": "10%"}).outcome == "done"


def test_all_rejects_are_allowed_by_100_percent(run: Run) -> None:
    run.write(table((BAD, 5000), (GOOD, 1)))
    assert run.convert(report={"max_rejects": "100%"}).records["rejected"] == {"id_forbidden_character": 5000}


def test_too_many_rejects_stop_a_run_of_two_passes_in_the_first_one(run: Run) -> None:
    run.write(table((BAD, 3000), (GOOD, 40_000)))
    seen: list[Progress] = []
    changes: dict[str, Any] = {"id": {"case_collisions": "reject"}, "report": {"max_rejects": 20}}
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        convert(run.make_job(**changes), progress=seen.append)
    first = [each for each in seen if each.phase == "comparing"]
    assert first
    assert 0 < first[-1].rows < 3000
    assert run.report["records"]["read"] < 3000


def test_what_is_visible_already_is_said_where_a_run_stops(run: Run) -> None:
    run.write(table((GOOD, 5000), (BAD, 5000), (GOOD, 5000)))
    seen: list[Progress] = []
    job = run.make_job(output={"publish": "each", "max_part_raw_bytes": 10_000}, report={"max_rejects": 100})
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS", " visible") as raised:
        convert(job, progress=seen.append)
    assert 0 < len(run.files) == len(raised.value.visible)
    assert set(run.files) >= {part["name"] for part in run.report["parts"]} != set()


def test_the_rejects_file_is_capped_and_says_what_it_leaves_out(run: Run) -> None:
    rows = [("u:1", "x"), ("short",), ("", "x")] * 100
    run.write("id,a\n" + "".join(",".join(row) + "\n" for row in rows) + "u,x\n")
    report = run.convert(report={"rejects_file_rows": 100})
    *kept, last = run.rejects
    assert [row["row"] for row in kept] == list(range(2, 102))  # the first ones, whatever their rules
    assert last == {
        "kept": 100,
        "left_out": {"id_forbidden_character": 66, "id_missing": 67, "row_too_short": 67},
    }
    assert sum(report.records["rejected"].values()) == 300


@pytest.mark.parametrize("most", [300, 1000])
def test_a_rejects_file_with_all_rows_does_not_say_that_it_is_capped(run: Run, most: int) -> None:
    run.write(table((BAD, 300), (GOOD, 1)))
    run.convert(report={"rejects_file_rows": most})
    assert [row["rule"] for row in run.rejects] == ["id_forbidden_character"] * 300


def test_a_rejects_file_may_have_counts_alone(run: Run) -> None:
    run.convert(table((BAD, 3), (GOOD, 1)), report={"rejects_file_rows": 0})
    assert run.rejects == [{"kept": 0, "left_out": {"id_forbidden_character": 3}}]


@pytest.mark.parametrize(
    "content, changes, named, is_wrong_column",
    [
        ("id,a\n" + "joe@x.com,x\n" * 9 + "u,x\n", {}, ["id_is_email: 9 in column 'id'", "hash it"], True),
        ("id,a\n" + "joe@x.com,x\n" * 5 + "u,x\n" * 5, {}, ["id_is_email: 5 in column 'id'", "hash it"], False),
        ("id,a\n" + "u1,x\n" * 9, {"id": {"type": "gaid"}}, ["id_wrong_form: 9 in column 'id'", "id.type"], True),
        ("id,a\nu1\nu2\nu3\nu4,x\n", {}, ["row_too_short: 3", "input.separator"], False),
        ("id,a\nu1,x,y\nu4,x\n", {}, ["row_too_long: 1", "input.separator", "double quotes"], False),
        ('id,a\nu1,"x"y\nu4,x\n', {}, ["row_misquoted: 1", "doubled"], False),
        (b"id,a\nu1,x\xfc\nu4,x\n", {}, ["row_not_text: 1", "input.encoding", "cp1252"], False),
        (
            "id,a,b\n" + "u1,x,joe@x.com\n" * 2 + "u1,4111111111111111,x\nu2,x,x\n",
            {"record": {"signals": ["a", "b"]}},
            ["value_personal: 2 in column 'b' (email) and 1 in column 'a' (card)", "privacy.allow"],
            False,
        ),
        (
            'id,a\nu1,"x\ty"\nu2,x\n',
            {"record": {"on_bad_value": "reject"}},
            ["bad_value: 1 in column 'a'", "on_bad_value"],
            False,
        ),
    ],
)
def test_the_message_goes_by_the_rule(
    run: Run, content: str | bytes, changes: dict[str, Any], named: list[str], is_wrong_column: bool
) -> None:
    run.write(content)
    error = refused(run, **changes, report={"max_rejects": 0})
    check_named(str(error), *named, "report.json", "rejects.ndjson.gz")
    assert (WRONG_COLUMN in str(error)) == is_wrong_column
    assert "joe@" not in str(error)


def test_the_rows_of_inputs_are_estimated_as_too_many_rather_than_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from converter.jobs.sections.table import Input
    from converter.sources.origins.local import LocalFile

    def estimated(*contents: str) -> int:
        paths = [tmp_path / f"{number}.csv" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_text(content)
        options = Input(path=[str(path) for path in paths])
        found = estimate.estimate_rows([DelimitedSource(LocalFile.at(path), options) for path in paths])
        assert not found.others
        return found.rows

    small = table((GOOD, 5000))
    assert estimated(small) == 5001  # all of it is counted; the last row might have no newline
    assert estimated(small, small[:-1], "id,a\n") == 10_002
    monkeypatch.setattr(estimate, "_WINDOW", 100)
    assert 5000 * 1.8 < estimated(small) < 5000 * 2.2
    assert estimated("id,a\n" + ("y" * 90 + ",x\n") * 1000, small) > 6000
