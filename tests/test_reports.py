"""Every run that was valid to begin leaves a report, however it ends; its events are in the log."""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from converter import Job, convert, send
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands import account, retention
from converter.commands.progress import Progress
from converter.commands.retention import remove_old
from converter.delivery.delivery import Delivery
from converter.delivery.destinations.named import NamedDestination
from converter.delivery.journal import Journal
from converter.delivery.run_files import FolderFiles
from converter.errors import (
    ConverterError,
    DestinationError,
    GuardError,
    InputError,
    InternalError,
    JobError,
    TooManyRejectsError,
    TransientError,
)
from converter.jobs.document import merge
from converter.jobs.events import LOGGER
from converter.jobs.identity import DIGITS
from converter.jobs.job import Transfer
from converter.remote.retry import Patience, Retries
from converter.report import SCHEMA_VERSION, Report, SendReport

from .conftest import TIMESTAMP, Run
from .errors import check_told, codes_of, only_report, raises
from .servers.ftp import LOGIN, ftp_server
from .servers.scripted_s3 import Act, scripted_place
from .test_cli import command
from .test_resume import CONTENT, SMALL, KilledError, die_at

STEM = f"ftp_dpm_1234_{TIMESTAMP}.sync"

SCHEMA: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "version": str,
    "name": str,
    "job": dict,
    "job_path": (str, type(None)),
    "host": str,
    "place": str,
    "sent": (str, type(None)),
    "input": list,
    "outcome": str,
    "exit_code": int,
    "error": (dict, type(None)),
    "parts": list,
    "hidden_parts": int,
    "started": str,
    "ended": str,
    "seconds": float,
    "bytes_per_second": int,
    "retries": dict,
    "report_path": (str, type(None)),
    "warnings": list,
}
OF_CONVERT: dict[str, type | tuple[type, ...]] = {
    "records": dict,
    "ids": dict,
    "signals": dict,
    "rejects_path": (str, type(None)),
    "encrypted_for": (str, type(None)),
    "complete": bool,
    "left_out": list,
    "encodings": list,
    "changes": (dict, type(None)),
    "foreseen": (dict, type(None)),
    "series": str,
    "fingerprints": list,
    "meanings": dict,
    "examples": list,
    "skipped_examples": list,
    "first_lines": list,
    "pace": list,
    "spark": (dict, type(None)),
}


def check_schema(report: dict[str, Any], of: dict[str, type | tuple[type, ...]]) -> None:
    """Check the keys and types of a report. Where this fails, `SCHEMA_VERSION` has to be raised."""
    assert report.keys() == of.keys()
    for key, kinds in of.items():
        assert isinstance(report[key], kinds), key
    assert report["schema_version"] == SCHEMA_VERSION == 5
    started, ended = (datetime.datetime.fromisoformat(report[key]) for key in ("started", "ended"))
    assert started.tzinfo is not None
    # Times are cut off to milliseconds, and the seconds are rounded: together they may differ by less than two.
    assert -0.002 < (ended - started).total_seconds() - report["seconds"] < 1
    for each in report["input"]:
        assert each.keys() == {"path", "bytes"}
    for each in report["parts"]:
        assert each.keys() == {"name", "url", "lines", "raw_bytes", "bytes", "crc32", "sha256"}
    if report["error"]:
        assert report["error"].keys() == {"code", "message", "hint"}


# --- reports ----------------------------------------------------------------------------------------------------


def test_the_report_of_a_run_that_is_done_has_all_keys(run: Run) -> None:
    report = run.convert("id,a\nu1,x\n:,x\n")
    check_schema(run.report, SCHEMA | OF_CONVERT)
    assert (report.outcome, report.exit_code, report.error, report.hidden_parts) == ("done", 0, None, 0)
    assert report.host == os.uname().nodename
    assert run.report == json.loads(report.to_json()), "the report is what was returned, to the end of the run"


def test_a_report_names_the_job_file(run: Run) -> None:
    run.write("id,a\nu1,x\n")
    path = run.write(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1234\n',
        "job.toml",
    )
    assert convert(Job.load(path)).job_path == str(path)
    assert convert(Job.load(path, {"input": {"path": str(run.folder / "in.csv")}}), resume=True).job_path == str(path)


