"""Names that two runs want, parts that are gone, and servers that act on partial names or refuse to rename."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter import Job, convert, doctor
from converter.delivery.destinations import Destination, Owner
from converter.delivery.destinations.base import Arrived
from converter.delivery.hold import Hold
from converter.delivery.journal import Journal
from converter.delivery.locks import NameLock
from converter.errors import DestinationError, TransientError
from converter.jobs.document import merge
from converter.remote import ftp

from .conftest import TIMESTAMP
from .errors import codes_of, only_report, raises
from .servers.ftp import FTPHandler, FtpServer, ftp_server
from .servers.place import OWNER, PARTIAL, FolderPlace, Place
from .servers.proxy import proxy
from .servers.sftp import SftpServer
from .test_destinations import FIRST, NAME, PLACES, SECOND, journaled, send
from .test_sftp import DENIED

REAL = [name for name in PLACES if name != "memory"]
LATER = replace(NAME, timestamp=NAME.timestamp + 100)
FILES = [name for name in REAL if name not in ("s3", "s3, scripted", "rclone", "LocalStack")]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FtpServer]:
    with ftp_server(tmp_path) as running:
        yield running


def of(place: Place, digest: str, token: str = "1") -> Destination:
    """A destination as a run of another job has it, or another run."""
    made = place.destination()
    made._owner = Owner(digest, token)  # type: ignore[attr-defined]
    return made


def die_claiming(place: Place, digest: str) -> None:
    """Claim a name as a run does that is killed next."""
    dead = of(place, digest)
    assert codes_of(dead.claim(NAME)) == []
    if isinstance(place, FolderPlace) and hasattr(dead, "_claims") and isinstance(dead._claims, dict):
        for claim in dead._claims.values():
            os.close(claim.descriptor)  # as the system does it for a process that has died
    dead.close()


# Claims


@pytest.mark.parametrize("place", REAL, indirect=True)
def test_a_claim_is_out_of_sight_keeps_other_jobs_out_and_goes_when_it_is_released(place: Place) -> None:
    ours, theirs = of(place, "a" * 12), of(place, "b" * 12)
    assert codes_of(ours.claim(NAME)) == []
    assert place.visible() == {}
    assert codes_of(theirs.claim(NAME)) == ["E-NAME-IN-USE"]
    assert codes_of(ours.claim(NAME.part(1).__class__("data", (1,), TIMESTAMP))) == [], "another name is free"
    ours.release(NAME)
    ours.release(NAME.__class__("data", (1,), TIMESTAMP))
    ours.release(NAME)
    assert place.hidden() == set()
    assert codes_of(theirs.claim(NAME)) == []
    theirs.release(NAME)
    assert place.visible() == {}
    assert place.hidden() == set()


@pytest.mark.parametrize("place", REAL, indirect=True)
def test_of_many_that_claim_at_once_one_has_the_name_at_most(place: Place) -> None:
    runs = [of(place, f"{number:012x}") for number in range(4)]
    found: list[set[str]] = []
    begin = threading.Barrier(len(runs))

    def claim(run: Destination) -> None:
        begin.wait(20)
        found.append(set(codes_of(run.claim(NAME))))

    threads = [threading.Thread(target=claim, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(runs)
    assert found.count(set()) <= 1
    assert all(codes in (set(), {"E-NAME-IN-USE"}) for codes in found)


@pytest.mark.parametrize("place", REAL, indirect=True)
def test_a_run_takes_over_the_claim_of_a_dead_one_of_its_job_and_no_others(place: Place) -> None:
    die_claiming(place, "a" * 12)
    anew = of(place, "a" * 12, "2")
    assert codes_of(anew.claim(NAME, own=True, visible=True)) == []
    anew.release(NAME)
    anew.sweep(NAME, [])
    assert place.hidden() == set()


@pytest.mark.parametrize("place", REAL, indirect=True)
def test_the_claim_of_a_run_that_died_before_it_began_anything_goes_with_the_next_run(place: Place) -> None:
    die_claiming(place, "a" * 12)
    theirs = of(place, "b" * 12)
    assert codes_of(theirs.claim(LATER)) == []
    theirs.release(LATER)
    assert place.hidden(), "it is another job's"
    anew = of(place, "a" * 12, "2")
    assert codes_of(anew.claim(LATER)) == [], "nothing is told of it"
    anew.release(LATER)
    assert place.hidden() == set()


@pytest.mark.parametrize("place", [name for name in FILES if name != "folder"], indirect=True)
def test_what_a_run_left_that_was_killed_while_it_tried_the_place_goes_with_the_next_run(place: Place) -> None:
    ours, theirs = (Owner(digest * 12, "1").probe(NAME, PARTIAL, 1) for digest in "ab")
    place.put(ours, b"")
    place.put(theirs, b"")
    anew = of(place, "a" * 12, "2")
    assert codes_of(anew.claim(NAME)) == []
    anew.release(NAME)
    assert place.hidden() == {theirs}


@pytest.mark.parametrize("place", FILES, indirect=True)
def test_partial_files_of_another_job_are_neither_taken_over_nor_swept(place: Place) -> None:
    ours, theirs = of(place, "a" * 12), of(place, "b" * 12)
    part = send(theirs, FIRST, b"theirs")
    assert codes_of(ours.check(NAME)) == ["E-NAME-IN-USE"]
    assert codes_of(ours.claim(NAME, own=True, visible=True)) == ["E-NAME-IN-USE"]
    ours.sweep(NAME, [])
    ours.discard(FIRST, {})
    assert theirs.holds(part)
    assert codes_of(of(place, "b" * 12, "2").claim(NAME, own=True)) == []


@pytest.mark.parametrize("place", [name for name in REAL if name != "rclone"], indirect=True)
def test_who_is_second_at_publishing_replaces_nothing(place: Place) -> None:
    ours, theirs = of(place, "a" * 12), of(place, "b" * 12)
    mine, other = send(ours, FIRST, b"ours"), send(theirs, FIRST, b"theirs, which is longer")
    theirs.publish(other)
    with pytest.raises(DestinationError) as raised:
        ours.publish(mine)
    assert raised.value.code in ("E-NAME-TAKEN", "E-S3-TAKEN")
    ours.discard(FIRST, mine.state)
    assert place.visible() == {FIRST: b"theirs, which is longer"}
    assert place.hidden() == set()


def test_a_server_that_replaces_by_renaming_is_found_out_by_looking_again(
    server: FtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = server.destination()
    part = send(destination, FIRST, b"ours")
    rename = ftp.FtpFiles.rename

    def raced(self: Any, name: str, new: str) -> None:
        rename(self, name, new)
        (server.root / "in/bound" / new).write_bytes(b"theirs, which came right after")

    monkeypatch.setattr(ftp.FtpFiles, "rename", raced)
    with raises(DestinationError, "E-PUBLISHED-OTHER", FIRST, "another timestamp"):
        destination.publish(part)


# Parts that are gone, and those that are processed


@pytest.mark.parametrize("place", FILES, indirect=True)
@pytest.mark.parametrize("name", [f"{FIRST}.processed", FIRST.removesuffix(".gz") + ".processed"])
def test_a_processed_part_counts_as_delivered_and_its_name_as_taken(place: Place, name: str) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.publish(part)
    (place.folder / FIRST).rename(place.folder / name)  # type: ignore[attr-defined]
    assert place.destination().holds(journaled(part))
    place.destination().publish(journaled(part))
    assert set(place.visible()) == {name}
    assert codes_of(place.destination().check(NAME)) == ["E-NAME-TAKEN"]


@pytest.mark.parametrize("place", FILES, indirect=True)
def test_a_published_part_that_is_gone_is_not_held(place: Place) -> None:
    destination = place.destination()
    parts = [send(destination, name, b"content") for name in (FIRST, SECOND)]
    for part in parts:
        destination.publish(part)
    (place.folder / FIRST).unlink()  # type: ignore[attr-defined]
    assert [place.destination().holds(journaled(part)) for part in parts] == [False, True]


# Servers that act on partial names, or refuse to rename


def test_a_server_that_acts_on_partial_files_is_found_before_anything_is_sent(
    server: FtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FTPHandler, "on_file_received", lambda _, path: Path(path).unlink())
    assert codes_of(server.destination().check(NAME)) == ["E-PARTIAL-VANISHED"]
    found = server.destination().claim(NAME)
    assert 'ftp.partial_suffix = ""' in found[-1].hint
    assert not list(server.root.glob("in/bound/*"))


def test_a_server_that_removes_large_files_alone_is_found_at_the_first_part(
    server: FtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FTPHandler, "on_file_received", lambda _, path: "sync" in path and Path(path).unlink())
    destination = server.destination(read_back=False)
    assert codes_of(destination.check(NAME)) == []
    with raises(DestinationError, "E-PARTIAL-VANISHED", "ftp.partial_suffix"):
        send(destination, FIRST, b"content")


def test_a_server_that_refuses_to_rename_is_found_before_anything_is_sent(server: FtpServer, sftp: SftpServer) -> None:
    server.answers["RNFR"] = "550 Renaming is not allowed."
    sftp.fails["rename"] = DENIED
    for destination, section, root in (
        (server.destination(), "ftp", server.root),
        (sftp.destination(), "sftp", sftp.root),
    ):
        (found,) = [each for each in destination.check(NAME) if each.level == "error"]
        assert found.code == "E-RENAME-REFUSED"
        assert f'{section}.partial_suffix = ""' in found.hint
        assert not list(root.glob("in/bound/*"))


def without_suffix(request: str, server: FtpServer, sftp: SftpServer) -> tuple[Destination, Path]:
    if request == "ftp":
        server.answers.update(RNFR="550 No.", RNTO="550 No.")
        return server.destination(partial_suffix=""), server.root / "in/bound"
    sftp.fails["rename"] = DENIED
    return sftp.destination(partial_suffix=""), sftp.root / "in/bound"


@pytest.mark.parametrize("which", ["ftp", "sftp"])
def test_without_a_suffix_parts_are_written_under_their_final_names(
    which: str, server: FtpServer, sftp: SftpServer
) -> None:
    destination, folder = without_suffix(which, server, sftp)
    assert codes_of(destination.claim(NAME)) == ["W-NO-PARTIAL-NAMES"]
    part = send(destination, FIRST, b"content")
    assert destination.holds(part)
    destination.publish(part)
    destination.publish(part)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {FIRST: b"content"}
    with raises(DestinationError, "E-NAME-TAKEN"):
        without_suffix(which, server, sftp)[0].create(FIRST)
    assert codes_of(destination.check(NAME)) == ["W-NO-PARTIAL-NAMES", "E-NAME-TAKEN"]
    destination.create(SECOND).abort()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {FIRST: b"content"}
    (folder / FIRST).write_bytes(b"other content")
    with raises(DestinationError, "E-PUBLISHED-OTHER"):
        destination.publish(part)


# Whole runs


@pytest.fixture
def job(server: FtpServer, tmp_path: Path) -> Callable[..., Job]:
    (tmp_path / "in.csv").write_text("id,a\n" + "".join(f"{n},{n * 7919}\n" for n in range(3000)))

    def make(**changes: Any) -> Job:
        given: dict[str, Any] = {
            "input": {"path": str(tmp_path / "in.csv")},
            "id": {"column": "id"},
            "record": {"signals": ["a"]},
            "output": {"to": server.url(), "dpid": 1234, "max_part_raw_bytes": 20_000, "retry_seconds": 5},
            "report": {"dir": str(tmp_path / "reports")},
            "ftp": {"timeout": 10},
        }
        return Job(**merge(given, changes))

    return make


def files(server: FtpServer) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (server.root / "in/bound").glob("*")}


def lines(server: FtpServer) -> int:
    parts = [content for name, content in files(server).items() if ".claim" not in name]
    return sum(gzip.decompress(content).count(b"\n") for content in parts)


def at_event(patch: pytest.MonkeyPatch, event: str, act: Callable[[], object]) -> None:
    note = Journal.note

    def noted(self: Journal, what: str, **facts: Any) -> None:
        note(self, what, **facts)
        if what == event:
            act()

    patch.setattr(Journal, "note", noted)


def test_a_taken_second_means_the_next_free_one_unless_the_timestamp_is_fixed(
    server: FtpServer, job: Callable[..., Job]
) -> None:
    folder = server.root / "in/bound"
    folder.mkdir(parents=True)
    (folder / f"ftp_dpm_1234_{TIMESTAMP}.sync.9.gz").write_bytes(b"sent before")
    (folder / f"ftp_dpm_1234_{TIMESTAMP + 1}.sync.9.{'c' * 12}.partial").write_bytes(b"on its way")
    (folder / f"ftp_dpm_1234_{TIMESTAMP + 2}.sync.9.processed").write_bytes(b"processed")
    report = convert(job(), now=TIMESTAMP)
    assert report.name == f"ftp_dpm_1234_{TIMESTAMP + 3}.sync"
    with raises(DestinationError, "E-NAME-TAKEN"):
        convert(job(output={"timestamp": TIMESTAMP}))
    with raises(DestinationError, "E-NAME-IN-USE"):
        convert(job(output={"timestamp": TIMESTAMP + 1}))
    assert not [name for name in files(server) if "claim" in name]


def test_who_loses_at_publishing_leaves_nothing_and_is_not_told_to_resume(
    server: FtpServer, job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"ftp_dpm_1234_{TIMESTAMP}.sync.1.gz"
    with monkeypatch.context() as patch:
        at_event(patch, "publishing", lambda: (server.root / "in/bound" / name).write_bytes(b"theirs"))
        with raises(DestinationError, "E-NAME-TAKEN", "run again", "output.timestamp") as raised:
            convert(job(output={"timestamp": TIMESTAMP}))
    assert "--resume" not in str(raised.value)
    assert files(server) == {name: b"theirs"}
    assert only_report(tmp_path / "reports")["error"]["code"] == "E-NAME-TAKEN"


def test_who_loses_a_later_part_is_told_what_is_visible(
    server: FtpServer, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"ftp_dpm_1234_{TIMESTAMP}.sync.2.gz"
    with monkeypatch.context() as patch:
        at_event(patch, "publishing", lambda: (server.root / "in/bound" / name).write_bytes(b"theirs"))
        with raises(DestinationError, "E-NAME-TAKEN", "--resume", "visible"):
            convert(job(output={"timestamp": TIMESTAMP}))
    (server.root / "in/bound" / name).unlink()
    convert(job(output={"timestamp": TIMESTAMP}), resume=True)
    assert lines(server) == 3000


@pytest.mark.parametrize("publish", ["end", "each"])
def test_parts_that_are_gone_are_sent_again_and_processed_ones_are_not(
    server: FtpServer, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, publish: str
) -> None:
    first, second = (f"ftp_dpm_1234_{TIMESTAMP}.sync.{number}.gz" for number in (1, 2))
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise TransientError("E-SERVER-ANSWER", "The disk is full.")

    given = {"output": {"timestamp": TIMESTAMP, "publish": publish, "uploads": 1, "retry_seconds": 0}}
    with monkeypatch.context() as patch:
        at_event(patch, "published", stop)
        with raises(DestinationError, "E-SERVER-ANSWER", "--resume"):
            convert(job(**given))
    folder = server.root / "in/bound"
    gone = gzip.decompress((folder / first).read_bytes())
    (folder / first).unlink()
    (folder / second).rename(folder / f"{second}.processed")
    server.seen.clear()
    convert(job(**given), resume=True)
    assert gzip.decompress((folder / first).read_bytes()) == gone
    assert second not in files(server)
    assert lines(server) == 3000
    assert not [name for name in files(server) if name.endswith(".partial")]
    assert not [line for line in server.seen if line.startswith(f"STOR {second}")]


def test_parts_that_cannot_be_seen_are_taken_for_there_with_a_warning(
    server: FtpServer, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise DestinationError("E-SERVER-ANSWER", "Not now.")

    given = {"output": {"timestamp": TIMESTAMP, "retry_seconds": 0, "uploads": 1}, "ftp": {"read_back": False}}
    with monkeypatch.context() as patch:
        at_event(patch, "made", stop)
        with raises(DestinationError, "E-SERVER-ANSWER"):
            convert(job(**given))
    server.answers.update(SIZE="550 No.", NLST="550 No.")
    report = convert(job(**given), resume=True)
    assert "W-PARTS-UNSEEN" in [each.code for each in report.warnings]
    assert lines(server) == 3000


def test_the_first_connection_is_tried_again_as_well(server: FtpServer, job: Callable[..., Job]) -> None:
    with proxy(server.port, refuse=True) as line:
        threading.Timer(1.0, lambda: setattr(line, "refuse", False)).start()
        convert(job(output={"to": server.url(port=line.port), "retry_seconds": 60}))
        assert lines(server) == 3000
        line.refuse = True
        with raises(DestinationError, "E-SERVER-CONNECTION"):
            convert(job(output={"to": server.url(port=line.port), "retry_seconds": 0.2}))
        threading.Timer(1.0, lambda: setattr(line, "refuse", False)).start()
        found = doctor(job(output={"to": server.url(port=line.port)}))
        assert not [each for each in found if each.level == "error"]


def test_a_run_without_partial_names_that_fails_removes_what_it_has_written(
    server: FtpServer, job: Callable[..., Job], tmp_path: Path
) -> None:
    server.answers.update(RNFR="550 No.", RNTO="550 No.")
    given = {"ftp": {"partial_suffix": ""}}
    report = convert(job(**given), now=TIMESTAMP)
    assert "W-NO-PARTIAL-NAMES" in [each.code for each in report.warnings]
    sent = files(server)
    with (tmp_path / "in.csv").open("a") as file:
        file.write(",\n" * 3000)
    with pytest.raises(Exception, match="rejected"):
        convert(job(**given), now=TIMESTAMP + 1)
    assert files(server) == sent


# Locks of the machine


def test_a_lock_of_the_machine_is_one_processes_and_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lock = NameLock.acquire("place", "stem")
    assert lock
    assert NameLock.acquire("place", "stem") is None
    other = NameLock.acquire("place", "other")
    assert other
    lock.release()
    other.release()
    assert list((tmp_path / "aam-inbound-locks").iterdir()) == []
    code = (
        "import sys\nfrom converter.delivery.locks import NameLock\nsys.exit(NameLock.acquire('place', 'stem') is None)"
    )
    ask = [sys.executable, "-c", code]
    held = NameLock.acquire("place", "stem")
    assert held
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    assert subprocess.run(ask, env=environment, check=False).returncode == 1
    held.release()
    assert subprocess.run(ask, env=environment, check=False).returncode == 0
    assert NameLock.acquire("place", "stem"), "what a process that has ended left is not a lock"


def test_a_folder_for_locks_that_is_somebody_elses_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "aam-inbound-locks").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        assert NameLock.acquire("place", "stem"), "claims alone tell, then"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (tmp_path / "aam-inbound-locks").unlink()
    lock = NameLock.acquire("place", "stem")
    assert lock
    (path,) = (tmp_path / "aam-inbound-locks").iterdir()
    lock.release()
    path.symlink_to(tmp_path / "in.csv")
    assert NameLock.acquire("place", "stem")
    assert not (tmp_path / "in.csv").exists()


def test_names_are_held_at_one_place_whatever_folders_reports_are_in(
    server: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Hold(0) as first, Hold(0) as second:
        assert codes_of(first.take(server.destination(), [NAME])) == []
        same = server.url().replace("localhost", "LOCALHOST")
        found = second.take(server.destination(same, Owner()), [NAME])
        assert codes_of(found) == ["E-NAME-IN-USE"]
        assert not [line for line in server.seen if "claim" in line][1:], "nobody was asked"
    assert not list(server.root.glob("in/bound/*"))


def test_a_part_keeps_its_partial_name_in_the_journal() -> None:
    assert OWNER.partial(FIRST, ".partial") == f"{FIRST}.{OWNER.digest}.partial"
    assert Arrived(FIRST, 1, 1, {"partial": "x"}).state["partial"] == "x"
