"""`aam-inbound doctor`: everything is looked at, each finding is a line, and nothing stays of it."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from converter import Job, convert, doctor, kernel
from converter.errors import Finding
from converter.jobs.document import merge

from .conftest import Run
from .errors import check_named, codes_of
from .servers.ftp import FtpServer
from .servers.s3 import KEY, SECRET
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place
from .servers.sftp import SftpServer, host_key

ROOT = Path(__file__).parent.parent
NOW = 1_366_545_717


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    run = Run(tmp_path)
    run.write("id,a\n1,2\n")
    return run.job


def levels(found: list[Finding]) -> list[str]:
    return [each.level for each in found]


def of(level: str, found: list[Finding]) -> str:
    """The findings of a level, a line each."""
    return "\n".join(f"{each.message} {each.hint}" for each in found if each.level == level)


def looked_over(job: dict[str, Any], **changes: Any) -> list[Finding]:
    return doctor(Job(**merge(job, changes)), now=NOW)


def test_a_job_that_can_run_is_all_right_and_nothing_stays(job: dict[str, Any], tmp_path: Path) -> None:
    found = looked_over(job)
    assert set(levels(found)) == {"ok"}
    check_named(of("ok", found), "9 bytes", str(tmp_path / "out"), str(tmp_path / "reports"))
    assert f"The compiled loops are {kernel.status()}" in of("ok", found)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


def test_each_part_is_looked_at_also_where_another_is_wrong(job: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wrong = {
        "input": {"path": str(tmp_path / "none.csv")},
        "output": {"to": str(tmp_path / "file" / "out")},
        "report": {"dir": str(tmp_path / "file" / "reports")},
    }
    found = looked_over(job, **wrong)
    assert [each.code for each in found] == ["E-INPUT-MISSING", "E-FOLDER-WRITE", "E-REPORT-FOLDER", ""]
    assert [bool(each.hint) for each in found[1:3]] == [True, True]
    check_named(of("error", found), "none.csv", f"{tmp_path}/file/out", "report.dir")


def test_a_column_that_is_not_there_is_named(job: dict[str, Any]) -> None:
    found = looked_over(job, record={"signals": ["b"]})
    assert codes_of(found) == ["E-COLUMN-MISSING"]
    assert "'b'" in of("error", found)
    assert "reports" in of("ok", found)


def test_a_destination_that_can_be_none_is_an_error_of_its_own(job: dict[str, Any]) -> None:
    found = looked_over(job, output={"to": "gopher://host/x"})
    assert [each.code for each in found] == ["", "E-TO-SCHEME", "", ""]


def test_names_that_are_taken_are_found(job: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ftp_dpm_1234_1366545717.sync.7.gz").write_bytes(b"")
    assert codes_of(looked_over(job)) == ["E-NAME-TAKEN"]


def test_a_run_of_the_same_second_is_no_error(job: dict[str, Any]) -> None:
    wanted = merge(job, {"output": {"timestamp": None}})
    convert(Job(**wanted), now=NOW)
    assert codes_of(looked_over(wanted)) == []
    assert set(levels(looked_over(job, output={"timestamp": NOW + 1}))) == {"ok"}


def test_a_disk_that_may_be_too_small_is_a_warning_in_the_report_as_well(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 92, 8))
    for found in (looked_over(job), convert(Job(**job)).warnings):
        (warning,) = [each for each in found if each.level == "warning"]
        assert warning.code == "W-DISK-SPACE"
        check_named(warning.message, str(tmp_path), "8 bytes", "9")


# --- servers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[ScriptedPlace]:
    with scripted_place() as made:
        yield made


def at(place: ScriptedPlace) -> dict[str, Any]:
    settings = {"endpoint_url": place.endpoint, "addressing_style": "path", "timeout": 5}
    return {"output": {"to": f"s3://{place.bucket}/inbound"}, "s3": settings}


def test_a_bucket_that_can_be_written_is_all_right_and_nothing_stays(job: dict[str, Any], place: ScriptedPlace) -> None:
    found = looked_over(job, **at(place))
    check_named(of("ok", found), f"'{place.bucket}'")
    assert codes_of(found) == []
    assert (place.server.objects, place.server.uploads) == ({}, {})


def test_a_wrong_input_does_not_hide_a_wrong_bucket_nor_its_secrets(job: dict[str, Any], place: ScriptedPlace) -> None:
    place.server.always["begin"] = Act(403, "SignatureDoesNotMatch", message=f"{KEY} {SECRET}")
    found = looked_over(job, **merge(at(place), {"id": {"column": "nothing"}}))
    assert codes_of(found) == ["E-COLUMN-MISSING", "E-S3-CREDENTIALS"]
    assert "AWS_SECRET_ACCESS_KEY" in of("error", found)
    assert not any(secret in text for each in found for text in each for secret in (KEY, SECRET))


def test_production_is_adobes_bucket_with_the_partner_and_the_day(
    job: dict[str, Any], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.endpoint)  # nobody else is asked
    given = {**job, "output": {"environment": "production", "partner": "acme", "dpid": 1234}}
    found = looked_over(given, s3={"addressing_style": "path", "timeout": 5})
    assert "'demdex-s2s-clients'" in of("ok", found)
    (begun,) = place.server.calls_of("begin")
    assert begun.key.startswith("acme/date=2013-04-21/ftp_dpm_1234")


@pytest.mark.parametrize(
    "to, host",
    [("sftp://acme@", "ftp-in-gtw.demdex.com"), ("ftp://acme:s3cret@", "ftp-in.demdex.com")],
)
def test_production_is_adobes_host(job: dict[str, Any], to: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> None:
        asked.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", connect)
    given = {
        **job,
        "output": {"environment": "production", "partner": "acme", "dpid": 1234, "to": to, "retry_seconds": 0},
    }
    found = looked_over(given)
    assert asked == [host]
    assert "E-SERVER-REFUSED" in codes_of(found)
    assert host in of("error", found)
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("days, warns", [(20, False), (85, True), (150, True)])
def test_keys_of_adobe_that_were_not_used_for_long_are_a_warning(
    job: dict[str, Any], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, days: int, warns: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.endpoint)
    given = {**job, "output": {"environment": "production", "partner": "acme", "dpid": 1234}}
    given["s3"] = {"addressing_style": "path", "timeout": 5}
    path = Path(convert(Job(**job)).report_path or "")
    report = orjson.loads(path.read_bytes())
    ended = datetime.datetime.fromtimestamp(NOW - days * 24 * 3600, datetime.UTC).isoformat()
    path.write_bytes(orjson.dumps({**report, "place": Job(**given).place, "ended": ended}))
    found = looked_over(given)
    assert codes_of(found) == (["W-S3-KEYS-UNUSED"] if warns else [])
    if warns:
        check_named(of("warning", found), f"{days} days", "100")


def test_keys_are_nobodys_concern_where_the_bucket_is_not_adobes(job: dict[str, Any]) -> None:
    path = Path(convert(Job(**job)).report_path or "")
    report = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**report, "ended": "2001-01-01T00:00:00+00:00"}))
    assert "W-S3-KEYS-UNUSED" not in codes_of(looked_over(job))


@pytest.mark.parametrize("renamed", ["{}.processed", "{stem}.processed"])
def test_files_that_were_processed_are_counted(job: dict[str, Any], ftp: FtpServer, renamed: str) -> None:
    at_server = {"output": {"to": ftp.url("/in"), "dpid": 1234}}
    folder = ftp.root / "in"
    folder.mkdir()
    name = "ftp_dpm_1234_1366540000.sync.1.gz"
    for waiting in (1366541000, 1366542000):
        (folder / f"ftp_dpm_1234_{waiting}.sync.1.gz").touch()
    assert ".processed" not in of("ok", looked_over(job, **at_server))
    (folder / renamed.format(name, stem=name.removesuffix(".gz"))).touch()
    found = looked_over(job, **at_server)
    check_named(of("ok", found), ".processed): 1.", "wait: 2", "ftp_dpm_1234_1366541000.sync.1.gz")


def test_what_is_allowed_but_not_meant_is_a_warning(job: dict[str, Any], place: ScriptedPlace, ftp: FtpServer) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", place.endpoint)
        beta = {**job, "output": {"environment": "beta", "partner": "acme", "dpid": 1234}}
        found = looked_over(beta, s3={"addressing_style": "path", "timeout": 5})
    assert codes_of(found) == ["W-BETA"]
    assert "(T1)" in of("warning", found)
    found = looked_over(job, output={"to": ftp.url("/in")})
    assert codes_of(found) == ["W-FTP"]
    assert list(ftp.root.iterdir()) == []


def test_f20_a_host_key_that_is_not_known_is_an_error_with_what_accepts_it(
    job: dict[str, Any], sftp: SftpServer
) -> None:
    fingerprint = sftp.keys[0].get_fingerprint()
    other = host_key(number=1).get_fingerprint()
    found = looked_over(job, output={"to": sftp.url("/in")}, sftp={"host_key_fingerprint": other})
    assert codes_of(found) == ["E-SFTP-HOST-KEY"]
    assert f'sftp.host_key_fingerprint = "{fingerprint}"' in of("error", found)
    found = looked_over(job, output={"to": sftp.url("/in")}, sftp={"host_key_fingerprint": fingerprint})
    assert not of("error", found)
    assert list(sftp.root.iterdir()) == []


# --- this machine -----------------------------------------------------------------------------------------------


def test_little_room_for_parts_on_their_way_is_a_warning(
    job: dict[str, Any], place: ScriptedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = {"run": {"spill_dir": str(tmp_path)}, "output": {"uploads": 3, "max_part_bytes": "100MB"}}
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=299_999_999))
    found = looked_over(job, **merge(at(place), spill))
    assert codes_of(found) == ["W-DISK-SPACE"]
    check_named(of("warning", found), f"'{tmp_path}'", "299,999,999", "300,000,000", "run.spill_dir")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000_000))
    assert not of("warning", looked_over(job, **merge(at(place), spill)))


@pytest.mark.parametrize(
    "gathering", [{"record": {"rows": "signal"}}, {"delta": {"state": "state"}}, {"record": {"repeated": "drop"}}]
)
def test_little_room_for_lines_of_users_is_a_warning(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gathering: dict[str, Any]
) -> None:
    size = 200_000
    (tmp_path / "in.csv").write_text("id,a\n" + "".join(f"u{number:06},x\n" for number in range((size - 5) // 10)))
    size = (tmp_path / "in.csv").stat().st_size
    wanted = merge(job, {**gathering, "run": {"memory": "1MB", "spill_dir": str(tmp_path)}})
    usage = shutil.disk_usage(tmp_path)
    for free, codes in ((2 * size - 1, ["W-DISK-SPACE"]), (2 * size, [])):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        found = looked_over(wanted)
        assert codes_of(found) == codes
        check_named(of("warning", found), *([f"'{tmp_path}'", f"{free:,}", f"{size:,}", "run.memory"] if codes else []))
    for what in ("the lines of gathered users", "lines that wait for others"):
        assert what not in of("ok", looked_over(wanted, run={"memory": "10MB"}))


def test_a_folder_for_parts_on_their_way_that_is_not_there_is_an_error(
    job: dict[str, Any], place: ScriptedPlace, tmp_path: Path
) -> None:
    found = looked_over(job, **merge(at(place), {"run": {"spill_dir": str(tmp_path / "none")}}))
    assert codes_of(found) == ["E-FOLDER-READ"]
    check_named(of("error", found), f"'{tmp_path / 'none'}'", "No such file", "run.spill_dir")


def test_a_folder_for_reports_that_cannot_be_written_is_an_error(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))  # not as root
    found = looked_over(job, report={"dir": str(tmp_path / "closed" / "reports")})
    assert codes_of(found)[-1:] == ["E-REPORT-FOLDER"]
    check_named(of("error", found), f"'{tmp_path}/closed/reports'")


# --- the command ------------------------------------------------------------------------------------------------


def command(folder: Path, *args: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "converter", "doctor", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_a_line_for_each_finding_and_ends_with_1_where_one_is_an_error(
    tmp_path: Path, sftp: SftpServer
) -> None:
    (tmp_path / "in.csv").write_text("id,a\n1,2\n")
    (tmp_path / "job.toml").write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n'
        f'[output]\nto = "sftp://us%40er:${{INBOUND_PASSWORD}}@localhost:{sftp.port}/in"\ndpid = 1234\n'
        f'[sftp]\nhost_key_fingerprint = "{sftp.keys[0].get_fingerprint()}"\n'
    )
    right = command(tmp_path, "job.toml", INBOUND_PASSWORD="p%40ss%2Fw%C3%B6rd")
    wrong = command(tmp_path, "job.toml", "--set", "id.column=nothing", INBOUND_PASSWORD="wr0ng-s3cret")
    assert (right[0], right[2]) == (0, "")
    assert {line.split()[0] for line in right[1].splitlines()} == {"ok"}
    assert (wrong[0], wrong[2]) == (1, "")
    assert [line.split()[0] for line in wrong[1].splitlines()].count("error") == 2
    assert not any(secret in right[1] + wrong[1] for secret in ("p%40ss", "p@ss", "wr0ng"))
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "job.toml", "sftp"}
    assert list(sftp.root.iterdir()) == []