def test_a_run_that_is_refused_leaves_a_report_with_its_counts(run: Run) -> None:
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS") as raised:
        run.convert("id,a\nu1,x\n:,x\n", report={"max_rejects": 0})
    check_schema(run.report, SCHEMA | OF_CONVERT)
    assert (run.report["outcome"], run.report["exit_code"]) == ("refused", 3)
    assert run.report["records"]["rejected"] == {"id_forbidden_character": 1}
    assert run.report["error"]["code"] == "E-TOO-MANY-REJECTS"
    assert Path(run.report["rejects_path"]).is_file()
    assert isinstance(raised.value.report, Report)
    assert raised.value.report.report_path == run.report["report_path"]


def test_a_run_without_input_leaves_a_report_and_no_more(run: Run) -> None:
    with raises(InputError, "E-INPUT-MISSING"):
        run.convert()
    report = only_report(run.folder / "reports")
    check_schema(report, SCHEMA | OF_CONVERT)
    assert (report["outcome"], report["exit_code"], report["parts"], report["input"]) == ("failed", 1, [], [])
    assert report["rejects_path"] is None
    assert report["name"] == STEM


def test_what_nothing_expects_leaves_a_report_without_its_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("john.doe@example.com")

    monkeypatch.setattr(Delivery, "publish", broken)
    with pytest.raises(ValueError, match="john") as raised:
        run.convert("id,a\nu1,x\n")
    assert run.report["error"]["code"] == "E-INTERNAL"
    assert run.report["hidden_parts"] == 1, "it is kept for --resume"
    assert run.report["parts"] == []
    assert "john" not in json.dumps(run.report)
    assert isinstance(account.reported(raised.value), InternalError)
    assert account.reported(raised.value).report


def test_a_job_that_is_wrong_starts_no_run_and_leaves_nothing(run: Run) -> None:
    with raises(JobError, "E-COLUMN-MISSING"):
        run.convert("id,b\nu1,x\n")
    assert not (run.folder / "reports").exists()


def test_ids_of_several_types_are_found_by_a_run_which_leaves_a_report(run: Run) -> None:
    content = "id,a\ncdda802e-fb9c-47ad-0794-d394c912ab77,x\nu1,x\n"
    with raises(GuardError, "E-ID-TYPES-MIXED"):
        run.convert(content, id={"type": "auto"})
    assert (run.report["exit_code"], run.report["records"]["read"]) == (3, 2)


def test_a_run_that_loses_its_names_does_not_replace_the_report_of_the_one_that_has_them(run: Run) -> None:
    done = run.convert("id,a\nu1,x\n")
    for _ in range(2):
        with raises(DestinationError, "E-NAME-TAKEN"):
            run.convert("id,a\nu2,x\n")
    assert run.report == json.loads(done.to_json())
    names = [path.name.rsplit(".", 3)[1] for path in sorted((run.folder / "reports").glob("*.failed-*.json"))]
    assert names == ["failed-1", "failed-2"]


def test_a_run_that_stops_while_it_publishes_says_what_is_visible_and_is_finished_by_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Journal.note

    def noted(self: Journal, what: str, **facts: Any) -> None:
        note(self, what, **facts)
        if what == "published" and facts["number"] == 2:
            raise DestinationError("E-FOLDER-WRITE", "It broke.")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", noted)
        with raises(DestinationError, "E-FOLDER-WRITE"):
            run.convert(CONTENT, output=SMALL)
    assert [part["name"] for part in run.report["parts"]] == [f"{STEM}.1.gz", f"{STEM}.2.gz"]
    assert all(Path(part["url"]).is_file() for part in run.report["parts"])
    assert run.report["hidden_parts"] == 2
    assert run.report["records"]["read"] == 3000
    failed = run.report
    resumed = run.convert(output=SMALL, resume=True)
    assert (len(resumed.parts), resumed.outcome, resumed.hidden_parts) == (4, "done", 0)
    assert resumed.started > failed["ended"], "its times are those of the command"
    assert run.report == json.loads(resumed.to_json())


def test_a_run_that_cannot_be_finished_leaves_a_report_of_what_is_visible(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, "published", 2)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output=SMALL)

    def broken(*_: object) -> None:
        raise DestinationError("E-FOLDER-WRITE", "It broke.")

    monkeypatch.setattr(Delivery, "resume", broken)
    with raises(DestinationError, "E-FOLDER-WRITE"):
        run.convert(output=SMALL, resume=True)
    assert (len(run.report["parts"]), run.report["hidden_parts"]) == (2, 2)
    assert run.report["records"]["read"] == 3000


def test_a_report_that_cannot_be_written_is_told_and_the_error_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("converter.delivery.run_files.folder.make_folder", full)
    args = ["convert", "none.csv", "--id", "id", "--signal", "a", "--dpid", "1234", "--to", str(run.out)]
    assert run_command([*args, "--report-dir", str(run.folder / "reports")], Messages()) == 1
    check_told(capsys.readouterr().err, "E-INPUT-MISSING", "could not")


