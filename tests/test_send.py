"""`aam-inbound send`: files that exist already get there whole or not at all, by the promises of `convert`."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from converter import send
from converter.commands.progress import Progress
from converter.commands.send import _digest
from converter.delivery.delivery import Delivery
from converter.delivery.destinations.s3_at_once import S3AtOnce
from converter.delivery.journal import Journal
from converter.delivery.locks import lock_job
from converter.errors import DestinationError, GuardError, InputError, JobError
from converter.jobs.document import merge
from converter.jobs.job import Transfer
from converter.report import SendReport
from converter.sources.origins.local import LocalFile

from .errors import check_named, codes_of, only_report, raises
from .servers.s3 import SECRET, S3Place, s3_place
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place
from .servers.sftp import PASSWORD, SftpServer
from .test_resume import KilledError, die_at

ROOT = Path(__file__).parent.parent
NAME = "ftp_dpm_1234_1366545717.sync.{}.gz"
NOW = 1_366_545_717  # 2013-04-21


def content(number: int) -> bytes:
    return gzip.compress(f'user{number}\t"a"="{number}"\n'.encode() * 100)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "ready"
    folder.mkdir()
    paths = [folder / NAME.format(number) for number in range(1, 5)]
    for number, path in enumerate(paths):
        path.write_bytes(content(number))
    return paths


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def transfer(files: list[Path], to: str | Path, **changes: Any) -> Transfer:
    report = {"dir": str(files[0].parent.parent / "reports")}
    return Transfer(**merge({"output": {"to": str(to)}, "report": report}, changes))


def contents(files: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files}


def found(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def command(folder: Path, *args: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "converter", "send", *map(str, args)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# --- what arrives -----------------------------------------------------------------------------------------------


def test_files_get_to_a_folder_as_they_are(files: list[Path], out: Path) -> None:
    told: list[str] = []
    sent = send(files, transfer(files, out), notify=told.append)
    assert found(out) == contents(files)
    assert [(part.name, part.lines, part.bytes) for part in sent.parts] == [
        (path.name, 100, path.stat().st_size) for path in files
    ]
    assert told == [f"Checked '{path.name}'." for path in files]
    assert sent.warnings == []


def test_files_get_to_s3_on_the_day_of_sending(files: list[Path]) -> None:
    with s3_place() as place:
        settings = {"endpoint_url": place.endpoint, "addressing_style": "path", "acl": "bucket-owner-full-control"}
        to = {"to": f"s3://{place.bucket}/inbound", "partner": "acme"}
        sent = send(files, transfer(files, "", output=to, s3=settings), now=NOW)
        assert place.visible() == contents(files)
        assert place.hidden() == set()
        assert sent.parts[0].url == f"s3://{place.bucket}/inbound/acme/date=2013-04-21/{files[0].name}"


def test_files_get_to_sftp_and_none_has_its_name_before_all_are_there(files: list[Path], sftp: SftpServer) -> None:
    seen: list[set[str]] = []
    note = Journal.note

    def noted(self: Journal, event: str, **facts: Any) -> None:
        if event == "publishing":
            seen.append(set(found(sftp.root / "in")))
        note(self, event, **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "note", noted)
        sent = send(files, transfer(files, sftp.url("/in"), sftp={"known_hosts": sftp.known_hosts}))
    (names,) = seen
    assert {name.partition(".gz.")[0] + ".gz" for name in names if ".claim" not in name} == {
        path.name for path in files
    }
    assert all(name.endswith(".partial") for name in names)
    assert found(sftp.root / "in") == contents(files)
    assert not any(PASSWORD in str(part) or "p%40ss" in str(part) for part in sent.parts)


def test_globs_and_folders_stand_for_the_inbound_files_in_them(files: list[Path], out: Path) -> None:
    folder = files[0].parent
    (folder / "notes.txt").write_bytes(b"no inbound file")
    sent = send([folder], transfer(files, out))
    assert [part.name for part in sent.parts] == [path.name for path in files]
    assert found(out) == contents(files)
    glob, other = str(folder / "ftp_*.[12].gz"), out.with_name("other")
    sent = send([files[0], glob], transfer(files, other))
    assert [part.name for part in sent.parts] == [path.name for path in files[:2]]
    assert found(other) == contents(files[:2])
    with raises(InputError, "E-INPUT-MISSING", "none_*.gz"):
        send([folder / "none_*.gz"], transfer(files, out))


def test_a_report_is_written_as_a_conversion_writes_it(files: list[Path], out: Path, tmp_path: Path) -> None:
    report = send(files, transfer(files, out), now=NOW)
    path = Path(report.report_path)
    assert (path.parent, path.read_bytes()) == (tmp_path / "reports", report.to_json())
    assert report.as_dict()["input"] == [{"path": str(path), "bytes": path.stat().st_size} for path in files]
    assert report == SendReport.from_dict(json.loads(path.read_bytes()))
    again = send(files, transfer(files, out), resume=True)
    assert (again.outcome, again.report_path, again.parts) == ("nothing to do", str(path), [])
    code, said, _ = command(tmp_path, *files, "--to", "there", "--set", "report.dir=told", "--json")
    (written,) = (tmp_path / "told").glob("send_*.report.json")
    shown = json.loads(said)
    assert (code, shown["outcome"]) == (0, "done")
    assert {key: shown[key] for key in ("parts", "input", "report_path", "name")} == {
        key: value
        for key, value in json.loads(written.read_bytes()).items()
        if key in ("parts", "input", "report_path", "name")
    }


def test_the_report_follows_the_files_also_where_the_call_that_wrote_it_died(
    files: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, "published", 2)
        with pytest.raises(KilledError):
            send(files, transfer(files, out), now=NOW)
    report = send(files, transfer(files, out), now=NOW + 50, resume=True)
    assert report.name == f"send_{NOW}"
    assert Path(report.report_path).read_bytes() == report.to_json()
    assert not list((out.parent / "reports").glob("*.partial"))


def test_the_command_prints_what_was_sent(files: list[Path], tmp_path: Path) -> None:
    code, said, progress = command(tmp_path, *files, "--to", "out", "--set", "report.dir=reports")
    assert code == 0
    assert [line.split("  ")[0] for line in said.splitlines()] == [
        str(tmp_path / "out" / path.name) if line.startswith("/") else f"out/{path.name}"
        for line, path in zip(said.splitlines(), files, strict=True)
    ]
    assert "Checked" in progress
    assert found(tmp_path / "out") == contents(files)
    code, said, error = command(tmp_path, *files, "--to", "out", "--quiet", "--resume")
    assert (code, said, error) == (0, "", "")
    code, _, error = command(tmp_path, *files, "--to", "out")
    assert code == 1
    assert error.splitlines()[-1].startswith("Error [E-NAME-TAKEN]: ")


def test_a_job_file_says_where_to(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        '[input]\npath = "crm.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n'
        '[output]\nto = "there"\ndpid = 1234\nmode = "sync"\nmax_part_bytes = "100MB"\n[report]\ndir = "told"\n'
    )
    code, _, error = command(tmp_path, *files, "--job", "job.toml", "--quiet")
    assert (code, error) == (0, "")
    assert found(tmp_path / "there") == contents(files)
    assert len(list((tmp_path / "told").glob("send.*.journal"))) == 1
    code, _, error = command(tmp_path, *files, "--job", "job.toml", "--to", "elsewhere", "--quiet")
    assert (code, error) == (0, "")
    assert found(tmp_path / "elsewhere") == contents(files)


def test_what_is_accepted_but_most_likely_not_meant_is_a_warning_and_sent(files: list[Path], out: Path) -> None:
    files[1].write_bytes(gzip.compress(b'good\t"a"="1"\n\ngood\t"a"="1"\n'))
    sent = send(files, transfer(files, out))
    assert codes_of(sent.warnings) == ["W-SEND-RULES"]
    check_named(str(sent.warnings[0]), f"'{files[1].name}'", "C1", "line 2")
    assert found(out) == contents(files)


def test_warnings_are_told_before_anything_is_visible(files: list[Path], out: Path) -> None:
    files[1].write_bytes(gzip.compress(b'good\t"a"="1"\n\ngood\t"a"="1"\n'))
    seen: list[tuple[list[str], list[Path]]] = []
    send(files, transfer(files, out), warn=lambda each: seen.append((codes_of(each), [*out.glob("ftp_*.gz")])))
    assert seen == [(["W-SEND-RULES"], [])]


def test_with_strict_a_warning_is_an_error_and_nothing_is_sent(tmp_path: Path, files: list[Path], out: Path) -> None:
    files[1].write_bytes(gzip.compress(b'good\t"a"="1"\n\ngood\t"a"="1"\n'))
    code, _, error = command(tmp_path, *files, "--to", out, "--strict")
    assert code == 3
    check_named(error, "E-STRICT", "W-SEND-RULES")
    assert found(out) == {}
    assert command(tmp_path, files[0], "--to", out, "--strict")[0] == 0
    assert found(out) == contents(files[:1])


def test_progress_says_how_much_is_sent(files: list[Path], out: Path) -> None:
    seen: list[Progress] = []
    for path in files:
        path.write_bytes(gzip.compress("".join(f'{uuid4()}\t"a"="1"\n' for _ in range(100)).encode()))
    size = sum(path.stat().st_size for path in files)
    limit = {"bandwidth": size // 2}  # bytes a second
    send(files, transfer(files, out, output=limit), progress=seen.append)
    sending = [each for each in seen if each.phase == "sending"]
    assert {each.bytes_total for each in seen} == {each.bytes_written for each in seen} == {size}
    assert sending
    assert all(0 <= each.bytes_sent < size and each.share == each.bytes_sent / size for each in sending)
    assert seen[-1].phase in ("confirming", "publishing")
    assert (seen[-1].bytes_sent, seen[-1].arrived) == (size, len(files))
    assert {each.rows for each in seen} == {None}


# --- what is refused --------------------------------------------------------------------------------------------


def test_what_breaks_the_rules_is_not_sent_and_told_without_what_it_holds(files: list[Path], out: Path) -> None:
    files[1].write_bytes(gzip.compress(b'good\t"a"="1"\nsecret.person@example.com no tab\n'))
    wrong = files[0].with_name("crm-export.csv")
    wrong.write_bytes(b'user\t"a"="1"\n')
    named = [f"'{files[1].name}'", "line 2", "'crm-export.csv'", "(N", "--no-check"]
    with raises(GuardError, "E-SEND-RULES", *named) as raised:
        send([*files, wrong], transfer(files, out))
    said = str(raised.value)
    assert "example" not in said.replace("for example", "")
    assert not out.exists()
    assert only_report(out.parent / "reports")["error"]["code"] == "E-SEND-RULES"
    send([*files, wrong], transfer(files, out), check=False)
    assert found(out) == contents([*files, wrong])


def test_the_command_ends_with_3_where_a_file_breaks_rules_unless_told_to_send_it(
    files: list[Path], tmp_path: Path
) -> None:
    files[0].write_bytes(gzip.compress(b"someone@example.com\n"))
    code, said, error = command(tmp_path, files[0], "--to", "out")
    assert (code, said) == (3, "")
    check_named(error, "[E-SEND-RULES]", "line 1")
    assert "someone" not in error
    assert command(tmp_path, files[0], "--to", "out", "--no-check", "--quiet") == (0, "", "")


def test_without_the_check_files_are_not_read_before_they_are_sent(files: list[Path], out: Path) -> None:
    files[0].write_bytes(files[0].read_bytes()[:50])  # damaged
    told: list[str] = []
    sent = send(files, transfer(files, out), check=False, notify=told.append)
    assert found(out) == contents(files)
    assert told == []
    for part, path in zip(sent.parts, files, strict=True):
        whole = path.read_bytes()
        assert (part.lines, part.raw_bytes, part.bytes) == (0, 0, len(whole))
        assert (part.crc32, part.sha256) == (f"{zlib.crc32(whole):08x}", hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize("given", [[], ["a", "b"]])
def test_a_name_stands_for_one_file(files: list[Path], out: Path, given: list[str]) -> None:
    twice = []
    for folder in given:
        path = files[0].parent / folder / files[0].name
        path.parent.mkdir()
        path.write_bytes(content(1))
        twice.append(path)
    with raises(JobError, *(("E-SEND-NAME-TWICE", f"'{NAME[:8]}") if given else ("E-SEND-NO-FILES",))):
        send(twice, transfer(files, out))
    assert not out.exists()


def test_sync_and_overwrite_of_one_data_source_are_not_sent_together(files: list[Path], out: Path) -> None:
    other = files[0].with_name(NAME.format(1).replace("sync", "overwrite"))
    other.write_bytes(content(1))
    with raises(GuardError, "E-BOTH-MODES", ".sync", ".overwrite", "(T2)", "1234"):
        send([*files, other], transfer(files, out))
    assert not out.exists()
    elsewhere = other.rename(other.with_name(other.name.replace("1234", "5678")))
    send([*files, elsewhere], transfer(files, out))
    assert found(out) == contents([*files, elsewhere])


@pytest.mark.parametrize("check", [True, False])
def test_f10_a_name_that_is_taken_is_never_overwritten(files: list[Path], out: Path, check: bool) -> None:
    out.mkdir()
    (out / files[2].name).write_bytes(b"of somebody else")
    with raises(DestinationError, "E-NAME-TAKEN"):
        send(files, transfer(files, out), check=check)
    assert (out / files[2].name).read_bytes() == b"of somebody else"


def test_f12_a_file_that_is_not_there_is_an_error_before_anything_is_sent(files: list[Path], out: Path) -> None:
    files[3].unlink()
    with raises(InputError, "E-INPUT-READ", files[3].name, "No such file"):
        send(files, transfer(files, out))
    assert not out.exists()


# --- faults -----------------------------------------------------------------------------------------------------


def to_s3(place: ScriptedPlace | S3Place, files: list[Path], **output: Any) -> Transfer:
    settings = {"endpoint_url": place.endpoint, "addressing_style": "path", "timeout": 5}
    to = {"to": f"s3://{place.bucket}/{place.prefix}", "partner": "acme", "retry_seconds": 0, "uploads": 1, **output}
    return transfer(files, "", output=to, s3=settings)


@pytest.fixture
def place() -> Iterator[ScriptedPlace]:
    with scripted_place() as made:
        yield made


@pytest.fixture
def sent_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts are sent before any is published, as large ones are."""
    monkeypatch.setattr(S3AtOnce, "most_bytes", 0)


