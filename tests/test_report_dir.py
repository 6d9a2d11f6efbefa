"""Runs whose `report.dir` is on S3: what they leave there, who finds it, and who finishes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import Job, Transfer, convert, doctor, send
from converter.commands.retention import remove_old
from converter.delivery.delivery import Delivery
from converter.delivery.run_files import run_files_of
from converter.errors import DestinationError, GuardError, InputError, JobError
from converter.jobs.identity import DIGITS

from .conftest import Run
from .doomed import How, Moment
from .errors import codes_of, raises
from .kill import PLACES, Rounds
from .servers.s3 import KEY, SECRET
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place
from .test_resume import KilledError, die_at

ROWS = "id,a\n" + "".join(f"user{number},{number * 7919}\n" for number in range(600))
SMALL = {"max_part_raw_bytes": 4_000, "timestamp": None}
REPORTS = "reports/crm/"


@pytest.fixture
def place() -> Iterator[ScriptedPlace]:
    with scripted_place() as found:
        yield found


def changes(place: ScriptedPlace, **report: Any) -> dict[str, Any]:
    """What a job has for reports and parts on S3; parts are below `inbound/`."""
    return {
        "output": {**SMALL, "to": f"s3://{place.bucket}/inbound", "partner": "acme"},
        "s3": {"endpoint_url": place.endpoint, "addressing_style": "path", "timeout": 10},
        "report": {"dir": f"s3://{place.bucket}/{REPORTS}", "lease_seconds": 1, **report},
    }


def job_of(run: Run, place: ScriptedPlace, text: str = ROWS, **report: Any) -> Job:
    given = changes(place, **report)
    return run.make_job(input={"path": str(run.write(text))}, **given)


def left(place: ScriptedPlace) -> set[str]:
    """The names of what is below `report.dir`, without the stems of runs and the digests of jobs."""
    keys = [key.removeprefix(REPORTS) for key in place.server.objects if key.startswith(REPORTS)]
    return {key.partition(".sync.")[2].partition(".")[2] or key.partition(".")[2].partition(".")[2] for key in keys}


def parts(place: ScriptedPlace) -> list[str]:
    return sorted(key for key in place.server.objects if key.startswith("inbound/"))


def lines(place: ScriptedPlace) -> list[bytes]:
    return sorted(
        line for key in parts(place) for line in gzip.decompress(place.server.objects[key]).splitlines(keepends=True)
    )


def test_what_a_run_leaves_is_on_s3_and_nothing_is_here(
    run: Run, place: ScriptedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(run, place, ROWS + "short\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    report = convert(job)
    assert left(place) == {
        "report.html",
        "report.json",
        "rejects.ndjson.gz",
        "journal/00000001",
        f"journal/{last(place):08}",
        "journal.lock",
    }
    assert report.report_path
    assert report.report_path.startswith(f"s3://{place.bucket}/{REPORTS}ftp_dpm_1234_")
    kept = json.loads(place.server.objects[report.report_path.removeprefix(f"s3://{place.bucket}/")])
    assert (kept["outcome"], kept["records"]["rejected"]) == ("done", {"row_too_short": 1})
    assert report.rejects()["rule"].to_list() == ["row_too_short"]
    assert len(lines(place)) == 600
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (run.folder / "reports").exists()
    everything = b"".join(place.server.objects[key] for key in place.server.objects if key.startswith(REPORTS))
    assert KEY.encode() not in everything
    assert SECRET.encode() not in everything


def last(place: ScriptedPlace) -> int:
    return max(int(key[-8:]) for key in place.server.objects if ".journal/" in key)


def test_a_run_that_is_done_is_known_on_every_machine(run: Run, place: ScriptedPlace) -> None:
    job = job_of(run, place)
    first = convert(job)
    again = convert(job, resume=True)
    assert (again.outcome, again.name, again.report_path) == ("nothing to do", first.name, first.report_path)


@pytest.mark.parametrize("event", ["began", "arrived", "publishing", "published"])
def test_a_run_that_died_is_finished_elsewhere(
    run: Run, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    job = job_of(run, place)
    with monkeypatch.context() as patch:
        die_at(patch, event, 1 if event == "publishing" else 2)
        with pytest.raises(KilledError):
            convert(job)
    seen: list[str] = []
    report = convert(job, resume=True, notify=seen.append)
    assert report.outcome == "done"
    assert any("Resuming" in notice for notice in seen)
    assert len(lines(place)) == len(set(lines(place))) == 600
    assert not place.server.uploads
    assert "report.json.partial" not in left(place)


def test_a_run_that_died_is_abandoned_without_resume(
    run: Run, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(run, place)
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            convert(job, now=1_366_545_717)
    convert(job, now=1_366_545_817)
    assert len(lines(place)) == 600
    assert not place.server.uploads
    assert left(place) == {"report.json", "report.html", "rejects.ndjson.gz", "journal.lock", *journals(place)}


def journals(place: ScriptedPlace) -> set[str]:
    return {name for name in left(place) if name.startswith("journal/")}


def test_a_run_whose_lock_was_taken_over_publishes_nothing_and_leaves_all_to_the_other(
    run: Run, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(run, place)
    with monkeypatch.context() as patch:
        publish = Delivery.publish

        def late(delivery: Delivery) -> None:
            (lock,) = [key for key in place.server.objects if key.endswith(".journal.lock")]
            place.server.put(
                lock, b'{"holder": "other", "host": "elsewhere", "process": 1, "seconds": 1, "renewed": 1}'
            )
            publish(delivery)

        patch.setattr(Delivery, "publish", late)
        with raises(DestinationError, "E-LOCK-LOST", "1 s", ".failed-1.report.json") as raised:
            convert(job)
    assert raised.value.exit_code == 1
    assert parts(place) == []
    assert len(place.server.uploads) >= 2
    assert len(journals(place)) > 5
    assert convert(job, resume=True).outcome == "done"
    assert len(lines(place)) == len(set(lines(place))) == 600


def test_guards_find_the_runs_of_other_machines(run: Run, place: ScriptedPlace) -> None:
    for number in range(3):
        convert(job_of(run, place), now=1_366_545_717 + number)
    with raises(GuardError, "E-VOLUME", "600"):
        convert(job_of(run, place, "id,a\nuser1,1\n", max_change="50%"), now=1_366_545_727)
    given = changes(place)
    given["output"]["mode"] = "overwrite"
    with raises(GuardError, "E-BOTH-MODES", f"s3://{place.bucket}/{REPORTS}"):
        convert(run.make_job(input={"path": str(run.write(ROWS))}, **given), now=1_366_545_737)


def test_rejects_of_a_run_on_another_machine_are_converted_again(run: Run, place: ScriptedPlace) -> None:
    job = job_of(run, place, "id,a\nu1,1\nu:2,2\n", max_rejects="50%")
    first = convert(job, now=1_366_545_717)
    assert first.records["rejected"] == {"id_forbidden_character": 1}
    before = lines(place)
    given = {**changes(place), "id": {"remove": ":"}}
    corrected = run.make_job(input={"path": str(run.folder / "in.csv")}, **given)
    second = convert(corrected, rejects_of=first.report_path, now=1_366_545_727)
    assert second.records["skipped"] == {"not_rejected": 1}
    assert [line for line in lines(place) if line not in before] == [b'u2\t"a"="2"\n']
    del place.server.objects[(first.rejects_path or "").removeprefix(f"s3://{place.bucket}/")]
    with raises(InputError, "E-REJECTS-READ", first.rejects_path or ""):
        convert(corrected, rejects_of=first.report_path, now=1_366_545_737)
    with raises(InputError, "E-REJECTS-READ", first.rejects_path or ""):
        first.rejects()


def test_old_reports_are_removed_there(run: Run, place: ScriptedPlace) -> None:
    job = job_of(run, place, keep="1d")
    for number in range(8):
        convert(job, now=1_366_545_717 + number)
    reports = [key for key in place.server.objects if key.endswith(".report.json")]
    assert len(reports) == 8
    for key in place.server.modified:
        place.server.modified[key] -= 10 * 86400
    assert remove_old(run_files_of(job), job, job.digest[:DIGITS]) == []
    assert len([key for key in place.server.objects if key.endswith(".report.json")]) == 6
    place.server.always["list"] = Act(403, "AccessDenied")
    assert codes_of(remove_old(run_files_of(job), job, job.digest[:DIGITS])) == ["W-REPORT-KEPT"]


def test_files_are_sent_with_a_journal_on_s3(
    tmp_path: Path, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for number in (1, 2, 3):
        files.append(tmp_path / f"ftp_dpm_1234_1366545717.sync.{number}.gz")
        files[-1].write_bytes(gzip.compress(f'user{number}\t"a"="{number}"\n'.encode(), mtime=0))
    given = changes(place)
    del given["output"]["max_part_raw_bytes"], given["output"]["timestamp"]
    transfer = Transfer(**given)
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            send(files, transfer)
    report = send(files, transfer, resume=True)
    assert report.outcome == "done"
    assert len(parts(place)) == 3
    assert report.report_path
    assert report.report_path.startswith(f"s3://{place.bucket}/{REPORTS}send_")
    assert send(files, transfer, resume=True).outcome == "nothing to do"


def test_doctor_tests_the_place_of_reports(run: Run, place: ScriptedPlace) -> None:
    found = doctor(job_of(run, place))
    assert [each.message for each in found if REPORTS in each.message] == [
        f"The report can be written to 's3://{place.bucket}/{REPORTS}'."
    ]
    assert not [key for key in place.server.objects if key.startswith(REPORTS)]


@pytest.mark.parametrize("where", ["s3:///x", "s3://b", "https://HOST/x", "sftp://me@host/x", "s3://bucket/a\tb"])
def test_other_urls_are_no_place_of_reports(run: Run, where: str) -> None:
    with raises(JobError, "E-JOB-INVALID", "report.dir", "s3://BUCKET/PREFIX"):
        run.make_job(report={"dir": where})


def test_f1_killed_in_each_phase_runs_are_finished_on_other_machines(tmp_path: Path) -> None:
    kills: list[tuple[str, How]] = [
        ("made", "torn"),
        ("arrived", "after"),
        ("publishing", "after"),
        ("published", "after"),
    ]
    with PLACES["machines"](tmp_path) as server:
        rounds = Rounds(server, tmp_path, seed=7, count=5_000)
        rounds.play("round", *(Moment(event=event, how=how) for event, how in kills))
    assert rounds.kills.total() == len(kills)