def test_files_that_are_sent_leave_reports_too(tmp_path: Path) -> None:
    file = tmp_path / f"{STEM}.1"
    file.write_text('u1\t"a"="x"\n')
    transfer = Transfer(output={"to": str(tmp_path / "out")}, report={"dir": str(tmp_path / "reports")})
    report = send([file], transfer)
    (path,) = (tmp_path / "reports").glob("*.report.json")
    check_schema(json.loads(path.read_bytes()), SCHEMA)
    assert report.to_json() == path.read_bytes()
    with raises(DestinationError, "E-NAME-TAKEN") as raised:
        file.write_text('u2\t"a"="x"\n')
        send([file], transfer)
    assert isinstance(raised.value.report, SendReport)
    (path,) = (tmp_path / "reports").glob("*.failed-1.report.json")
    check_schema(json.loads(path.read_bytes()), SCHEMA)
    assert send([file], merge_transfer(transfer, to=str(tmp_path / "other"))).outcome == "done"


def merge_transfer(transfer: Transfer, **output: Any) -> Transfer:
    return Transfer(**merge(transfer.model_dump(exclude_unset=True), {"output": output}))


def test_json_has_the_report_of_a_failure_too(tmp_path: Path) -> None:
    flags = ["--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--json"]
    code, out, error = command(tmp_path, "convert", "none.csv", *flags)
    told = json.loads(out)
    assert (code, told["outcome"], told["error"]["code"]) == (1, "failed", "E-INPUT-MISSING")
    assert told.keys() == SCHEMA.keys() | OF_CONVERT.keys()
    assert (tmp_path / told["report_path"]).is_file()
    check_told(error, "E-INPUT-MISSING", told["report_path"])


def test_retries_are_in_the_report_and_in_the_log(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([True, True, False])
    create = NamedDestination.create

    def failing(self: NamedDestination, name: str) -> Any:
        if next(failures, False):
            raise TransientError("E-SERVER-CLOSED", "Cannot write: the server closed the connection.")
        return create(self, name)

    monkeypatch.setattr(NamedDestination, "create", failing)
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 0.01)
    (run.folder / "server").mkdir()
    with ftp_server(run.folder / "server") as server, caplog.at_level(logging.INFO, "converter"):
        report = run.convert("id,a\nu1,x\n", output={"to": f"ftp://{LOGIN}@localhost:{server.port}/in"})
    assert report.retries == {"E-SERVER-CLOSED": 2}
    events = [getattr(each, "event", "") for each in caplog.records]
    assert events.count("retry") == 2
    assert events.index("begin") < events.index("retry") < events.index("part_arrived") < events.index("end")
    assert "connect" in events
    (first, _) = [each for each in caplog.records if getattr(each, "event", "") == "retry"]
    assert first.levelno == logging.WARNING
    assert "the server closed the connection. It is tried again in " in first.getMessage()


def test_retries_of_botocore_are_in_the_report_and_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with scripted_place() as place, caplog.at_level(logging.INFO, "converter"):
        place.server.script["begin"] = [Act(503, "SlowDown")]
        s3 = {"endpoint_url": place.endpoint, "addressing_style": "path"}
        report = run.convert("id,a\nu1,x\n", output={"to": f"s3://{place.bucket}/in"}, s3=s3)
    assert report.retries == {"E-S3-BUSY": 1}
    events = [getattr(each, "event", "") for each in caplog.records]
    assert "connect" in events
    assert "CreateMultipartUpload is tried again, attempt 2" in caplog.text


def test_a_pause_is_over_when_its_time_is() -> None:
    retries = Retries()
    assert retries.pause is None
    retries.note(TransientError("E-SERVER-CLOSED", "Closed."), 60)
    retries.note(TransientError("E-SERVER-TIMEOUT", "Late."), 0.01)
    assert retries.pause
    assert retries.pause.code == "E-SERVER-CLOSED"
    assert retries.counts == {"E-SERVER-CLOSED": 1, "E-SERVER-TIMEOUT": 1}


def test_patience_counts_a_retry_only_where_there_is_one() -> None:
    retries = Retries()

    def failing() -> None:
        raise TransientError("E-SERVER-CLOSED", "Closed.")

    with pytest.raises(TransientError):
        Patience(0, lambda _: None, retries).retrying(failing)
    assert retries.counts == {}


PAGE = (Path(__file__).parent.parent / "docs" / "reports.md").read_text()