def die(patch: pytest.MonkeyPatch, files: list[Path], where: Transfer, event: str, at: int, **options: Any) -> None:
    with patch.context() as dying:
        die_at(dying, event, at)
        with pytest.raises(KilledError):
            send(files, where, now=NOW, **options)
    time.sleep(0.05)  # for what a thread was about to do


@pytest.mark.usefixtures("sent_first")
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("event, at", [("began", 2), ("arrived", 2), ("publishing", 1), ("published", 2)])
def test_f1_after_a_death_only_what_is_missing_is_sent(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, event: str, at: int, check: bool
) -> None:
    where = to_s3(place, files)
    die(monkeypatch, files, where, event, at, check=check)
    assert len(place.visible()) == (at if event == "published" else 0)
    before = len(place.server.calls_of("send"))
    told: list[str] = []
    send(files, where, check=check, resume=True, notify=told.append, now=NOW + 86400)
    assert place.visible() == contents(files)  # on the day when sending began
    assert place.hidden() == set()
    there = {"began": 1, "arrived": 2}.get(event, 4)
    assert told[-1] == f"Resuming: {there} of 4 files are there already, and not sent again."
    assert len(place.server.calls_of("send")) == before + 4 - there


def test_after_a_finished_call_resume_does_nothing_and_says_so(files: list[Path], place: ScriptedPlace) -> None:
    where = to_s3(place, files)
    first = send(files, where)
    calls = len(place.server.calls)
    told: list[str] = []
    again = send(files, where, resume=True, notify=told.append)
    assert len(told) == 1
    assert (first.outcome, len(first.parts)) == ("done", 4)
    assert (again.outcome, again.parts) == ("nothing to do", [])
    assert len(place.server.calls) == calls


