"""Delivery: tried again where that helps, bounded, noted in the journal, and whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from converter.delivery import spool as module
from converter.delivery.delivery import Delivery
from converter.delivery.destinations.base import Arrived
from converter.delivery.journal import Journal, RunRecord
from converter.delivery.locks import lock_job
from converter.delivery.run_files import FolderFiles
from converter.delivery.spool import Spool
from converter.delivery.threads import run_in_thread
from converter.delivery.throttle import Throttle
from converter.errors import DestinationError, ResumeError, StoppedError, TransientError
from converter.parts.part import Part
from converter.remote.pauses import RunEndedError
from converter.spec.names import FileName

from .errors import raises
from .memory import MemoryDestination, Store

NAME = FileName("data", (1234,), 1_366_545_717, extension=".gz")


def test_what_is_done_beside_is_known_before_it_begins() -> None:
    """Else a signal could come between, and nobody would wait for it."""
    tasks: list[Future[Any]] = []
    assert run_in_thread(lambda: list(tasks), tasks).result() == tasks
    assert len(tasks) == 1


def test_what_could_not_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise StoppedError(15)

    tasks: list[Future[Any]] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StoppedError):
        run_in_thread(lambda: None, tasks)
    assert tasks == []


class Failing(MemoryDestination):
    """A memory that fails as it is told: `fail(call, name)` is asked before each call."""

    def __init__(self, store: Store, fail: Callable[[str, str], None]) -> None:
        super().__init__(store)
        self._fail = fail

    def create(self, name: str) -> Any:
        self._fail("create", name)
        part, fail = super().create(name), self._fail

        class Watched(type(part)):  # type: ignore[misc]
            def write(self, data: bytes | memoryview) -> None:
                fail("write", name)
                super().write(data)

            def finish(self) -> Arrived:
                fail("finish", name)
                return super().finish()

        part.__class__ = Watched
        return part

    def publish(self, part: Arrived) -> None:
        self._fail("publish", part.name)
        super().publish(part)

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        self._fail("discard", name)
        super().discard(name, state)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.begin(RunRecord([NAME.stem], NAME.timestamp, "2026-01-31", "isal", []))
    yield journal
    journal.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 0.001)


def delivery_to(destination: MemoryDestination, journal: Journal, **options: Any) -> Delivery:
    return Delivery(destination, journal, **{"uploads": 2, "retry_seconds": 0.05, **options})


def make(delivery: Delivery, number: int, *pieces: bytes) -> Part:
    """Make a part, as the packer does."""
    name = str(NAME.part(number))
    writer = delivery.create(number, name)
    for piece in pieces:
        writer.write(piece)
    content = b"".join(pieces)
    crc32 = f"{zlib.crc32(content):08x}"
    part = Part(name, f"memory:{name}", 1, len(content), len(content), crc32, hashlib.sha256(content).hexdigest())
    writer.finish(part, 0)
    return part


def waited(delivery: Delivery) -> None:
    while not delivery.wait(0.1):
        pass


def test_parts_arrive_while_they_are_made_and_are_published_together(journal: Journal) -> None:
    store = Store()
    delivery = delivery_to(MemoryDestination(store), journal)
    for number in range(1, 6):
        make(delivery, number, b"one", b"two" * number)
    waited(delivery)
    assert store.visible == {}
    assert len(store.hidden) == 5
    delivery.publish()
    delivery.close()
    assert store.visible == {str(NAME.part(number)): b"one" + b"two" * number for number in range(1, 6)}
    assert not store.hidden


def test_each_part_is_published_as_soon_as_it_is_whole(journal: Journal) -> None:
    store = Store()
    delivery = delivery_to(MemoryDestination(store), journal, each=True)
    make(delivery, 1, b"one")
    waited(delivery)
    assert list(store.visible) == [str(NAME.part(1))]
    delivery.discard()
    assert list(store.visible) == [str(NAME.part(1))], "what is published stays"


@pytest.mark.parametrize("call", ["create", "write", "finish", "publish"])
def test_f9_what_may_pass_is_tried_again_from_the_first_byte(journal: Journal, call: str) -> None:
    store, failures = Store(), dict.fromkeys([str(NAME.part(1)), str(NAME.part(3))], 3)

    def fail(what: str, name: str) -> None:
        if what == call and failures.get(name):
            failures[name] -= 1
            raise TransientError("E-SERVER-ANSWER", "Not now.")

    delivery = delivery_to(Failing(store, fail), journal, retry_seconds=60)
    for number in range(1, 5):
        make(delivery, number, b"a" * number, b"b")
    waited(delivery)
    delivery.publish()
    delivery.close()
    assert set(failures.values()) == {0}
    assert store.visible == {str(NAME.part(number)): b"a" * number + b"b" for number in range(1, 5)}


def test_f9_trying_again_ends(journal: Journal) -> None:
    def fail(what: str, name: str) -> None:
        if what == "finish":
            raise TransientError("E-SERVER-ANSWER", "The server is busy.", "Try later.")

    store = Store()
    delivery = delivery_to(Failing(store, fail), journal)
    make(delivery, 1, b"one")
    with raises(TransientError, "E-SERVER-ANSWER", "busy"):
        waited(delivery)
    assert delivery.discard()
    assert not store.hidden


def test_f17_the_time_for_which_a_server_hangs_counts_as_waiting(journal: Journal) -> None:
    calls: list[str] = []

    def fail(what: str, name: str) -> None:
        calls.append(what)
        if what == "finish":
            time.sleep(0.1)
            raise TransientError("E-SERVER-ANSWER", "There was no answer in time.")

    delivery = delivery_to(Failing(Store(), fail), journal, retry_seconds=0.25)
    make(delivery, 1, b"one")
    with raises(TransientError, "E-SERVER-ANSWER"):
        waited(delivery)
    assert calls.count("finish") <= 3
    delivery.discard()


def test_f21_the_time_for_which_a_part_is_on_its_way_is_no_waiting(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10)
    failures = ["once", "twice"]

    def fail(what: str, name: str) -> None:
        if what == "write":
            time.sleep(0.06)
        if what == "finish" and failures:
            failures.pop()
            raise TransientError("E-SERVER-ANSWER", "Not now.")

    store = Store()
    delivery = delivery_to(Failing(store, fail), journal, retry_seconds=1)
    make(delivery, 1, bytes(200))
    waited(delivery)
    delivery.close()
    assert store.hidden == {str(NAME.part(1)): bytes(200)}


def test_what_will_not_pass_ends_the_run_at_once(journal: Journal) -> None:
    calls = []

    def fail(what: str, name: str) -> None:
        calls.append(what)
        if what == "write":
            raise DestinationError("E-SERVER-ANSWER", "You may not write here.")

    delivery = delivery_to(Failing(Store(), fail), journal, retry_seconds=60, uploads=1)
    writer = delivery.create(1, str(NAME.part(1)))
    writer.write(b"one")
    with raises(DestinationError, "E-SERVER-ANSWER"):
        for _ in range(1000):
            writer.write(b"two")
            time.sleep(0.01)
    with raises(DestinationError, "E-SERVER-ANSWER"):
        delivery.create(2, str(NAME.part(2)))
    delivery.discard()
    assert calls.count("write") == 1


def test_f11_a_part_that_arrived_with_other_bytes_is_sent_again(journal: Journal) -> None:
    store, broken = Store(), [True]

    def fail(what: str, name: str) -> None:
        if what == "finish" and broken:
            broken.clear()
            store.hidden[name] = b"oNe"

    delivery = delivery_to(Failing(store, fail), journal, retry_seconds=60)
    make(delivery, 1, b"one")
    waited(delivery)
    delivery.publish()
    delivery.close()
    assert store.visible == {str(NAME.part(1)): b"one"}


def test_f21_no_more_parts_are_made_than_may_be_on_their_way(journal: Journal) -> None:
    going = threading.Event()

    def fail(what: str, name: str) -> None:
        if what == "finish":
            assert going.wait(60)

    delivery = delivery_to(Failing(Store(), fail), journal)
    make(delivery, 1, b"one")
    make(delivery, 2, b"two")
    third = threading.Thread(target=make, args=(delivery, 3, b"three"))
    third.start()
    third.join(0.1)
    assert third.is_alive(), "the third part waits"
    going.set()
    third.join(10)
    waited(delivery)
    delivery.close()
    assert set(delivery.arrived) == {1, 2, 3}


def test_f21_who_waits_for_another_part_gets_the_error_of_one_that_cannot_be_made(journal: Journal) -> None:
    delivery = delivery_to(MemoryDestination(Store()), journal, uploads=1)
    writer = delivery.create(1, str(NAME.part(1)))
    writer.write(b"one")
    error = DestinationError("E-SPOOL-WRITE", "The disk is full.")
    threading.Timer(0.05, writer.fail, [error]).start()
    with raises(DestinationError, "E-SPOOL-WRITE"):
        delivery.create(2, str(NAME.part(2)))
    assert delivery.discard()


def test_a_run_that_is_given_up_does_not_wait_for_pauses(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 1000.0)

    def fail(what: str, name: str) -> None:
        if what == "finish":
            raise TransientError("E-SERVER-ANSWER", "Not now.")

    delivery = delivery_to(Failing(Store(), fail), journal, retry_seconds=10_000)
    make(delivery, 1, b"one")
    time.sleep(0.05)
    began = time.monotonic()
    delivery.discard()
    assert time.monotonic() - began < 30


def test_another_process_goes_on_with_what_arrived_and_removes_the_rest(journal: Journal) -> None:
    store = Store()
    first = delivery_to(MemoryDestination(store), journal)
    make(first, 1, b"one")
    make(first, 2, b"two")
    waited(first)
    half = first.create(3, str(NAME.part(3)))
    half.write(b"half")
    while str(NAME.part(3)) not in store.hidden:
        time.sleep(0.01)
    store.hidden.pop(str(NAME.part(2)))  # somebody has removed it
    past = journal.read()
    assert past
    second = delivery_to(MemoryDestination(store), journal)
    second.resume(past)
    assert set(second.arrived) == {1}
    assert list(store.hidden) == [str(NAME.part(1))]
    assert [(plan.part.name, plan.arrived) for (plans,) in [past.planned({1})] for plan in plans] == [
        (str(NAME.part(1)), True),
        (str(NAME.part(2)), False),
    ]
    second.close()
    first.discard()


def test_what_cannot_be_removed_is_said(journal: Journal) -> None:
    def fail(what: str, name: str) -> None:
        if what == "discard":
            raise TransientError("E-SERVER-ANSWER", "The network is gone.")

    delivery = delivery_to(Failing(Store(), fail), journal)
    make(delivery, 1, b"one")
    waited(delivery)
    assert not delivery.discard()


# --- the spool and the throttle ---------------------------------------------------------------------------------


def test_a_spool_is_read_as_often_as_need_be_and_while_it_grows(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    content = os.urandom(3_000_000)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(b"".join(map(bytes, spool.chunks()))))
    reader.start()
    for start in range(0, len(content), 70_001):
        spool.write(memoryview(content)[start : start + 70_001])
    spool.finish()
    reader.join(10)
    assert read == [content]
    assert b"".join(map(bytes, spool.chunks())) == content
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    spool.close()


def test_a_spool_is_not_closed_while_it_is_written_and_takes_no_more_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, pwrite, closed = Spool(str(tmp_path)), os.pwrite, []

    def slow(descriptor: int, data: memoryview, place: int) -> int:
        closing.start()
        closing.join(0.05)
        closed.append(spool._file.closed)
        return pwrite(descriptor, data, place)

    closing = threading.Thread(target=spool.close)
    monkeypatch.setattr(os, "pwrite", slow)
    spool.write(b"one")
    closing.join(10)
    spool.write(b"two")
    assert closed == [False]


def test_a_spool_that_is_stopped_lets_its_reader_go(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.write(b"one")
    threading.Timer(0.05, spool.stop).start()
    with pytest.raises(RunEndedError):
        list(spool.chunks())
    spool.close()


def test_f22_a_spool_without_room_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(DestinationError, "E-SPOOL-WRITE", "nowhere'", "run.spill_dir"):
        Spool(str(tmp_path / "nowhere"))
    spool = Spool(str(tmp_path))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with raises(DestinationError, "E-SPOOL-WRITE", "No space left on device"):
        spool.write(b"one")
    spool.close()


def test_a_throttle_lets_so_many_bytes_a_second_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    throttle = Throttle(1000, slept.append)
    for count in (500, 250, 2000):
        throttle.take(count)
    assert slept == [0.0, 0.5, 0.75]
    Throttle(None, slept.append).take(10**12)
    assert len(slept) == 3


# --- the journal ------------------------------------------------------------------------------------------------


def test_a_torn_line_at_the_end_of_a_journal_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.begin(RunRecord(["n"], 1_366_545_717, "2026-01-31", "isal", []))
    journal.note("began", number=1, name="a", state={"upload": "x"})
    whole = path.read_bytes()
    journal.note("published", number=1)
    journal.close()
    torn = path.read_bytes()
    for end in range(len(whole), len(torn)):
        path.write_bytes(torn[:end])
        past = Journal(FolderFiles(tmp_path), "x.journal").read()
        assert past
        assert (past.attempts, past.published) == ({1: [("a", {"upload": "x"})]}, set())
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.resume()
    journal.note("published", number=1)
    journal.close()
    assert path.read_bytes() == torn


def test_a_journal_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    for content in (b"{}\n", b"\xff\n", b"[]\n"):
        path.write_bytes(content)
        with raises(ResumeError, "E-JOURNAL-DAMAGED", str(path)):
            Journal(FolderFiles(tmp_path), "x.journal").read()
    path.write_bytes(b'{"event": "run", "version": 99}\n')
    with raises(ResumeError, "E-JOURNAL-VERSION", str(path)):
        Journal(FolderFiles(tmp_path), "x.journal").read()
    path.write_bytes(b"")
    assert Journal(FolderFiles(tmp_path), "x.journal").read() is None


def test_f22_a_journal_that_cannot_be_written_or_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.journal").mkdir()
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    with raises(DestinationError, "E-JOURNAL-WRITE", "x.journal"):
        journal.read()
    with raises(DestinationError, "E-JOURNAL-WRITE", "x.journal"):
        journal.begin(RunRecord(["n"], 1, "2026-01-31", "isal", []))
    with raises(DestinationError, "E-JOURNAL-WRITE", "x.journal"):
        journal.resume()
    assert [path.name for path in tmp_path.iterdir()] == ["x.journal"]


def test_f22_after_a_line_that_is_torn_a_journal_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.begin(RunRecord(["n"], 1_366_545_717, "2026-01-31", "isal", []))
    write = os.write
    with monkeypatch.context() as patch:

        def half(descriptor: int, line: bytes) -> int:
            if len(line) < 20:
                raise OSError(28, "No space left on device")
            return write(descriptor, line[: len(line) // 2])

        patch.setattr(os, "write", half)
        with raises(DestinationError, "E-JOURNAL-WRITE", "No space left on device"):
            journal.note("began", number=1, name="a", state={})
    with raises(
        DestinationError, "E-JOURNAL-WRITE", "No space left on device"
    ):  # another thread's, and there is room again
        journal.note("began", number=2, name="b", state={})
    journal.close()
    past = Journal(FolderFiles(tmp_path), "x.journal").read()
    assert past
    assert not past.attempts
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.resume()
    journal.note("published", number=1)
    journal.close()
    past = Journal(FolderFiles(tmp_path), "x.journal").read()
    assert past
    assert past.published == {1}


def test_f22_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        raises(DestinationError, "E-REPORT-FOLDER", "file'", "report.dir"),
        lock_job(tmp_path / "file" / "x.journal"),
    ):
        pass


def test_f25_a_lock_is_held_by_one_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.journal"
    with lock_job(path):
        with raises(DestinationError, "E-LOCKED", f"process {os.getpid()}"), lock_job(path):
            pass
        assert [each.name for each in path.parent.iterdir()] == ["x.journal.lock"]
    assert not path.parent.exists(), "a folder that holds nothing does not stay"
    path.parent.mkdir()
    (path.parent / "x.journal.lock").write_text("999999\n")  # of a process that is gone
    with lock_job(path):
        pass


def test_lines_of_the_journal_are_flushed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for the disk share its next flush; what need not be flushed waits for no disk."""
    journal = Journal(FolderFiles(tmp_path), "journal")
    journal.begin(RunRecord([], 0, "2013-04-21", "", []))
    flushed: list[int] = []
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        flushed.append(descriptor)
        time.sleep(0.3)  # on a busy machine, threads start late
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    journal.note("published", flush=False, number=0)
    assert not flushed
    tasks = [run_in_thread(partial(journal.note, "published", number=number)) for number in range(1, 17)]
    for task in tasks:
        task.result(60)
    assert 1 <= len(flushed) < 16
    past = journal.read()
    assert past
    assert past.published == set(range(17))
    journal.close()


def test_f23_a_flush_that_fails_is_the_error_of_all_who_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(FolderFiles(tmp_path), "journal")
    journal.begin(RunRecord([], 0, "2013-04-21", "", []))

    def fail(_: int) -> None:
        time.sleep(0.05)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    for task in [run_in_thread(partial(journal.note, "published", number=number)) for number in range(4)]:
        with raises(DestinationError, "E-JOURNAL-WRITE"):
            task.result(10)
    journal.close()