def test_every_key_of_reports_and_of_progress_is_documented() -> None:
    for title, keys in (("The report", SCHEMA.keys() | OF_CONVERT.keys()), ("Progress", Progress.__dataclass_fields__)):
        (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        assert [key for key in keys if f"`{key}`" not in section] == []


# --- the log file -----------------------------------------------------------------------------------------------

FLAGS = ["--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--progress", "off"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,a\nsomebody-0001,value-x\nuser:0002,value-y\n")
    return tmp_path


def test_a_log_as_text_has_a_line_for_each_event_with_time_and_level(folder: Path) -> None:
    args = ["convert", "in.csv", *FLAGS, "--max-rejects", "100%", "--id-type", "maid", "--log-file", "run.log"]
    assert command(folder, *args)[0] == 0
    lines = (folder / "run.log").read_text().splitlines()
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (INFO |WARNING|ERROR) ", line) for line in lines
    )
    words = " ".join(lines)
    for word in ("begins", "1 files of", ".sync.1.gz' has arrived", "is visible", "is done: 1 parts"):
        assert word in words
    assert "WARNING [W-ID-TYPE-SOURCE]" in words
    assert "somebody" not in words
    assert "value-x" not in words


def test_a_log_as_json_lines_is_appended_to_and_has_the_error(folder: Path) -> None:
    for name, code in (("in.csv", 3), ("none.csv", 1), ("in.csv", 2)):
        extra = ["--mode", "wrong"] if code == 2 else []
        assert command(folder, "convert", name, *FLAGS, *extra, "--log-file", "run.jsonl")[0] == code
    events = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert [each["code"] for each in events if each["event"] == "error"] == [
        "E-TOO-MANY-REJECTS", "E-INPUT-MISSING", "E-JOB-INVALID",
    ]  # fmt: skip
    assert all(each.keys() >= {"time", "level", "event", "message"} for each in events)
    reports = [each.get("report") for each in events if each["event"] == "error"]
    assert [bool(path and (folder / path).is_file()) for path in reports] == [True, True, False]


def test_send_logs_too(folder: Path) -> None:
    (folder / f"{STEM}.1").write_text('u1\t"a"="x"\n')
    assert command(folder, "send", f"{STEM}.1", "--to", "out", "--log-file", "run.json")[0] == 0
    events = [json.loads(line)["event"] for line in (folder / "run.json").read_text().splitlines()]
    assert events == ["notice", "begin", "input", "part_begun", "part_arrived", "part_published", "end"]


def test_a_log_that_cannot_be_opened_is_an_error_before_anything_begins(folder: Path) -> None:
    code, _, error = command(folder, "convert", "in.csv", *FLAGS, "--log-file", "none/run.log")
    assert code == 2
    check_told(error, "E-LOG-FILE", "'none/run.log'", "No such file")
    assert not (folder / "out").exists()


def test_a_log_on_a_full_disk_does_not_end_the_run(folder: Path) -> None:
    args = ["convert", "in.csv", *FLAGS, "--max-rejects", "100%", "--log-file", "/dev/full"]
    code, _, error = command(folder, *args)
    assert code == 0
    assert error == "Warning [W-LOG-LOST]: Lines of the log '/dev/full' could not be written.\n"


def test_values_from_the_environment_are_not_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SECRET_FOLDER", str(run.folder / "hush-hush"))
    with caplog.at_level(logging.INFO, "converter"):
        run.convert("id,a\nu1,x\n", output={"to": "${SECRET_FOLDER}"})
        LOGGER.info("hush-hush")
    said = "".join(f"{each.getMessage()} {getattr(each, 'facts', '')}" for each in caplog.records)
    assert "${SECRET_FOLDER}" in said
    assert said.count("hush-hush") == 1, "only what was logged after the run"


def test_a_program_without_logging_hears_nothing(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.convert("id,a\nu1,x\n", id={"type": "maid"})
    assert capfd.readouterr() == ("", "")


# --- report.keep ------------------------------------------------------------------------------------------------

DAY = 24 * 3600


class Past:
    """A folder with reports of earlier runs of a job."""

    def __init__(self, run: Run, job: Job) -> None:
        self.job, self.folder = job, run.folder / "reports"
        self.folder.mkdir(exist_ok=True)

    def add(self, days: float, outcome: str = "done", *, digest: str = "", job_path: str = "", failed: int = 0) -> str:
        """Write the report and the rejects of a run that was so many days ago; return its name."""
        name = f"ftp_dpm_1234_{round(time.time() - days * DAY)}.sync"
        stem = f"{name}.{digest or self.job.digest[:DIGITS]}"
        content = {"outcome": outcome, "job_path": job_path or self.job.path, "records": {}}
        middle = f".failed-{failed}" if failed else ""
        for path in (self.folder / f"{stem}{middle}.report.json", self.folder / f"{stem}.rejects.ndjson.gz"):
            path.write_text(json.dumps(content))
            os.utime(path, (time.time() - days * DAY,) * 2)
        return name

    def left(self) -> set[str]:
        """The names of runs whose report and rejects are both there; none has only one of them."""
        reports = {path.name.split(".sync")[0] for path in self.folder.glob("*.report.json")}
        assert reports == {path.name.split(".sync")[0] for path in self.folder.glob("*.rejects.ndjson.gz")}
        return {f"{name}.sync" for name in reports}


@pytest.fixture
def past(tmp_path: Path) -> Past:
    run = Run(tmp_path)
    return Past(run, run.make_job(report={"keep": "90d"}))


def test_old_reports_and_rejects_are_removed_but_for_the_six_newest_that_were_delivered(past: Past) -> None:
    delivered = [past.add(100 + number) for number in range(8)]
    failed = [past.add(95, "failed", failed=1), past.add(200, "refused", failed=1)]
    young = [past.add(89.9, "failed", failed=2), past.add(1, "stopped", failed=1)]
    assert remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS]) == []
    assert past.left() == {*delivered[:6], *young}
    assert not past.left() & set(failed)


