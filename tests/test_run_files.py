"""The files of runs: one suite for a folder and a bucket, then locks and journals that machines share."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from converter.delivery.journal import Journal, RunRecord
from converter.delivery.run_files import FAILURES, FolderFiles, RunFiles, run_files_at
from converter.delivery.run_files.bucket import BucketFiles
from converter.delivery.run_files.containers import in_container, vanishing, why_vanishing
from converter.delivery.run_files.lease import Lease
from converter.errors import DestinationError, ResumeError, TransientError
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience

from .errors import codes_of, raises
from .servers.s3 import S3Place, rclone_place, s3_place
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place

RUN = RunRecord(["ftp_dpm_1234_1366545717.sync"], 1_366_545_717, "2026-01-31", "isal", [])
JOURNAL = "job.journal"
LOCK = "runs/of/job/job.journal.lock"


def bucket_files(place: S3Place, *, seconds: float = 1, retry_seconds: float = 0, **more: Any) -> BucketFiles:
    """The files of runs, as a new process on another machine has them."""
    settings = S3(endpoint_url=place.endpoint, addressing_style="path", timeout=5)
    url, patience = f"s3://{place.bucket}/runs/of/job", Patience(retry_seconds)
    files = run_files_at(url, settings, patience, lease_seconds=seconds, spill_dir=more.pop("spill_dir", None))
    assert isinstance(files, BucketFiles)
    return files


Open = Callable[[], RunFiles]


@pytest.fixture(params=["folder", "moto", "scripted"])
def anew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """What opens the files of one place, each time as a new process does."""
    if request.param == "folder":
        yield lambda: FolderFiles(tmp_path / "reports")
        return
    with s3_place() if request.param == "moto" else scripted_place() as place:
        yield lambda: bucket_files(place)


@pytest.fixture
def place() -> Iterator[ScriptedPlace]:
    with scripted_place() as found:
        yield found


def names(files: RunFiles) -> set[str]:
    return {each.name for each in files.entries()}


# --- any place --------------------------------------------------------------------------------------------------


def test_a_file_is_created_once_and_read_by_any_process(anew: Open) -> None:
    assert names(anew()) == set()
    before = time.time()
    assert anew().create("a.report.json", b"first")
    assert not anew().create("a.report.json", b"second")
    assert anew().read("a.report.json") == b"first"
    (entry,) = anew().entries()
    assert entry.name == "a.report.json"
    assert abs(entry.modified - before) < 60
    anew().remove("a.report.json")
    anew().remove("a.report.json")
    with pytest.raises(FileNotFoundError):
        anew().read("a.report.json")
    assert anew().url("a.report.json").endswith("/a.report.json")
    assert codes_of(anew().check()) == []
    assert names(anew()) == set(), "a check leaves nothing"


def test_a_new_file_is_published_by_any_process_once_it_is_finished(anew: Open) -> None:
    anew().create("x.json", b"old")
    file = anew().new("x.json")
    file.open()
    file.write(b"new ")
    file.write(memoryview(b"content" * 300_000))
    file.finish()
    assert anew().read("x.json") == b"old"
    other = anew().new("x.json")
    assert other.is_prepared()
    other.publish()
    assert anew().read("x.json") == b"new " + b"content" * 300_000
    assert not anew().new("x.json").is_prepared()
    assert names(anew()) == {"x.json"}
    file.discard()
    assert names(anew()) == {"x.json"}


def test_a_new_file_that_is_discarded_leaves_nothing(anew: Open) -> None:
    for discarded in (anew().new("x.json"), anew().new("x.json")):
        discarded.write_whole(b"whole")
        anew().new("x.json").discard()
        assert names(anew()) == set()


def test_a_log_has_the_lines_of_the_last_run(anew: Open) -> None:
    assert anew().log(JOURNAL).read() == []
    log = anew().log(JOURNAL)
    log.begin(b"first")
    log.append(b"second")
    log.close()
    log.append(b"too late")
    assert anew().log(JOURNAL).read() == [b"first", b"second"]
    assert list(anew().logs(".journal")) == [JOURNAL]
    later = anew().log(JOURNAL)
    assert later.read() == [b"first", b"second"]
    later.resume()
    later.append(b"third")
    assert anew().log(JOURNAL).read() == [b"first", b"second", b"third"]
    later.end(b"last")
    later.cut(b"first", b"last")
    assert anew().log(JOURNAL).read() == [b"first", b"last"]
    other = anew().log(JOURNAL)
    other.begin(b"another run")
    assert anew().log(JOURNAL).read() == [b"another run"]
    other.remove()
    assert anew().log(JOURNAL).read() == []


def test_a_journal_is_that_of_its_last_run(anew: Open) -> None:
    journal = Journal(anew(), JOURNAL)
    assert journal.read() is None
    journal.begin(RUN)
    journal.note("began", number=1, name="a", state={"upload": "x"})
    past = Journal(anew(), JOURNAL).read()
    assert past
    assert (past.run, past.attempts, past.is_done) == (RUN, {1: [("a", {"upload": "x"})]}, False)
    journal.finish(RUN)
    past = Journal(anew(), JOURNAL).read()
    assert past
    assert (past.run, past.is_done) == (RUN, True)


def test_f25_a_lock_is_held_by_one(anew: Open) -> None:
    first = anew()
    with first.lock(JOURNAL):
        first.confirm()
        with raises(DestinationError, "E-LOCKED", "process"), anew().lock(JOURNAL):
            pass
        first.confirm()
    with anew().lock(JOURNAL):
        pass


# --- locks that machines share ----------------------------------------------------------------------------------


@contextlib.contextmanager
def paused(files: BucketFiles, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold the lock in a process that is paused: it does not renew it."""
    with patch.context() as pausing:
        pausing.setattr(Lease, "_keep", lambda _: None)
        holding = files.lock(JOURNAL)
        holding.__enter__()
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def test_the_lock_of_a_run_that_died_is_taken_over_after_a_while(
    place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = bucket_files(place), bucket_files(place)
    with paused(dead, monkeypatch):
        begun = time.monotonic()
        with alive.lock(JOURNAL):
            assert time.monotonic() - begun >= 1
            with raises(DestinationError, "E-LOCK-LOST", "1 s", LOCK):
                dead.confirm()
            alive.confirm()
        for forbidden in (lambda: dead.remove("x"), lambda: dead.new("x").write_whole(b""), dead.new("x").publish):
            with raises(DestinationError, "E-LOCK-LOST"):
                forbidden()
        assert dead.create("x.failed-1.report.json", b"{}"), "its report says what happened"
    assert place.server.objects[LOCK].count(b'"holder":""') == 1


def test_an_old_lock_is_taken_over_at_once_by_the_clock_of_the_server(
    place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with paused(bucket_files(place, seconds=600), monkeypatch):
        place.server.modified[LOCK] -= 3600
        begun = time.monotonic()
        with bucket_files(place).lock(JOURNAL):
            assert time.monotonic() - begun < 300, "it is not waited for"


def test_of_many_machines_that_begin_at_once_one_gets_the_lock(place: ScriptedPlace) -> None:
    ready, refused = threading.Barrier(6), threading.Semaphore(0)

    def begin(_: int) -> str:
        ready.wait()
        try:
            with bucket_files(place, seconds=3).lock(JOURNAL):  # on a busy machine, it is renewed late
                for _other in range(5):
                    assert refused.acquire(timeout=60)
                return "held"
        except DestinationError as error:
            refused.release()
            return error.code

    with ThreadPoolExecutor(6) as machines:
        found = sorted(machines.map(begin, range(6)))
    assert found == ["E-LOCKED"] * 5 + ["held"]


def test_a_run_that_waits_for_a_lock_gets_it_when_it_is_released(place: ScriptedPlace) -> None:
    first = bucket_files(place, seconds=30)
    with ThreadPoolExecutor(1) as other:
        with first.lock(JOURNAL):
            waiting = other.submit(lambda: bucket_files(place).lock(JOURNAL).__enter__())
            time.sleep(0.3)
            assert not waiting.done()
        waiting.result(60)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"holder": 1}'])
def test_a_lock_that_says_nothing_lasts_as_long_as_others(place: ScriptedPlace, content: bytes) -> None:
    place.server.put(LOCK, content)
    with bucket_files(place).lock(JOURNAL):
        assert orjson.loads(place.server.objects[LOCK])["holder"]


def test_a_lock_that_is_removed_is_lost(place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    files = bucket_files(place)
    with paused(files, monkeypatch):
        del place.server.objects[LOCK], place.server.etags[LOCK]
        with raises(DestinationError, "E-LOCK-LOST"):
            files.confirm()


def test_a_lock_is_held_where_answers_are_lost(place: ScriptedPlace) -> None:
    files = bucket_files(place)
    lost = Act(done=True, lost=True)
    taking, renewing = (Lease(files.objects, LOCK, 60, f"holder {number}") for number in (1, 2))
    place.server.say("put", lost)
    taking.acquire()
    place.server.say("put", lost)
    taking.check()
    taking.check()
    with raises(DestinationError, "E-LOCKED"):
        place.server.etags[LOCK] = "another"  # as if it were renewed, once it was seen
        threading.Timer(0.5, lambda: place.server.etags.update({LOCK: "one more"})).start()
        renewing.acquire()


def test_a_server_that_fails_ends_a_run_that_cannot_renew_its_lock(
    place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = bucket_files(place)
    with paused(files, monkeypatch):
        place.server.always["put"] = Act(503, "SlowDown")
        with raises(TransientError, "E-S3-BUSY"):
            files.confirm()
        del place.server.always["put"]
        files.confirm()


def test_a_lock_is_renewed_while_its_run_lives(place: ScriptedPlace) -> None:
    with bucket_files(place).lock(JOURNAL):
        deadline = time.monotonic() + 60
        while orjson.loads(place.server.objects[LOCK])["renewed"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# --- servers that ignore conditions -----------------------------------------------------------------------------


def test_a_server_that_ignores_conditions_is_refused() -> None:
    for opened in (rclone_place, lambda: scripted_place(checksums=False)):
        with opened() as place:  # type: ignore[operator] # of two kinds
            files = bucket_files(place)
            with raises(DestinationError, "E-REPORT-CONDITIONS", "If-Match", "report.dir"), files.lock(JOURNAL):
                pass
            assert codes_of(files.check()) == ["E-REPORT-CONDITIONS"]
            assert names(files) == set()


def test_a_server_that_does_not_know_conditions_is_refused(place: ScriptedPlace) -> None:
    place.server.say("put", Act(), Act(501, "NotImplemented"))
    with raises(DestinationError, "E-REPORT-CONDITIONS"), bucket_files(place).lock(JOURNAL):
        pass


def test_a_bucket_that_cannot_be_used_is_an_error_of_its_own(place: ScriptedPlace) -> None:
    place.server.always["put"] = Act(404, "NoSuchBucket")
    with raises(DestinationError, "E-S3-BUCKET", "report.dir"), bucket_files(place).lock(JOURNAL):
        pass
    place.server.always["put"] = Act(403, "AccessDenied")
    assert codes_of(bucket_files(place).check()) == ["E-S3-DENIED"]


# --- journals in a bucket ---------------------------------------------------------------------------------------


def test_a_run_that_was_paused_does_not_write_the_journal_of_the_one_that_continues_it(
    place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bucket_files(place), bucket_files(place)
    with paused(first, monkeypatch):
        stale = Journal(first, JOURNAL)
        stale.begin(RUN)
        with second.lock(JOURNAL):
            journal = Journal(second, JOURNAL)
            assert journal.read()
            journal.resume()
            monkeypatch.setattr(first, "ensure", lambda: None)  # it does not notice by its lock
            with raises(DestinationError, "E-LOCK-LOST"):
                stale.note("began", number=1, name="a", state={})
            with raises(DestinationError, "E-LOCK-LOST"):
                stale.note("began", number=2, name="b", state={})
            stale.remove()
            journal.note("published", number=7)
            past = Journal(bucket_files(place), JOURNAL).read()
            assert past
            assert past.published == {7}


def test_an_event_counts_once_where_its_answer_was_lost(place: ScriptedPlace) -> None:
    log = bucket_files(place).log(JOURNAL)
    log.begin(b"first")
    place.server.say("put", Act(done=True, lost=True))
    log.append(b"second")
    log.append(b"third")
    assert bucket_files(place).log(JOURNAL).read() == [b"first", b"second", b"third"]


def test_a_journal_without_one_of_its_events_is_damaged(place: ScriptedPlace) -> None:
    journal = Journal(bucket_files(place), JOURNAL)
    journal.begin(RUN)
    for number in (1, 2, 3):
        journal.note("published", number=number)
    lost = [key for key in sorted(place.server.objects) if JOURNAL in key]
    for gone in (lost[1], lost[0]):
        with_it = place.server.objects.pop(gone)
        with raises(ResumeError, "E-JOURNAL-DAMAGED", JOURNAL):
            Journal(bucket_files(place), JOURNAL).read()
        place.server.objects[gone] = with_it


def test_a_journal_that_cannot_be_written_takes_no_more(place: ScriptedPlace) -> None:
    journal = Journal(bucket_files(place), JOURNAL)
    journal.begin(RUN)
    place.server.say("put", Act(403, "AccessDenied"))
    for _ in range(2):  # the second time there would be no error
        with raises(DestinationError, "E-S3-DENIED", JOURNAL):
            journal.note("published", number=1)


def test_journals_of_many_events_are_cut_down(place: ScriptedPlace) -> None:
    journal = Journal(bucket_files(place), JOURNAL)
    for _ in range(2):
        journal.begin(RUN)
        for number in range(5):
            journal.note("published", number=number)
        assert len([key for key in place.server.objects if JOURNAL in key]) == 6
        journal.finish(RUN)
        assert len([key for key in place.server.objects if JOURNAL in key]) == 2


# --- files in a bucket ------------------------------------------------------------------------------------------


def test_objects_that_cannot_be_removed_are_an_error(place: ScriptedPlace) -> None:
    refused = "<Error><Key>runs/of/job/x</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    place.server.say("remove", Act(body=f"<DeleteResult>{refused}</DeleteResult>"), Act(403, "AccessDenied"))
    for _ in range(2):
        with raises(DestinationError, "E-S3-DENIED", "s3:DeleteObject"):
            bucket_files(place).remove("x")


@pytest.mark.parametrize("operation", ["head", "get", "list", "put"])
def test_a_place_that_fails_is_an_error(place: ScriptedPlace, operation: str) -> None:
    calls: dict[str, Callable[[BucketFiles], object]] = {
        "head": lambda files: files.new("x").is_prepared(),
        "get": lambda files: files.read("x"),
        "list": lambda files: files.entries(),
        "put": lambda files: files.create("x", b""),
    }
    place.server.always[operation] = Act(403, "AccessDenied")
    with raises(DestinationError, "E-S3-DENIED"):
        calls[operation](bucket_files(place))


def test_rejects_that_do_not_fit_on_the_disk_are_an_error(place: ScriptedPlace, tmp_path: Path) -> None:
    file = bucket_files(place, spill_dir=str(tmp_path / "none")).new("x")
    file.open()
    with raises(DestinationError, "E-SPILL-WRITE", "run.spill_dir", str(tmp_path / "none")):
        file.write(b"x" * (2 << 20))
    file.discard()


def test_what_a_place_raises_is_known(tmp_path: Path) -> None:
    assert issubclass(DestinationError, FAILURES)
    (tmp_path / "file").write_text("")
    with pytest.raises(FAILURES):
        FolderFiles(tmp_path / "file").create("x", b"")


# --- folders that go with their container -----------------------------------------------------------------------

MOUNTS = """\
512 401 0:61 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l
513 512 0:64 / /proc rw,nosuid - proc proc rw
514 512 0:65 / /dev rw,nosuid - tmpfs tmpfs rw
520 512 259:1 /var/lib/kubelet/pods/1b2c/volumes/kubernetes.io~empty-dir/temporary /tmp rw - ext4 /dev/root rw
521 512 259:4 / /data rw,relatime - ext4 /dev/nvme1n1 rw
522 521 0:70 / /data/fast rw,relatime - tmpfs tmpfs rw
523 512 0:71 / /with\\040space rw,relatime - nfs4 10.0.0.1:/x rw
damaged
"""


@pytest.mark.parametrize(
    "path, why",
    [
        ("/", "layer"),
        ("/home/reports", "layer"),
        ("/database", "layer"),
        ("/tmp/reports", "emptyDir"),
        ("/dev/shm", "memory"),
        ("/data", ""),
        ("/data/reports", ""),
        ("/data/fast/reports", "memory"),
        ("/with space/reports", ""),
    ],
)
def test_a_folder_that_goes_with_the_container_is_known_by_its_mount(path: str, why: str) -> None:
    found = why_vanishing(path, MOUNTS)
    assert bool(found) == bool(why)
    assert why in found


def test_a_container_is_known_by_what_engines_leave(tmp_path: Path) -> None:
    assert not in_container(tmp_path, {})
    assert in_container(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/cgroup").write_text("0::/init.scope\n")
    assert not in_container(tmp_path, {})
    (tmp_path / "proc/1/cgroup").write_text("0::/kubepods.slice/pod1\n")
    assert in_container(tmp_path, {})
    (tmp_path / "proc/1/cgroup").unlink()
    (tmp_path / ".dockerenv").write_text("")
    assert in_container(tmp_path, {})


def test_a_folder_that_stays_needs_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("needs /proc")
    (warning,) = vanishing(Path("/dev/shm/reports"))
    assert warning.code == "W-REPORT-VANISHES"
    assert "s3://" in warning.hint
