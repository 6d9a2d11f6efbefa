"""What every destination promises, held against all of them: to add one, add its place to `PLACES`."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from isal import isal_zlib

from converter.delivery.destinations import Destination
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.folder import FolderDestination
from converter.errors import DestinationError, TransientError
from converter.spec.names import FileName

from .errors import check_named, raises, told
from .memory import MemoryDestination, Store
from .servers.ftp import ftp_place
from .servers.localstack import localstack_place
from .servers.openssh import openssh_place
from .servers.place import OWNER, FolderPlace, Place, findings_of
from .servers.s3 import rclone_place, s3_place
from .servers.scripted_s3 import scripted_place
from .servers.sftp import sftp_place
from .servers.vsftpd import vsftpd_place

NAME = FileName("data", (1234,), 1366545717, target=5678, extension=".gz")
LONGEST = FileName(
    "id-sync", tuple(range(2147483640, 2147483652)), 9999999999, split=2147483647, extension=".gpg"
)  # 160 characters
FIRST, SECOND = str(NAME.part(1)), str(NAME.part(2))
SECRETS = ("wr0ng-secret", "p@ss/wörd", "p%40ss")


@dataclass
class MemoryPlace:
    store: Store = field(default_factory=Store)

    def destination(self) -> Destination:
        return MemoryDestination(self.store)

    def visible(self) -> dict[str, bytes]:
        return dict(self.store.visible)

    def hidden(self) -> set[str]:
        return set(self.store.hidden)

    def put(self, name: str, content: bytes) -> None:
        self.store.visible[name] = content


@contextlib.contextmanager
def memory_place(folder: Path) -> Iterator[Place]:
    yield MemoryPlace()


@contextlib.contextmanager
def folder_place(folder: Path) -> Iterator[Place]:
    (folder / "file").write_bytes(b"")
    yield FolderPlace(
        folder / "in/bound",
        lambda: FolderDestination(str(folder / "in/bound"), OWNER),
        wrong={"folder": lambda: FolderDestination(str(folder / "file/in"), OWNER)},
    )


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "memory": memory_place,
    "folder": folder_place,
    "ftp": ftp_place,
    "ftps": partial(ftp_place, tls=True),
    "sftp": sftp_place,
    "s3": lambda _: s3_place(),
    "s3, scripted": lambda _: scripted_place(),
    "vsftpd": vsftpd_place,
    "vsftpd with TLS": partial(vsftpd_place, tls=True),
    "OpenSSH": openssh_place,
    "rclone": lambda _: rclone_place(),
    "LocalStack": lambda _: localstack_place(),
}
SERVERS = ["ftp", "ftps", "sftp", "vsftpd", "vsftpd with TLS", "OpenSSH"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def server_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FolderPlace]:
    with PLACES[request.param](tmp_path) as made:
        yield cast("FolderPlace", made)


servers = pytest.mark.parametrize("server_place", SERVERS, indirect=True)


def send(destination: Destination, name: str, *blocks: bytes | memoryview) -> Arrived:
    part = destination.create(name)
    try:
        for block in blocks:
            part.write(block)
        return part.finish()
    except DestinationError:
        part.abort()
        raise


def journaled(part: Arrived) -> Arrived:
    """The part as another process finds it in the journal."""
    state = json.loads(json.dumps(dict(part.state)))
    return Arrived(part.name, part.bytes, part.crc32, state)


def errors_of(destination: Destination, name: FileName = NAME) -> list[str]:
    findings = findings_of(destination, name)
    assert not any(secret in text for finding in findings for text in finding for secret in SECRETS)
    assert all(finding.message.endswith(".") for finding in findings)
    assert all(finding.hint for finding in findings if finding.level == "error")
    return [finding.message for finding in findings if finding.level == "error"]


def test_a_part_is_out_of_sight_until_it_is_published_and_whole_then(place: Place) -> None:
    destination = place.destination()
    part = destination.create(FIRST)
    part.write(b"some ")
    part.write(memoryview(b"and more"))
    assert place.visible() == {}
    arrived = part.finish()
    assert place.visible() == {}
    assert (arrived.name, arrived.bytes, arrived.crc32) == (FIRST, 13, isal_zlib.crc32(b"some and more"))
    assert destination.holds(arrived)
    destination.publish(arrived)
    assert place.visible() == {FIRST: b"some and more"}
    assert place.hidden() == set()
    assert destination.holds(arrived)


@pytest.mark.parametrize("size", [1, (32 << 10) - 1, 32 << 10, (32 << 10) + 1, 3_000_017])
def test_all_sizes_arrive(place: Place, size: int) -> None:
    content = os.urandom(size)
    destination = place.destination()
    blocks = [content[start : start + 700_001] for start in range(0, size, 700_001)]
    part = send(destination, FIRST, *blocks)
    destination.publish(part)
    assert part.crc32 == isal_zlib.crc32(content)
    assert place.visible()[FIRST] == content


def test_small_and_empty_blocks_arrive(place: Place) -> None:
    content = os.urandom(100_000)
    blocks = [content[start : start + 331] for start in range(0, len(content), 331)]
    destination = place.destination()
    destination.publish(send(destination, FIRST, b"", *blocks, memoryview(b""), b""))
    assert place.visible() == {FIRST: content}


def test_the_block_given_is_not_kept(place: Place) -> None:
    """Who writes uses the memory again, for the next block."""
    block = bytearray(b"a" * 50_000)
    destination = place.destination()
    part = destination.create(FIRST)
    for letter in b"abc":
        block[:] = bytes([letter]) * 50_000
        part.write(memoryview(block))
    block[:] = b"x" * 50_000
    destination.publish(part.finish())
    assert place.visible() == {FIRST: b"a" * 50_000 + b"b" * 50_000 + b"c" * 50_000}


def test_publishing_twice_is_fine(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.publish(part)
    destination.publish(part)
    place.destination().publish(journaled(part))
    assert place.visible() == {FIRST: b"content"}
    assert place.hidden() == set()


def test_another_process_publishes(place: Place) -> None:
    part = send(place.destination(), FIRST, b"content")
    other = place.destination()
    assert other.holds(journaled(part))
    other.publish(journaled(part))
    assert place.visible() == {FIRST: b"content"}


def test_another_process_discards(place: Place) -> None:
    destination = place.destination()
    incoming = destination.create(FIRST)
    incoming.write(b"begun")
    place.destination().discard(FIRST, json.loads(json.dumps(dict(incoming.state))))
    part = send(destination, SECOND, b"content")
    place.destination().discard(SECOND, journaled(part).state)
    assert place.visible() == {}
    assert place.hidden() == set()
    incoming.abort()


@pytest.mark.parametrize("there", [b"other bytes", b"CONTENT", b""])
def test_f10_other_bytes_are_never_overwritten(place: Place, there: bytes) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    place.put(FIRST, there)
    with raises(DestinationError, "E-NAME-TAKEN"):
        destination.publish(part)
    assert place.visible() == {FIRST: there}


def test_f10_another_file_is_not_taken_for_a_part_that_vanished(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.discard(FIRST, part.state)
    place.put(FIRST, b"other content")
    with pytest.raises(DestinationError):
        destination.publish(part)
    assert place.visible() == {FIRST: b"other content"}


def test_f10_the_same_bytes_are_fine(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    place.put(FIRST, b"content")
    destination.publish(part)
    assert place.visible() == {FIRST: b"content"}
    assert place.hidden() == set()


def test_f10_a_name_that_is_taken_is_found_before_anything_is_sent(place: Place) -> None:
    place.put(str(NAME.part(3)), b"sent yesterday")
    assert any(str(NAME.part(3)) in error for error in errors_of(place.destination()))
    assert place.visible() == {str(NAME.part(3)): b"sent yesterday"}
    assert errors_of(place.destination(), FileName("data", (1234,), 1366545718, target=5678)) == []


def test_a_run_that_is_going_on_is_found(place: Place) -> None:
    send(place.destination(), FIRST, b"content")
    if place.hidden() and not errors_of(place.destination()):
        pytest.skip("parts on their way are nobody else's business there")
    assert any(FIRST in error for error in errors_of(place.destination()))


def test_abort_leaves_nothing(place: Place) -> None:
    destination = place.destination()
    for blocks in ([], [b"content"], [os.urandom(200_000)] * 3):
        part = destination.create(FIRST)
        for block in blocks:
            part.write(block)
        part.abort()
        part.abort()
    assert place.visible() == {}
    assert place.hidden() == set()
    destination.publish(send(destination, FIRST, b"at last"))
    assert place.visible() == {FIRST: b"at last"}


def test_discarding_twice_and_what_never_was_is_fine(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.discard(FIRST, part.state)
    destination.discard(FIRST, part.state)
    destination.discard(SECOND, {})  # nobody knows whether it has begun
    assert place.hidden() == set()
    assert not destination.holds(part)
    with pytest.raises(DestinationError):
        destination.publish(part)
    place.destination().discard(FIRST, part.state)


def test_what_is_published_stays(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.publish(part)
    destination.discard(FIRST, part.state)
    destination.sweep(NAME, [])
    assert place.visible() == {FIRST: b"content"}


def test_sweeping_keeps_what_it_is_told_and_what_is_of_other_runs(place: Place) -> None:
    destination = place.destination()
    other = FileName("data", (1234,), 1366545718, target=5678).part(1)
    kept, _, others = (send(destination, name, b"content") for name in (FIRST, SECOND, str(other)))
    place.put("notes.txt", b"")
    place.destination().sweep(NAME, [journaled(kept)])
    assert len(place.hidden()) == 2
    assert destination.holds(kept)
    assert destination.holds(others)
    destination.publish(kept)
    place.destination().sweep(NAME, [])
    assert set(place.visible()) == {FIRST, "notes.txt"}
    assert len(place.hidden()) == 1
    destination.discard(str(other), others.state)
    destination.sweep(NAME, [])


def test_a_part_of_another_size_is_not_held(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.discard(FIRST, part.state)
    place.put(FIRST, b"more than the content")
    assert not destination.holds(part)
    assert not place.destination().holds(journaled(part))


def test_two_parts_at_once(place: Place) -> None:
    destination = place.destination()
    both = threading.Barrier(2, timeout=60)

    def deliver(name: str) -> bytes:
        content = os.urandom(400_000)
        part = destination.create(name)
        for start in range(0, len(content), 40_000):
            if start == 200_000:
                both.wait()
            part.write(content[start : start + 40_000])
        destination.publish(part.finish())
        return content

    with ThreadPoolExecutor(2) as threads:
        contents = list(threads.map(deliver, [FIRST, SECOND]))
    assert place.visible() == {FIRST: contents[0], SECOND: contents[1]}


def test_names_at_their_longest(place: Place) -> None:
    destination = place.destination()
    assert errors_of(destination, LONGEST) == []
    destination.publish(send(destination, str(LONGEST), b"content"))
    assert place.visible() == {str(LONGEST): b"content"}


def test_a_good_place_has_no_errors_and_nothing_is_left_by_looking(place: Place) -> None:
    destination = place.destination()
    assert errors_of(destination) == []
    assert errors_of(destination) == []
    assert not any(finding.level == "warning" for finding in destination.check(NAME))
    assert place.visible() == {}
    assert place.hidden() == set()
    destination.publish(send(destination, FIRST, b"content"))
    assert place.visible() == {FIRST: b"content"}


def test_looking_makes_no_folder(place: Place) -> None:
    if not isinstance(place, FolderPlace):
        pytest.skip("there are no folders")
    place.destination().check(NAME)
    assert not place.folder.parent.exists()


def test_urls_have_no_password(place: Place) -> None:
    url = place.destination().url(FIRST)
    assert url.endswith(FIRST)
    assert not any(secret in url for secret in SECRETS)


def test_a_destination_that_was_closed_can_be_used(place: Place) -> None:
    destination = place.destination()
    part = send(destination, FIRST, b"content")
    destination.close()
    destination.close()
    destination.publish(part)
    destination.close()
    assert destination.holds(part)
    assert place.visible() == {FIRST: b"content"}


WRONG = {
    "password": ["E-SERVER-LOGIN"],
    "host": ["E-SERVER-HOST"],
    "port": ["E-SERVER-REFUSED"],
    "folder": ["E-SERVER-RIGHTS"],
}


@servers
@pytest.mark.parametrize("wrong", WRONG)
def test_f12_what_is_wrong_with_a_place_is_found_and_advised(server_place: FolderPlace, wrong: str) -> None:
    destination = server_place.wrong[wrong]()
    assert errors_of(destination)
    with pytest.raises(DestinationError) as raised:
        destination.create(FIRST)
    assert raised.value.code in WRONG[wrong]
    assert raised.value.hint
    assert not any(secret in text for secret in SECRETS for text in (told(raised.value), repr(destination)))
    assert server_place.hidden() == set()


def test_f12_a_folder_that_cannot_be_made_is_found(tmp_path: Path) -> None:
    with folder_place(tmp_path) as place:
        assert errors_of(cast("Any", place).wrong["folder"]())


@servers
def test_f3_a_server_that_dies_in_the_middle_is_an_error_and_nothing_is_visible(server_place: FolderPlace) -> None:
    destination = server_place.destination()
    part = destination.create(FIRST)
    part.write(os.urandom(100_000))
    assert server_place.stop
    server_place.stop()
    began = time.monotonic()
    with pytest.raises(TransientError) as raised:  # noqa: PT012
        for _ in range(100):
            part.write(os.urandom(100_000))
        part.finish()
    assert raised.value.code in ("E-SERVER-CONNECTION", "E-SERVER-CLOSED", "E-SERVER-TLS"), raised.value
    check_named(raised.value.message, FIRST)
    part.abort()
    assert time.monotonic() - began < 30
    assert server_place.visible() == {}
    with raises(DestinationError, "E-SERVER-REFUSED"):
        destination.holds(Arrived(FIRST, 1, 1, {"partial": FIRST + ".partial"}))
