"""Several jobs in one command: each is run, whatever becomes of the others, and one table says how all of them ended."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from converter.cli.command import run as run_command
from converter.cli.outcome import Messages

from .errors import check_named, check_told
from .test_cli import ENVIRONMENT, command, files
from .test_outcome import told
from .test_stops import AT_NOTE, begun, each_signal, ended

JOB = """
[input]
path = "../in.csv"
[id]
column = "id"
[record]
signals = ["a"]
[output]
to = "../out"
dpid = {dpid}
timestamp = 1366545717
compression = "none"
"""
DPIDS = {"a": 1, "b": 2, "c": 3}
PARTS = {name: f"out/ftp_dpm_{dpid}_1366545717.sync.1" for name, dpid in DPIDS.items()}
ALL = ["jobs/a.toml", "jobs/b.toml", "jobs/c.toml"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a table and three jobs."""
    (tmp_path / "in.csv").write_text("id,a\ncustomer-0001,x\ncustomer-0002,\ncustomer-0003,y\n")
    (tmp_path / "jobs").mkdir()
    for name, dpid in DPIDS.items():
        (tmp_path / "jobs" / f"{name}.toml").write_text(JOB.format(dpid=dpid))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / "jobs" / f"{name}.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def fail(folder: Path, name: str) -> None:
    change(folder, name, "in.csv", "missing.csv")


def refuse(folder: Path, name: str) -> None:
    """Let a job have more rejects than it allows."""
    (folder / "bad.csv").write_text("id,a\ncustomer-0001,x\n" + "john@example.com,y\n" * 5)
    change(folder, name, "in.csv", "bad.csv")


def run(*args: str, **messages: bool) -> int:
    """Run the command in this process."""
    return run_command(["convert", *args], Messages(**messages))


def parts(folder: Path) -> set[str]:
    return {name for name in files(folder) if name.startswith("out/")}