def test_young_delivered_runs_count_among_the_six(past: Past) -> None:
    young = [past.add(number) for number in range(6)]
    past.add(91)
    remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS])
    assert past.left() == set(young)


def test_without_keep_nothing_is_removed_and_other_jobs_keep_theirs(past: Past, run: Run) -> None:
    own, other = past.add(400, "failed", failed=1), past.add(500, "failed", failed=1, digest="0" * 12, job_path="other")
    assert remove_old(FolderFiles(Path(past.job.report.dir)), run.make_job(), past.job.digest[:DIGITS]) == []
    assert past.left() == {own, other}
    remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS])
    assert past.left() == {other}


def test_reports_of_the_same_job_file_before_it_was_edited_are_removed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    job = (
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1234\n'
    )
    path = run.write(job + '[report]\nkeep = "90d"\n', "job.toml")
    past = Past(run, Job.load(path))
    past.add(100, "failed", failed=1, digest="a" * 12)
    other = past.add(101, "failed", failed=1, digest="b" * 12, job_path="/another/job.toml")
    remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS])
    assert past.left() == {other}


def test_what_an_unfinished_run_needs_stays(past: Past, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write("id,a\nu1,x\n")
    with monkeypatch.context() as patch:
        die_at(patch, "publishing")
        with pytest.raises(KilledError):
            convert(past.job)
    needed = past.add(100, "failed", failed=1)
    for path in past.folder.glob(f"{needed}*"):
        path.rename(path.with_name(path.name.replace(needed, STEM)))
    gone = past.add(100, "failed", failed=1)
    remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS])
    assert past.left() == {STEM}
    assert gone != STEM
    assert convert(past.job, resume=True).outcome == "done"


def test_where_a_journal_is_damaged_all_of_its_job_stays(past: Past) -> None:
    kept = past.add(100, "failed", failed=1)
    (past.folder / f"data_1234.{past.job.digest[:DIGITS]}.journal").write_text("{}\n")
    remove_old(FolderFiles(Path(past.job.report.dir)), past.job, past.job.digest[:DIGITS])
    assert past.left() == {kept}


def test_old_reports_are_removed_by_the_run_itself_which_warns_where_they_cannot_be(
    past: Past, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.add(100, "failed", failed=1)
    run.write("id,a\nu1,x\n")
    monkeypatch.setattr(retention, "_remove", lambda _files, names: names)
    report = convert(past.job)
    assert codes_of(report.warnings) == ["W-REPORT-KEPT"]
    monkeypatch.undo()
    with raises(ConverterError, "E-NAME-TAKEN"):
        convert(past.job)
    assert past.left() >= {report.name}
    assert len([path for path in past.folder.glob("*.report.json") if "failed" in path.name]) == 1


@pytest.mark.parametrize("keep", ["90", "0d", "-1d", "1.5d", "3 months"])
def test_keep_is_a_number_of_days(run: Run, keep: str) -> None:
    with raises(JobError, "E-JOB-INVALID", "report.keep", '"90d"'):
        run.make_job(report={"keep": keep})
