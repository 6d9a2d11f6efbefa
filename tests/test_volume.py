"""A run that reads or writes far less or far more than the last ones of its job is refused (`report.max_change`)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import Job, convert
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands.retention import remove_old
from converter.delivery.run_files import run_files_of
from converter.errors import GuardError, JobError, TooManyRejectsError
from converter.jobs.identity import DIGITS
from converter.report import Report
from converter.sources import texts
from converter.sources.delimited import DelimitedSource

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises

MESSAGES = Messages.of([])
OVERWRITE = {"output": {"mode": "overwrite"}}


class Days:
    """A job that runs daily, each time with another number of rows."""

    def __init__(self, run: Run, **changes: Any) -> None:
        self.run, self.changes, self.number = run, changes, 0

    def write(self, rows: int, value: str = "x") -> None:
        self.run.write("id,a\n" + "".join(f"u{number:05},{value}\n" for number in range(rows)))

    def job(self, **changes: Any) -> Job:
        self.number += 1
        return self.run.make_job(**{"output": {"timestamp": TIMESTAMP + self.number, **self.changes}, **changes})

    def convert(self, rows: int, value: str = "x", *, accept_volume: bool = False, **changes: Any) -> Report:
        self.write(rows, value)
        return convert(self.job(**changes), accept_volume=accept_volume)


@pytest.fixture
def days(run: Run) -> Days:
    """Return a job with the mode `overwrite`."""
    return Days(run, mode="overwrite")


def refused(days: Days, rows: int, value: str = "x", **changes: Any) -> str:
    """Return the message of a run that is refused and publishes nothing."""
    before = days.run.files
    with raises(GuardError, "E-VOLUME", "--accept-volume", "Nothing was published") as raised:
        days.convert(rows, value, **changes)
    assert days.run.files == before
    assert raised.value.exit_code == 3
    assert raised.value.report.outcome == "refused"
    return str(raised.value)


@pytest.mark.parametrize("rows", [49, 151])
def test_far_less_and_far_more_rows_than_the_median_are_refused_and_what_is_near_is_not(days: Days, rows: int) -> None:
    for past in (100, 100, 140):
        days.convert(past)
    check_named(refused(days, rows), f"{rows:,} rows read", "median is 100", "last 3 delivered runs", " 50% ")
    assert days.convert(50).outcome == "done"
    assert days.convert(150).outcome == "done"


def test_bytes_are_compared_where_the_rows_are_as_many_as_ever(days: Days) -> None:
    for _ in range(3):
        days.convert(100, "x" * 100)
    message = refused(days, 100)
    check_named(message, "1,500 bytes written", "median is 11,400")
    assert "rows read" not in message
    check_named(refused(days, 10), "10 rows read", " and ", "bytes written")


def test_users_are_compared_where_rows_are_gathered(days: Days) -> None:
    days.run.job["record"]["rows"] = "signal"
    for _ in range(3):
        days.convert(100)
    days.run.write("id,a\n" + "".join(f"u0000{number % 5},{number:06}\n" for number in range(100)))
    with raises(GuardError, "E-VOLUME", "5 users written", "median is 100"):
        convert(days.job())


def test_runs_that_send_changes_are_compared_by_their_rows_alone(days: Days) -> None:
    days.changes["dpid"] = 99
    state = {"state": str(days.run.folder / "state")}
    for _ in range(3):
        days.convert(100, delta=state)
    assert days.convert(101, delta=state).records["written"] == 1
    assert refused(days, 20, delta=state)


def test_the_last_five_runs_count_and_fewer_than_three_do_not(days: Days) -> None:
    for rows in (1000, 10):  # nothing to compare with
        days.convert(rows)
    days.convert(10)
    for _ in range(3):
        days.convert(10)
    check_named(refused(days, 1000), "last 5 delivered runs", "median is 10")  # the first one counts no more


def test_a_failed_or_refused_run_is_none_to_compare_with(days: Days) -> None:
    for _ in range(2):
        days.convert(100)
    days.run.write("id,a\n" + "u:1,x\n" * 50)
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        convert(days.job(report={"max_rejects": "0%"}))
    assert days.convert(10).outcome == "done"
    assert refused(days, 1)


def test_the_volume_is_accepted_once(days: Days) -> None:
    for _ in range(3):
        days.convert(100)
    assert refused(days, 10)
    assert days.convert(10, accept_volume=True).outcome == "done"
    assert refused(days, 10)  # three of the last four runs had 100


def test_by_default_there_is_a_limit_for_overwrite_alone(run: Run, tmp_path: Path) -> None:
    assert run.make_job().max_change == "off"
    assert run.make_job(**OVERWRITE).max_change == "50%"
    days = Days(run)
    for _ in range(3):
        days.convert(100)
    assert days.convert(1).outcome == "done"
    check_named(refused(days, 1, report={"max_change": "9.5%"}), "9.5%")
    assert Days(run, mode="overwrite").job(report={"max_change": "off"}).max_change == "off"


def test_off_is_off(days: Days) -> None:
    for _ in range(3):
        days.convert(100)
    assert days.convert(1, report={"max_change": "off"}).outcome == "done"


def test_a_job_for_dated_files_has_one_history_and_other_jobs_have_others(days: Days) -> None:
    folder = days.run.folder
    for day in range(1, 4):
        days.write(100)
        dated = (folder / "in.csv").rename(folder / f"in-2024-05-{day:02}.csv")
        convert(days.job(input={"path": str(dated)}))
    assert days.convert(1, output={"timestamp": TIMESTAMP + 50, "mode": "overwrite", "dpid": 99}).outcome == "done"
    days.write(1)
    (folder / "in.csv").rename(folder / "other.csv")
    assert convert(days.job(input={"path": str(folder / "other.csv")})).outcome == "done"
    days.write(1)
    dated = (folder / "in.csv").rename(folder / "in-2024-06-01.csv")
    with raises(GuardError, "E-VOLUME"):
        convert(days.job(input={"path": str(dated)}))


def test_what_is_no_report_does_not_count(days: Days) -> None:
    reports = days.run.folder / "reports"
    for _ in range(3):
        days.convert(100)
    good = json.loads(next(reports.glob("*.report.json")).read_bytes())
    others: list[Any] = [
        [],
        {**good, "records": {"read": "many"}},
        {**good, "parts": None},
        {**good, "schema_version": 1},
        {**good, "series": "another"},
        {**good, "outcome": "stopped"},
    ]
    for number, content in enumerate(others):
        (reports / f"x{number}.report.json").write_text(json.dumps(content))
    (reports / "torn.report.json").write_bytes(b'{"schema_version": 5,')
    (reports / "folder.report.json").mkdir()
    check_named(refused(days, 10), "last 3 delivered runs")


@pytest.mark.parametrize("collisions", ["off", "reject"])
def test_too_many_rows_end_a_run_before_its_end(days: Days, collisions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    days.run.job["id"]["case_collisions"] = collisions  # which takes two passes
    for _ in range(3):
        days.convert(100)
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", 1000)
    monkeypatch.setattr(texts, "WINDOW", 256)
    check_named(refused(days, 20_000), "so far", "median is 100")
    (report,) = (days.run.folder / "reports").glob("*.failed-1.report.json")
    assert json.loads(report.read_bytes())["records"]["read"] < 2000


def test_a_known_number_of_rows_is_judged_before_any_is_read(run: Run) -> None:
    path = run.folder / "in.parquet"
    for number, rows in enumerate((10, 10, 10, 4)):
        pl.DataFrame({"id": [f"u{n}" for n in range(rows)], "a": "x"}).write_parquet(path)
        job = run.make_job(input={"path": str(path)}, output={"timestamp": TIMESTAMP + number, "mode": "overwrite"})
        if rows == 10:
            convert(job)
    with raises(GuardError, "E-VOLUME", "4 rows read") as raised:
        convert(job)
    assert raised.value.report.records["read"] == 0


def test_parts_that_are_visible_already_are_said(days: Days) -> None:
    days.changes |= {"publish": "each", "max_part_bytes": "100B"}
    for _ in range(3):
        days.convert(100)
    with raises(GuardError, "E-VOLUME", "10 rows read", "visible already"):
        days.convert(10)


def test_a_dry_run_compares_the_rows(days: Days, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        days.convert(100)
    days.write(10)
    job = days.run.folder / "job.toml"
    job.write_text(
        f'[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1234\n'
        f'mode = "overwrite"\ntimestamp = {TIMESTAMP + 60}\n'
    )
    assert run_command(["convert", str(job), "--dry-run"], MESSAGES) == 3
    check_named(capsys.readouterr().err, "E-VOLUME", "10 rows read", "--dry-run")
    assert run_command(["convert", str(job), "--dry-run", "--accept-volume"], MESSAGES) == 0
    assert run_command(["convert", str(job)], MESSAGES) == 3
    assert run_command(["convert", str(job), "--accept-volume"], MESSAGES) == 0


def test_what_the_guard_needs_is_kept_of_each_series(days: Days) -> None:
    for _ in range(3):
        days.convert(100)
    days.changes["allow_both_modes"] = True
    sync = Days(days.run, allow_both_modes=True)
    sync.number = 20
    for _ in range(6):
        sync.convert(100, report={"keep": "1d"})
    files = run_files_of(days.job())
    remove_old(files, days.job(report={"keep": "1d"}), days.job().digest[:DIGITS], now=time.time() + 1e9)
    assert refused(days, 1)


@pytest.mark.parametrize("text", ["0%", "0.0%", "-5%", "50", "half", "5 %"])
def test_a_limit_is_a_percentage(run: Run, text: str) -> None:
    with raises(JobError, "E-JOB-INVALID", "report.max_change", '"50%"'):
        run.make_job(report={"max_change": text})