def rows(out: str) -> list[list[str]]:
    """Return the cells of the table; its columns are two spaces apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


# --- what is run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [ALL, ["jobs"], ["jobs/"], ["jobs/a.toml", "more"]], ids=" ".join)
def test_all_jobs_are_run_and_a_table_has_a_row_for_each(
    args: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "more" in args:  # a folder beside a file
        (folder / "more").mkdir()
        for name in ("b", "c"):
            (folder / "jobs" / f"{name}.toml").rename(folder / "more" / f"{name}.toml")
    assert run(*args) == 0
    out, error = capsys.readouterr()
    head, *each = rows(out)
    assert head == ["job", "outcome", "read", "written", "rejected", "skipped", "parts", "seconds"]
    assert [row[:7] for row in each] == [[row[0], "done", "3", "2", "0", "1", "1"] for row in each]
    assert [Path(row[0]).name for row in each] == ["a.toml", "b.toml", "c.toml"]
    assert [line.rpartition(": ")[2] for line in error.splitlines()] == [f"job {n} of 3" for n in (1, 2, 3)]
    assert parts(folder) == set(PARTS.values())


def test_reports_beside_the_job_files_are_no_job_files(folder: Path) -> None:
    (folder / "jobs" / ".hidden").write_text("")
    assert run("jobs") == 0
    assert (folder / "jobs" / "reports").is_dir()
    assert run("jobs", "--resume", "--quiet") == 0


def test_a_folder_with_one_job_has_a_table_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b", "c"):
        (folder / "jobs" / f"{name}.toml").unlink()
    assert run("jobs") == 0
    assert [row[0] for row in rows(capsys.readouterr().out)] == ["job", "jobs/a.toml"]


def test_a_folder_with_other_files_is_an_input(folder: Path) -> None:
    (folder / "jobs" / "x.csv").write_text("id,a\ncustomer-0001,x\n")
    code, _, error = command(folder, "convert", "jobs", "--id", "id", "--signal", "a", "--to", "out", "--dpid", "1")
    assert code == 1
    check_named(error, "E-FOLDER-MIXED")


def test_another_file_beside_job_files_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jobs" / "a.toml~").write_text("")
    assert run("jobs") == 2
    error = capsys.readouterr().err
    check_named(error, "E-JOB-FOLDER")
    assert "nor tables: 'a.toml~'." in error
    (folder / "jobs" / "notes.md").write_text("")
    assert run("jobs") == 2
    assert "nor tables: 'a.toml~' and 1 more." in capsys.readouterr().err


def test_an_empty_folder_is_an_input(folder: Path) -> None:
    (folder / "none").mkdir()
    code, _, error = command(folder, "convert", "none", "--id", "id", "--signal", "a", "--to", "out", "--dpid", "1")
    assert code == 1
    check_told(error, "E-INPUT-MISSING")


# --- one fails --------------------------------------------------------------------------------------------------


def test_the_others_are_run_after_a_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(folder, "a")
    assert run("jobs") == 1
    out, error = capsys.readouterr()
    assert [row[1] for row in rows(out)[1:]] == ["failed [E-INPUT-MISSING]", "done", "done"]
    check_named(error, "jobs/a.toml: Error [E-INPUT-MISSING]", "Error [E-JOBS-FAILED]: 2 of 3 jobs done, 1 failed.")
    assert parts(folder) == {PARTS["b"], PARTS["c"]}


def test_a_column_that_is_missing_is_a_failure_of_its_job_alone(folder: Path) -> None:
    change(folder, "b", '["a"]', '["nothing"]')
    assert run("jobs", "--quiet") == 1
    assert parts(folder) == {PARTS["a"], PARTS["c"]}


def test_an_error_that_is_a_bug_is_a_failure_of_its_job_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from converter.commands.conversion import Conversion

    prove = Conversion._prove

    def proving(self: Conversion) -> None:
        if self._plan.job.dpids == (2,):
            raise ZeroDivisionError
        prove(self)

    monkeypatch.setattr(Conversion, "_prove", proving)
    assert run("jobs") == 1
    assert [row[1] for row in rows(capsys.readouterr().out)[1:]] == ["done", "failed [E-INTERNAL]", "done"]


@pytest.mark.parametrize("failed, code, named", [((), 3, "E-JOBS-REFUSED"), (("a",), 1, "E-JOBS-FAILED")], ids=str)
def test_a_refusal_counts_where_none_fails(
    failed: tuple[str, ...], code: int, named: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(folder, "c")
    for name in failed:
        fail(folder, name)
    assert run("jobs") == code
    out, error = capsys.readouterr()
    assert rows(out)[3][1] == "refused [E-TOO-MANY-REJECTS]"
    check_named(error, named)


def test_quiet_prints_errors_with_their_jobs(folder: Path) -> None:
    fail(folder, "b")
    code, out, error = command(folder, "convert", "jobs", "--quiet")
    assert (code, out) == (1, "")
    first, last = error.splitlines()
    assert first.startswith("jobs/b.toml: Error [E-INPUT-MISSING]: ")
    assert last.startswith("Error [E-JOBS-FAILED]: ")


# --- one is wrong -----------------------------------------------------------------------------------------------


def wrong(folder: Path, code: str, *args: str) -> str:
    """Run jobs of which some are wrong; nothing is done. Return what is said."""
    before = files(folder)
    ended, out, error = command(folder, "convert", *args)
    assert (ended, out) == (2, "")
    assert f"[{code}]" in error
    assert files(folder) == before
    return error


def test_nothing_is_run_where_a_job_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "c", "dpid = 3", "dpid = 3\nmoed = 'sync'")
    check_named(wrong(folder, "E-JOB-INVALID", "jobs"), "jobs/c.toml", "output.moed")
    assert run("jobs") == 2


def test_all_jobs_that_are_wrong_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "a", "[id]", "[ids]")
    change(folder, "c", 'path = "../in.csv"', "")
    said = wrong(folder, "E-JOB-INVALID", *ALL, "jobs/d.toml")
    check_named(said, "'jobs/a.toml': ", "ids", "'jobs/c.toml': ", "input.path", "'jobs/d.toml'")
    assert run(*ALL, "jobs/d.toml") == 2


@pytest.mark.parametrize("again", ["jobs/a.toml", "jobs/../jobs/a.toml", "link.toml", "jobs"])
def test_a_file_that_is_named_twice_is_an_error(again: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "link.toml").symlink_to("jobs/a.toml")
    check_named(wrong(folder, "E-JOB-TWICE", "jobs/a.toml", again), "jobs/a.toml")
    assert run("jobs/a.toml", again) == 2


def test_two_files_with_one_job_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "b", "dpid = 2", "dpid = 1")
    check_named(wrong(folder, "E-JOB-TWICE", "jobs"), "jobs/a.toml", "jobs/b.toml")
    assert run("jobs") == 2


def test_two_jobs_of_standard_input_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "c"):
        change(folder, name, '"../in.csv"', '"-"\nformat = "csv"')
    check_named(wrong(folder, "E-JOBS-STDIN", "jobs"), "jobs/a.toml", "jobs/c.toml")
    assert run("jobs") == 2


@pytest.mark.parametrize("args", [["jobs/a.toml", "in.csv"], ["in.csv", "jobs"], ["in.csv", "more.csv"]], ids=" ".join)
def test_jobs_beside_an_input_are_an_error(args: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_named(wrong(folder, "E-USAGE", *args), "in.csv", "--input")
    assert run(*args) == 2


@pytest.mark.parametrize(
    "option",
    ["--input=in.csv", "--format=csv", "--id=id", "--id-type=crm", "--signal=a", "--trait=5", "--dpid=5", "--target=5",
     "--mode=sync", "--rejects-of=x.json"],
)  # fmt: skip
def test_options_of_one_job_are_an_error(option: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("jobs", option) == 2
    check_told(capsys.readouterr().err, "E-USAGE", option.partition("=")[0])
    assert parts(folder) == set()


# --- options of all ---------------------------------------------------------------------------------------------


def test_settings_and_flags_apply_to_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("jobs", "--set", "output.compression=gzip", "--to", "staging", "--report-dir", "said") == 0
    assert {path.name for path in (folder / "staging").iterdir()} == {f"{Path(p).name}.gz" for p in PARTS.values()}
    assert not (folder / "jobs" / "reports").exists()
    assert len(list((folder / "said").glob("*.report.json"))) == 3


def test_resume_runs_what_is_not_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(folder, "b")
    assert run("jobs", "--resume") == 1
    (folder / "missing.csv").write_text("id,a\ncustomer-0009,z\n")
    capsys.readouterr()
    assert run("jobs", "--resume") == 0
    assert [row[1] for row in rows(capsys.readouterr().out)[1:]] == ["nothing to do", "done", "nothing to do"]


def test_a_dry_run_shows_each_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(folder, "b")
    assert run("jobs", "--dry-run") == 1
    out = capsys.readouterr().out
    assert out.count("Nothing was written (--dry-run).") == 2
    assert rows(out)[-3:] == [
        ["jobs/a.toml", "done"],
        ["jobs/b.toml", "failed [E-INPUT-MISSING]"],
        ["jobs/c.toml", "done"],
    ]
    assert parts(folder) == set()


def test_a_warning_of_two_jobs_is_printed_for_both(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("jobs/a.toml", "jobs/b.toml", "--set", "record.signals=[{column='a',key='1'}]") == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "W-KEY-UNNAMEABLE" in line]
    assert [line.partition(":")[0] for line in warned] == ["jobs/a.toml", "jobs/b.toml"]


def test_the_log_has_all_jobs_and_their_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(folder, "b")
    assert run("jobs", "--log-file", "log.jsonl") == 1
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(each["event"], each.get("code")) for each in events if each["event"] in ("begin", "error")] == [
        ("begin", None),
        ("error", "E-INPUT-MISSING"),
        ("begin", None),
    ]


# --- for programs -----------------------------------------------------------------------------------------------


def test_json_is_one_object_with_all_jobs(folder: Path) -> None:
    fail(folder, "b")
    code, out, _ = command(folder, "convert", "jobs", "--json")
    outcome = told(out)
    assert (code, outcome["exit_code"], outcome["outcome"]) == (1, 1, "failed")
    assert outcome["error"]["code"] == "E-JOBS-FAILED"
    jobs = outcome["jobs"]
    assert [each["job_file"] for each in jobs] == ALL
    assert [each["exit_code"] for each in jobs] == [0, 1, 0]
    assert jobs[1]["error"]["code"] == "E-INPUT-MISSING"
    for each in jobs:
        assert json.loads(Path(each["report_path"]).read_bytes())["records"] == each["records"]
    assert jobs[0]["records"] == {"read": 3, "written": 2, "rejected": {}, "skipped": {"no_signal": 1}}


def test_json_of_good_jobs_has_no_error(folder: Path) -> None:
    code, out, _ = command(folder, "convert", "jobs", "--json")
    assert (code, told(out)["outcome"], told(out)["error"]) == (0, "done", None)


def test_events_name_their_job(folder: Path) -> None:
    fail(folder, "b")
    code, out, error = command(folder, "convert", "jobs", "--progress", "json")
    assert (code, out) == (1, "")
    events = [json.loads(line) for line in error.splitlines()]
    assert [(each["event"], each.get("job_file"), each.get("code")) for each in events] == [
        ("notice", ALL[0], None),
        ("notice", ALL[1], None),
        ("error", ALL[1], "E-INPUT-MISSING"),
        ("notice", ALL[2], None),
        ("error", None, "E-JOBS-FAILED"),
    ]


# --- signals ----------------------------------------------------------------------------------------------------

SECOND = """
from converter.delivery.journal import Journal
begin, count = Journal.begin, 0
def beginning(journal, run):
    global count
    count += 1
    begin(journal, run)
    if count == 2: send({number})