@pytest.mark.usefixtures("sent_first")
def test_f14_without_resume_what_is_left_is_removed_and_all_is_sent_anew(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = to_s3(place, files)
    die(monkeypatch, files, where, "arrived", 2)
    assert len(place.hidden()) == 2
    send(files, where, now=NOW)
    assert place.visible() == contents(files)
    assert place.hidden() == set()


@pytest.mark.usefixtures("sent_first")
def test_what_a_server_refuses_can_be_resumed_and_says_what_is_visible(files: list[Path], place: ScriptedPlace) -> None:
    where = to_s3(place, files)
    place.server.say("complete", Act(), Act(403, "AccessDenied"))
    with raises(DestinationError, "E-S3-DENIED", "1 of 4", "--resume"):
        send(files, where, now=NOW)
    place.server.say("list-parts", Act(500), Act(500), Act(500), Act(500), Act(500))
    with raises(DestinationError, "E-S3-FAILED", "--resume"):
        send(files, where, resume=True, now=NOW)
    send(files, where, resume=True, now=NOW)
    assert place.visible() == contents(files)


def test_a_destination_that_cannot_be_written_is_told_before_anything_is_sent(
    files: list[Path], place: ScriptedPlace
) -> None:
    place.server.always["begin"] = Act(403, "AccessDenied")
    with raises(DestinationError, "E-S3-DENIED", "s3:PutObject") as raised:
        send(files, to_s3(place, files))
    assert SECRET not in str(raised.value)
    assert only_report(files[0].parent.parent / "reports")["error"]["code"] == "E-S3-DENIED"


def at_event(patch: pytest.MonkeyPatch, event: str, act: Any) -> None:
    note = Journal.note

    def noted(self: Journal, what: str, **facts: Any) -> None:
        note(self, what, **facts)
        if what == event:
            act()

    patch.setattr(Journal, "note", noted)


@pytest.mark.usefixtures("sent_first")
def test_f26_a_file_that_changes_while_it_is_sent_is_an_error(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at_event(patch, "arrived", lambda: files[0].write_bytes(content(7)))
        with raises(InputError, "E-INPUT-CHANGED", files[0].name):
            send(files, to_s3(place, files))
    assert not place.server.objects
    assert place.hidden() == set()
    assert only_report(files[0].parent.parent / "reports")["error"]["code"] == "E-INPUT-CHANGED"


@pytest.mark.usefixtures("sent_first")
@pytest.mark.parametrize("how", ["vanishes", "shrinks"])
def test_f26_a_file_that_vanishes_while_others_are_sent_is_an_error(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    act = files[3].unlink if how == "vanishes" else lambda: files[3].write_bytes(b"")
    with monkeypatch.context() as patch:
        done = threading.Event()
        at_event(patch, "began", lambda: done.is_set() or (act(), done.set()))
        with pytest.raises((InputError, DestinationError)):
            send(files, to_s3(place, files, retry_seconds=600))  # trying again would not help
    assert not place.server.objects


def test_f25_a_second_call_with_the_same_files_stops(files: list[Path], out: Path) -> None:
    where = transfer(files, out)
    with (
        lock_job(Path(where.report.dir) / f"send.{_digest([LocalFile.at(path) for path in files], where)}.journal"),
        raises(DestinationError, "E-LOCKED", f"process {os.getpid()}"),
    ):
        send(files, where)
    send(files, where)
    assert found(out) == contents(files)


def test_f2_a_call_that_is_stopped_leaves_nothing(files: list[Path], place: ScriptedPlace) -> None:
    def stop(*_: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Delivery, "wait", stop)
        with pytest.raises(KeyboardInterrupt):
            send(files, to_s3(place, files))
    assert not place.server.objects
    assert place.hidden() == set()


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("login", ["us%40er:p%40ss%2Fw%C3%B6rd", "us%40er:wr0ng-s3cret"])
def test_f35_passwords_are_seen_nowhere(
    files: list[Path], sftp: SftpServer, tmp_path: Path, debug: list[str], login: str
) -> None:
    (tmp_path / "job.toml").write_text(
        f'[output]\nto = "{sftp.url("/in", login=login)}"\n[sftp]\nknown_hosts = "{sftp.known_hosts}"\n'
    )
    code, said, error = command(tmp_path, *files, "--job", "job.toml", *debug)
    assert code == (0 if "p%40ss" in login else 1)
    told = said + error + "".join(path.read_text() for path in (tmp_path / "reports").glob("*") if path.is_file())
    for secret in ("p%40ss", "p@ss", "wörd", "wr0ng"):
        assert secret not in told
