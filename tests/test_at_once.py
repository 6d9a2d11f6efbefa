"""Small files to S3: each is sent by the request that makes it visible, with the promises of parts that are sent first."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from converter import send
from converter.delivery import held
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.s3 import S3Destination
from converter.delivery.journal import Journal
from converter.errors import DestinationError, InputError, StoppedError, TransientError
from converter.spec.names import FileName

from .errors import check_named, only_report, raises
from .servers.s3 import S3Place, rclone_place, s3_place
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place
from .test_cli import loaded
from .test_send import NOW, at_event, contents, die, files, found, out, to_s3, transfer

__all__ = ["files", "out"]  # fixtures

NAMES = FileName("data", (1234,), 1366545717, extension=".gz")
FIRST, SECOND, THIRD = (str(NAMES.part(number)) for number in (1, 2, 3))
DATA, OTHER = b"a part" * 1000, b"A part" * 1000


@pytest.fixture(params=[True, False], ids=["conditions", "none"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedPlace]:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    with scripted_place(checksums=request.param) as made:
        yield made


def publish(destination: S3Destination, name: str = FIRST, data: bytes = DATA) -> Arrived:
    return destination.at_once.publish(name, data, zlib.crc32(data))


ANY: dict[str, Callable[[], AbstractContextManager[S3Place]]] = {"moto": s3_place, "rclone": rclone_place}


@pytest.mark.parametrize("kind", ANY)
def test_servers_take_a_part_at_once_and_never_another_in_its_place(kind: str) -> None:
    with ANY[kind]() as place:
        destination = place.destination()
        part = publish(destination)
        assert place.visible() == {FIRST: DATA}
        assert destination.holds(part)
        destination.publish(part)  # as by a run that was killed before it noted the publication
        publish(destination)
        publish(destination, SECOND)
        for name in (FIRST, SECOND):
            with raises(DestinationError, "E-NAME-TAKEN", name):
                publish(destination, name, OTHER)
        assert place.visible() == {FIRST: DATA, SECOND: DATA}


def test_a_small_file_takes_one_request_with_a_condition_and_checksums(files: list[Path], place: ScriptedPlace) -> None:
    where = to_s3(place, files)
    report = send(files, where, now=NOW)
    assert place.visible() == contents(files)
    assert [part.bytes for part in report.parts] == [len(data) for data in contents(files).values()]
    calls = place.server.calls_of("put")
    assert [call.headers["if-none-match"] for call in calls] == ["*"] * 4
    assert all({"x-amz-checksum-crc32", "content-md5"} <= call.headers.keys() for call in calls)
    assert not place.server.calls_of("send")
    if place.server.checksums:  # the first part is looked for, and the others since this server's listing is long
        assert len(place.server.calls_of("head")) <= 4


def test_z4_it_is_written_with_the_settings_of_the_job(place: ScriptedPlace) -> None:
    settings = {"acl": "bucket-owner-full-control", "sse": "AES256", "storage_class": "STANDARD_IA"}
    publish(place.destination(**settings))
    (call,) = place.server.calls_of("put")
    names = ("x-amz-acl", "x-amz-server-side-encryption", "x-amz-storage-class")
    assert [call.headers[name] for name in names] == list(settings.values())


def test_files_that_are_larger_or_too_many_are_sent_first(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files[0].write_bytes(os.urandom((1 << 20) + 1))
    monkeypatch.setattr(held, "_MOST_BYTES", files[1].stat().st_size + files[2].stat().st_size)
    send(files, to_s3(place, files), check=False, now=NOW)
    assert place.visible() == contents(files)
    assert {call.key.rpartition("/")[2] for call in place.server.calls_of("put")} == {files[1].name, files[2].name}


def test_a_file_that_is_read_in_several_chunks_arrives_whole(files: list[Path], place: ScriptedPlace) -> None:
    files[0].write_bytes(os.urandom(700_000))
    send(files, to_s3(place, files), check=False, now=NOW)
    assert place.visible() == contents(files)
    assert len(place.server.calls_of("put")) == len(files)


def test_it_is_sent_without_what_only_tables_and_large_files_need(files: list[Path], place: ScriptedPlace) -> None:
    settings = {"s3.endpoint_url": place.endpoint, "s3.addressing_style": "path", "report.dir": "reports"}
    chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    args = ["send", files[0].name, "--no-check", "--to", f"s3://{place.bucket}", *chosen]
    modules = loaded(files[0].parent, *args, environment=os.environ)
    assert [name.rpartition("/")[2] for name in place.visible()] == [files[0].name]
    assert modules & {"polars", "numpy", "pyarrow", "boto3", "smart_open", "paramiko", "tenacity", "asyncio"} == set()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("event, at", [("made", 2), ("publishing", 1), ("arrived", 2), ("published", 2)])
def test_f1_after_a_death_the_run_is_finished(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, event: str, at: int, check: bool
) -> None:
    where = to_s3(place, files)
    die(monkeypatch, files, where, event, at, check=check)
    assert len(place.visible()) == (at if event in ("arrived", "published") else 0)
    send(files, where, check=check, resume=True, now=NOW + 86400)
    assert place.visible() == contents(files)
    assert place.hidden() == set()


def test_what_a_server_refuses_can_be_resumed_and_says_what_is_visible(files: list[Path], place: ScriptedPlace) -> None:
    where = to_s3(place, files)
    place.server.say("put", Act(), Act(403, "AccessDenied"))
    with raises(DestinationError, "E-S3-DENIED", "1 of 4 files", "--resume") as raised:
        send(files, where, now=NOW)
    assert [url.rpartition("/")[2] for url in raised.value.visible] == list(place.visible())
    send(files, where, resume=True, now=NOW)
    assert place.visible() == contents(files)


@pytest.mark.parametrize("times", [1, 9])
def test_f7_published_and_the_answer_lost(place: ScriptedPlace, times: int) -> None:
    place.server.say("put", Act(lost=True, done=True), *[Act(lost=True)] * (times - 1))
    publish(place.destination())
    assert place.visible() == {FIRST: DATA}


def test_f10_a_name_that_appears_in_the_last_moment(place: ScriptedPlace) -> None:
    destination = place.destination()
    publish(destination)
    place.put(SECOND, OTHER)
    with raises(DestinationError, "E-NAME-TAKEN", SECOND):
        publish(destination, SECOND)
    assert place.visible()[SECOND] == OTHER
    if place.server.checksums:
        publish(destination, THIRD)  # its listing is known
        place.put(str(NAMES.part(4)), OTHER)
        with raises(DestinationError, "E-NAME-TAKEN"):
            publish(destination, str(NAMES.part(4)))


@pytest.mark.parametrize("listing", [Act(403, "AccessDenied"), Act(405, "MethodNotAllowed")])
def test_f10_where_nothing_is_listed_each_part_is_looked_for(place: ScriptedPlace, listing: Act) -> None:
    place.server.always["list"] = listing
    destination = place.destination()
    publish(destination)
    place.put(THIRD, OTHER)
    publish(destination, SECOND)
    with raises(DestinationError, "E-NAME-TAKEN", THIRD):
        publish(destination, THIRD)
    assert len(place.server.calls_of("list")) == 1
    assert place.visible() == {FIRST: DATA, SECOND: DATA, THIRD: OTHER}


def test_f10_a_long_listing_is_not_asked_for_again(place: ScriptedPlace) -> None:
    destination = place.destination()
    for number in range(1, 7):  # this server lists two
        publish(destination, str(NAMES.part(number)))
    assert len(place.server.calls_of("list")) <= 2


def test_a_server_that_knows_no_conditions_is_asked_before(place: ScriptedPlace) -> None:
    place.server.say("put", Act(501, "NotImplemented"))
    destination = place.destination()
    publish(destination)
    publish(destination, SECOND)
    assert ["if-none-match" in call.headers for call in place.server.calls_of("put")] == [True, False, False]
    with raises(DestinationError, "E-NAME-TAKEN", SECOND):
        publish(destination, SECOND, OTHER)
    place.server.always["put"] = Act(403, "AccessDenied")
    with raises(DestinationError, "E-S3-DENIED"):
        publish(destination, THIRD)


@pytest.mark.parametrize("answer", [{"x-amz-checksum-crc32": "AAAAAA=="}, {"ETag": '"' + "0" * 32 + '"'}, {"ETag": ""}])
def test_f11_where_the_answer_is_about_other_bytes_the_object_is_looked_at(
    place: ScriptedPlace, answer: dict[str, str]
) -> None:
    place.server.always["put"] = Act(headers=answer)
    publish(place.destination())
    assert place.visible() == {FIRST: DATA}


def test_f11_bytes_that_changed_on_the_way_are_an_error(place: ScriptedPlace) -> None:
    place.server.always["put"] = Act(flipped=True)
    code = "E-S3-DAMAGED" if place.server.checksums else "E-PUBLISHED-OTHER"
    with raises(DestinationError, code, FIRST):
        publish(place.destination())
    assert len(place.visible()) == (code == "E-PUBLISHED-OTHER")


def test_f26_a_file_that_changes_before_anything_is_visible(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = to_s3(place, files)
    with monkeypatch.context() as patch:
        at_event(patch, "publishing", lambda: files[0].write_bytes(b"something else"))
        with pytest.raises(InputError) as raised:
            send(files, where, now=NOW, check=False)
    check_named(str(raised.value), files[0].name)
    assert "--resume" not in str(raised.value)
    assert place.visible() == {}
    assert only_report(files[0].parent.parent / "reports")["error"]["code"] == "E-INPUT-CHANGED"
    send(files, where, now=NOW, check=False)
    assert place.visible() == contents(files)


def test_f26_a_file_that_changes_when_others_are_visible(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at_event(patch, "published", lambda: files[3].write_bytes(b"something else"))
        with raises(InputError, "E-INPUT-CHANGED", files[3].name, "of 4 files"):
            send(files, to_s3(place, files), now=NOW)
    assert files[3].name not in place.visible()


def test_f26_a_file_that_changes_unseen_is_not_sent(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        now, data = files[0].stat(), files[0].read_bytes()
        files[0].write_bytes(bytes(reversed(data)))
        os.utime(files[0], ns=(now.st_atime_ns, now.st_mtime_ns))

    at_event(monkeypatch, "publishing", change)
    with raises(TransientError, "E-PART-CHANGED", files[0].name):
        send(files, to_s3(place, files), now=NOW)
    assert place.visible() == {}


def test_f2_a_signal_stops_between_parts(
    files: list[Path], place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    monkeypatch.setattr("converter.delivery.stops.asked", lambda: 15 if stopped.is_set() else 0)
    where = to_s3(place, files)
    place.server.say("put", Act(), *[Act(hangs=True)] * 5)
    with monkeypatch.context() as patch:
        at_event(patch, "published", stopped.set)
        with pytest.raises(StoppedError, match="1 of 4 files"):
            send(files, where, now=NOW)
    stopped.clear()
    place.server.script.clear()
    send(files, where, resume=True, now=NOW)
    assert place.visible() == contents(files)


def test_each_publishes_at_once_what_was_sent(files: list[Path], place: ScriptedPlace) -> None:
    send(files, to_s3(place, files, publish="each"), now=NOW)
    assert place.visible() == contents(files)
    assert not place.server.calls_of("put")


def test_a_folder_holds_nothing_back(files: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    note = Journal.note

    def noted(self: Journal, event: str, **facts: Any) -> None:
        events.append(event)
        note(self, event, **facts)

    monkeypatch.setattr(Journal, "note", noted)
    send(files, transfer(files, out), now=NOW)
    assert found(out) == contents(files)
    assert events.index("publishing") > max(i for i, event in enumerate(events) if event == "arrived")