Journal.begin = beginning
"""


def outcomes(out: str) -> list[Any]:
    return [(each["outcome"], each["exit_code"]) for each in told(out)["jobs"]]


@each_signal
def test_a_signal_ends_the_job_that_runs_and_begins_no_other(number: signal.Signals, folder: Path) -> None:
    code, out, error = ended(begun(folder, SECOND.format(number=int(number)), ["convert", "jobs", "--json"]))
    assert code == 128 + number
    assert outcomes(out) == [("done", 0), ("stopped", 128 + number), ("not begun", None)]
    assert (told(out)["outcome"], told(out)["error"]["code"]) == ("stopped", "E-STOPPED")
    check_named(error, "jobs/b.toml: Error [E-STOPPED]", "1 of 3 jobs done, 1 stopped, 1 not begun.", "--resume")
    assert parts(folder) == {PARTS["a"]}
    code, out, _ = command(folder, "convert", "jobs", "--json", "--resume")
    assert (code, [name for name, _ in outcomes(out)]) == (0, ["nothing to do", "done", "done"])


@pytest.mark.parametrize("event", ["published", "done"])
def test_a_signal_when_a_job_is_published_begins_no_other(event: str, folder: Path) -> None:
    code, out, _ = ended(begun(folder, AT_NOTE.format(event=event, times=1, number=15), ["convert", "jobs", "--json"]))
    assert code == 143
    assert outcomes(out) == [("done", 0), ("not begun", None), ("not begun", None)]
    assert parts(folder) == {PARTS["a"]}


def test_a_signal_when_the_last_job_is_published_is_let_pass(folder: Path) -> None:
    code, out, _ = ended(begun(folder, AT_NOTE.format(event="done", times=3, number=15), ["convert", "jobs", "--json"]))
    assert (code, outcomes(out)) == (0, [("done", 0)] * 3)


# --- on a terminal ----------------------------------------------------------------------------------------------


def on_terminal(folder: Path, columns: int) -> str:
    """Run the jobs with standard output on a terminal; return what it shows."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "converter", "convert", "jobs"],
        cwd=folder,
        env=ENVIRONMENT | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(slave)
        assert process.wait(60) == 1
        said = os.read(master, 1 << 16).decode()
    os.close(master)
    return said


def test_a_wide_terminal_shows_a_table_and_a_narrow_one_lines(folder: Path) -> None:
    fail(folder, "b")
    wide = on_terminal(folder, 120).splitlines()
    assert len(wide) == 4
    check_named(wide[0], "job", "outcome", "seconds")
    for part in (folder / "out").iterdir():
        part.unlink()
    narrow = on_terminal(folder, 40)
    check_named(narrow, "jobs/a.toml: done, 3 read, 2 written", "jobs/b.toml: failed [E-INPUT-MISSING]")
