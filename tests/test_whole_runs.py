"""Whole runs against faults, by their numbers, at S3, FTP and SFTP.

After each, nothing is visible under a final name, or whole parts only where publishing had begun. Then the same command
with `--resume` gives every row once.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from converter import Job, convert
from converter.delivery import stops
from converter.delivery.journal import Journal
from converter.delivery.run_files import FolderFiles
from converter.errors import ConverterError, DestinationError, InputError, ResumeError, StoppedError, TransientError
from converter.jobs.document import merge
from converter.remote import s3_client

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises, told
from .servers.ftp import ftp_server
from .servers.proxy import Proxy
from .servers.s3 import KEY, SECRET
from .servers.scripted_s3 import Act, scripted_place
from .servers.sftp import host_key, sftp_server
from .test_resume import CONTENT, PARTS, KilledError, die_at

ROOT = Path(__file__).parent.parent
STEM = f"ftp_dpm_1234_{TIMESTAMP}.sync"
EXPECTED = Counter(f'{number}\t"a"="value {number * 7919}"'.encode() for number in range(3000))
PLACES = ("s3", "ftp", "sftp")


@dataclass
class Way:
    """A server, the line to it, and a run that sends there."""

    run: Run
    url: Callable[[int], str]
    server: Any
    visible: Callable[[], Mapping[str, bytes]]
    hidden: Callable[[], set[str]]
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[Proxy] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)

    def line_to(self, port: int) -> Proxy:
        """Lay a line, which has the faults that all have at the moment."""
        self.lines.append(Proxy(port, **self.faults).start())
        return self.lines[-1]

    def set(self, **faults: Any) -> None:
        """Change what is wrong with all lines, also with those to come."""
        self.faults |= faults
        for line, (name, value) in itertools.product(self.lines, faults.items()):
            setattr(line, name, value)

    def break_down(self) -> None:
        """Let the network go."""
        self.set(refuse=True)
        for line in self.lines:
            line.cut()

    def job(self, **changes: Any) -> dict[str, Any]:
        output = {"to": self.url(self.lines[0].port), "max_part_raw_bytes": 20_000, "retry_seconds": 60}
        return merge(merge({**self.run.job, **self.sections}, {"output": output}), changes)

    def convert(self, *, resume: bool = False, now: float | None = None, **changes: Any) -> None:
        convert(Job(**self.job(**changes)), resume=resume, now=now)

    def events(self) -> list[str]:
        (path,) = (self.run.folder / "reports").glob("*.journal")
        return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]

    def found(self) -> Counter[bytes]:
        """All lines that are visible; every file is whole."""
        return Counter(line for content in self.visible().values() for line in gzip.decompress(content).splitlines())

    def check_nothing(self) -> None:
        """Nothing is there of a run that cleaned up after itself."""
        assert not self.visible()
        assert self.hidden() == set()
        assert not [path for path in (self.run.folder / "reports").glob("*") if ".failed-" not in path.name]

    def check_done(self) -> None:
        """Every row is there once, and nothing else is."""
        assert self.found() == EXPECTED
        assert self.hidden() == set()
        assert self.events()[-1] == "done"
        assert {path.suffix for path in (self.run.folder / "reports").iterdir()} == {
            ".json",
            ".html",
            ".gz",
            ".journal",
        }

    def finish(self, **changes: Any) -> None:
        """Resume, and all is well."""
        self.convert(resume=True, **changes)
        self.check_done()


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Way]:
    with scripted_place() as place:
        server = place.server

        def named(keys: Mapping[str, Any] | Any) -> dict[str, Any]:
            return {key.rpartition("/")[2]: value for key, value in keys}

        way = Way(
            Run(folder),
            lambda port: f"s3://{place.bucket}/inbound",
            server,
            lambda: named(server.objects.items()),
            lambda: set(named(server.uploads.values())),
        )
        line = way.line_to(server.server_address[1])
        endpoint = f"http://127.0.0.1:{line.port}"
        way.sections["s3"] = {"endpoint_url": endpoint, "addressing_style": "path", "timeout": 15}
        yield way


def _on_disk(folder: Path, server: Any) -> Way:
    def files() -> dict[str, Path]:
        root = server.root / "in"
        return {path.name: path for path in root.iterdir()} if root.exists() else {}

    return Way(
        Run(folder),
        lambda port: server.url("/in", port=port),
        server,
        lambda: {name: path.read_bytes() for name, path in files().items() if not name.endswith(".partial")},
        lambda: {name for name in files() if name.endswith(".partial")},
    )


@contextlib.contextmanager
def _ftp(folder: Path) -> Iterator[Way]:
    with ftp_server(folder) as server:
        way = _on_disk(folder, server)
        way.line_to(server.port)
        server.through = lambda port: way.line_to(port).port
        way.sections["ftp"] = {"timeout": 15}
        yield way


@contextlib.contextmanager
def _sftp(folder: Path) -> Iterator[Way]:
    with sftp_server(folder) as server:
        way = _on_disk(folder, server)
        way.line_to(server.port)
        way.sections["sftp"] = {"timeout": 15, "host_key_fingerprint": server.keys[0].get_fingerprint()}
        yield way


WAYS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Way]]] = {"s3": _s3, "ftp": _ftp, "sftp": _sftp}


@pytest.fixture
def way(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 0.02)
    monkeypatch.setattr(s3_client, "_TRIES", 1)
    with WAYS[place](tmp_path) as made:
        made.run.write(CONTENT)
        yield made
        for line in made.lines:
            line.stop()


everywhere = pytest.mark.parametrize("place", PLACES)
at_s3 = pytest.mark.parametrize("place", ["s3"])


@contextlib.contextmanager
def at_event(event: str, act: Callable[[], object], at: int = 1) -> Iterator[None]:
    """Do something right after the `at`th event of a kind is in the journal."""
    note, count = Journal.note, itertools.count(1)

    def noted(self: Journal, what: str, **facts: Any) -> None:
        note(self, what, **facts)
        if what == event and next(count) == at:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "note", noted)
        yield


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Signals end a run, as they do on the command line."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    stops.listen()
    try:
        yield
    finally:
        stops._state = stops._Signals()
        for each, handler in before.items():
            signal.signal(each, handler)
        stops._state = stops._Signals()  # no signal has come to the next test


def started(way: Way, *args: str, before: str = "", **changes: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own, after some lines of Python."""
    path = way.run.folder / "job.toml"
    # JSON's texts, numbers and lists of them are TOML's as well.
    path.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in way.job(**changes).items()
        )
    )
    code = f"import sys\nsys.argv[0] = 'aam-inbound'\nfrom converter.cli import main\n{before}\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "convert", str(path), *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; its exit code and all that it said."""
    try:
        out, error = process.communicate(timeout=50)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out + error


# --- signals ----------------------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("event", ["began", "arrived"])
def test_f2_a_signal_before_publishing_leaves_nothing(way: Way, event: str, number: int) -> None:
    with (
        stopping(),
        at_event(event, lambda: signal.pthread_kill(threading.main_thread().ident or 0, number)),
        raises(StoppedError, "E-STOPPED", "nothing was") as stopped,
    ):
        way.convert()
    assert stopped.value.exit_code == 128 + number
    way.check_nothing()
    way.finish()


@everywhere
def test_f2_a_signal_while_parts_are_published_says_what_is_visible(way: Way) -> None:
    def stop() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(0.3)  # for the run to hear it

    with stopping(), at_event("published", stop, 2), raises(StoppedError, "E-STOPPED", "2 of 4", "--resume") as stopped:
        way.convert(output={"uploads": 1})
    assert stopped.value.exit_code == 143
    assert len(way.visible()) == 2
    assert not way.found() - EXPECTED
    way.finish()


@at_s3
@pytest.mark.parametrize("operation", ["begin", "complete"])
def test_f2_a_signal_while_a_server_hangs_is_no_broken_connection(way: Way, operation: str) -> None:
    def send_signal() -> None:
        while not way.server.calls_of(operation):
            time.sleep(0.01)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    way.server.always[operation] = Act(hangs=True)
    way.sections["s3"]["timeout"] = 1
    sender = threading.Thread(target=send_signal)
    sender.start()
    with stopping(), pytest.raises(StoppedError):
        way.convert()
    sender.join()
    del way.server.always[operation]
    assert not way.visible()
    way.finish()


QUICK = "from converter import delivery\ndelivery._LEAVE_SECONDS, delivery._CLEAN_SECONDS = 0.5, 1"


@pytest.mark.parametrize(
    "place, event", [("s3", "arrived"), ("s3", "published"), ("ftp", "arrived"), ("sftp", "published")]
)
def test_f2_a_signal_ends_a_run_also_when_the_network_is_dead(way: Way, event: str) -> None:
    """Time-outs are a minute, and who sends SIGTERM sends SIGKILL after less."""
    way.set(delay=0.03)
    slow = {section: {"timeout": 60} for section in way.sections}
    process = started(way, "--progress", "off", before=QUICK, **slow)
    reports = way.run.folder / "reports"
    while process.poll() is None and not any(f'"{event}"' in path.read_text() for path in reports.glob("*.journal")):
        time.sleep(0.005)
    way.set(hole_after=0)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT if event == "arrived" else signal.SIGTERM)
    begun = time.monotonic()
    code, said = ended(process)
    assert time.monotonic() - begun < 30
    assert code == (130 if event == "arrived" else 143)
    assert "Error [E-STOPPED]: " in said
    assert "--resume" in said
    assert len([line for line in said.splitlines() if not line.startswith("Warning")]) == 1
    assert "publishing" in way.events() or not way.visible()
    way.set(hole_after=None)
    way.finish()


# --- networks and servers ---------------------------------------------------------------------------------------


@everywhere
def test_f5_a_network_that_is_gone_for_a_while_is_waited_for(way: Way) -> None:
    with at_event("began", lambda: (way.break_down(), threading.Timer(0.4, way.set, [], {"refuse": False}).start()), 2):
        way.convert()
    way.check_done()


BROKEN = {"E-S3-CONNECTION", "E-S3-UNREACHABLE", "E-SERVER-CLOSED", "E-SERVER-CONNECTION", "E-SERVER-REFUSED"}


@everywhere
@pytest.mark.parametrize("event", ["began", "published"])
def test_f5_a_network_that_does_not_come_back_is_an_error(way: Way, event: str) -> None:
    with at_event(event, way.break_down, 2), pytest.raises(TransientError) as raised:
        way.convert(output={"retry_seconds": 0.1, "uploads": 1})
    assert raised.value.code in BROKEN
    check_named(raised.value.hint, "--resume")
    assert len(way.visible()) == (2 if event == "published" else 0)
    way.set(refuse=False)
    way.finish()


@at_s3
def test_f7_an_answer_that_is_lost_publishes_nothing_twice(way: Way) -> None:
    way.server.say("complete", *[Act(done=True, lost=True)] * PARTS)
    way.convert()
    way.check_done()
    assert len(way.server.objects) == PARTS


@at_s3
def test_f9_a_busy_server_is_waited_for_until_the_deadline(way: Way) -> None:
    way.server.say("send", *[Act(503, "SlowDown")] * 5)
    way.convert()
    way.check_done()


@at_s3
def test_f9_a_server_that_stays_busy_is_an_error_in_time(way: Way) -> None:
    way.server.always["send"] = Act(503, "SlowDown")
    begun = time.monotonic()
    with raises(DestinationError, "E-S3-BUSY", "SlowDown", "--resume"):
        way.convert(output={"retry_seconds": 0.5})
    assert 0.5 <= time.monotonic() - begun < 30
    way.check_nothing()
    del way.server.always["send"]
    way.finish()


@at_s3
def test_f11_bytes_that_change_on_the_way_are_sent_again(way: Way) -> None:
    way.server.say("send", Act(flipped=True), Act(flipped=True))
    way.convert()
    way.check_done()


@pytest.mark.parametrize("place", ["ftp", "sftp"])
def test_f11_a_line_that_turns_bits_is_noticed(way: Way) -> None:
    turned = threading.Event()

    def turn_once() -> None:
        way.set(flip_at=1500 if "ftp" in way.sections else 6000)
        threading.Timer(0.3, lambda: (way.set(flip_at=None), turned.set())).start()

    with at_event("run", turn_once):
        way.convert()
    turned.wait()
    way.check_done()


WRONG: dict[str, Callable[[Way], dict[str, Any]]] = {
    "secret": lambda way: way.server.always.update(begin=Act(403, "SignatureDoesNotMatch")) or {},
    "bucket": lambda way: way.server.always.update(begin=Act(404, "NoSuchBucket")) or {},
    "expired": lambda way: way.server.always.update(begin=Act(400, "ExpiredToken")) or {},
    "denied": lambda way: way.server.always.update(begin=Act(403, "AccessDenied")) or {},
    "acl": lambda way: (
        way.server.always.update(begin=Act(400, "AccessControlListNotSupported")) or {"s3": {"acl": "private"}}
    ),
    "password": lambda way: {"output": {"to": way.job()["output"]["to"].replace("w%C3%B6rd", "wr0ng")}},
    "host key": lambda way: {"sftp": {"host_key_fingerprint": host_key(number=1).get_fingerprint()}},
}


@pytest.mark.parametrize(
    "place, what, code, named",
    [
        ("s3", "secret", "E-S3-CREDENTIALS", "AWS_SECRET_ACCESS_KEY"),
        ("s3", "bucket", "E-S3-BUCKET", "output.to"),
        ("s3", "expired", "E-S3-EXPIRED", "--resume"),
        ("s3", "denied", "E-S3-DENIED", "s3:PutObject"),
        ("s3", "acl", "E-S3-ACL", "s3.acl"),  # fault 13
        ("ftp", "password", "E-SERVER-LOGIN", "output.to"),
        ("sftp", "password", "E-SERVER-LOGIN", "output.to"),
        ("sftp", "host key", "E-SFTP-HOST-KEY", "sftp.host_key_fingerprint = "),  # fault 20
    ],
)
def test_f12_what_cannot_work_is_an_error_before_anything_is_read(
    way: Way, what: str, code: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["converter.commands.conversion"], "convert_sources", lambda *_: pytest.fail("the input was read")
    )
    changes = WRONG[what](way)
    with raises(DestinationError, code, named) as raised:
        way.convert(**changes)
    assert raised.value.exit_code == 1
    assert not any(secret in told(raised.value) for secret in (SECRET, KEY, "wr0ng", "p@ss"))
    way.check_nothing()


def die(way: Way, event: str, at: int = 1, **changes: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, event, at)
        with pytest.raises(KilledError):
            way.convert(**changes)
    time.sleep(0.05)  # for what a thread was about to do


@everywhere
@pytest.mark.parametrize("resume", [True, False])
def test_f14_what_a_dead_run_has_left_is_removed_and_nothing_else(way: Way, resume: bool) -> None:
    anew: dict[str, Any] = {"output": {"timestamp": None}}
    die(way, "arrived", 2, now=TIMESTAMP, **anew)
    assert way.hidden()
    theirs = f"ftp_dpm_99_{TIMESTAMP}.sync.1.gz"
    if "s3" in way.sections:
        way.server.uploads["theirs"] = (f"inbound/date=2013-04-21/{theirs}", {})
    else:
        (way.server.root / "in" / f"{theirs}.partial").write_bytes(b"theirs")
        theirs += ".partial"
    way.convert(resume=resume, now=TIMESTAMP + 5, **anew)
    assert way.found() == EXPECTED
    assert way.hidden() == {theirs}
    assert {str(TIMESTAMP + 5 * (not resume)) in name for name in way.visible()} == {True}


@at_s3
def test_f14_what_cannot_be_removed_of_a_dead_run_does_not_hold_up_the_next(way: Way) -> None:
    anew: dict[str, Any] = {"output": {"timestamp": None, "retry_seconds": 0.1, "uploads": 1}}
    die(way, "arrived", 2, now=TIMESTAMP, **anew)
    way.server.always["list-uploads"] = Act(503, "SlowDown")
    way.convert(now=TIMESTAMP + 5, **anew)
    del way.server.always["list-uploads"]
    way.check_done()


@everywhere
@pytest.mark.parametrize("after", [0, 700, 2500, 4200])
def test_f16_connections_that_are_cut_are_made_anew(way: Way, after: int) -> None:
    def cut_first() -> None:
        way.set(reset_after=after)
        threading.Timer(0.3, way.set, [], {"reset_after": None}).start()

    with at_event("run", cut_first):
        way.convert()
    way.check_done()


@everywhere
@pytest.mark.parametrize("event", ["began", "published"])
def test_f17_a_server_that_hangs_is_an_error_in_time(way: Way, event: str) -> None:
    hurried = {section: {"timeout": 2} for section in way.sections}  # long enough to log in on a busy machine
    hung: list[float] = []

    def hang() -> None:
        way.set(hole_after=0)
        hung.append(time.monotonic())

    with at_event(event, hang, 2), pytest.raises(TransientError) as raised:
        way.convert(**merge(hurried, {"output": {"retry_seconds": 0}}))
    assert hung, "the error is of the server that hangs, not of one that is slow to log in"
    assert raised.value.exit_code == 1
    # paramiko may be the first to notice, and says that there is no session.
    assert raised.value.code in ("E-SERVER-TIMEOUT", "E-S3-TIMEOUT", "E-SERVER-CONNECTION")
    check_named(raised.value.hint, ".timeout")
    assert not way.found() - EXPECTED
    way.set(hole_after=None)
    way.finish()


@pytest.mark.parametrize("place", ["sftp"])
def test_f18_a_full_disk_at_the_server_is_an_error_and_resumed_when_there_is_room(way: Way) -> None:
    way.server.largest = 100
    with raises(DestinationError, "E-SERVER-ANSWER"):
        way.convert(output={"retry_seconds": 0})
    assert not way.visible()
    way.server.largest = None
    way.finish()


@everywhere
def test_f21_a_slow_line_takes_longer_and_no_more(way: Way) -> None:
    way.set(delay=0.02)
    begun = time.monotonic()
    way.convert()
    assert time.monotonic() - begun < 40
    way.check_done()


@at_s3
def test_f21_the_bandwidth_is_kept(way: Way) -> None:
    begun = time.monotonic()
    way.convert(output={"bandwidth": 10_000})
    sizes = [len(content) for _, content in sorted(way.visible().items())]
    assert time.monotonic() - begun >= (sum(sizes) - max(sizes)) / 10_000


# --- this machine -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@at_s3
def test_f22_no_room_for_parts_on_their_way_is_an_error(way: Way, small_disk: Path) -> None:
    fill(small_disk)
    with raises(DestinationError, "E-SPOOL-WRITE", "No space left on device", "run.spill_dir"):
        way.convert(run={"spill_dir": str(small_disk)})
    way.check_nothing()
    (small_disk / "filler").unlink()
    way.finish(run={"spill_dir": str(small_disk)})


@at_s3
@pytest.mark.parametrize("event", ["began", "made", "arrived", "publishing", "published"])
def test_f22_a_journal_without_room_stays_readable(way: Way, small_disk: Path, event: str) -> None:
    way.run.job["report"]["dir"] = str(small_disk)
    with at_event(event, lambda: fill(small_disk)), contextlib.suppress(ConverterError):
        way.convert()
        way.convert(output={"timestamp": TIMESTAMP + 1})  # where what was left of a block was enough for the first
    assert event in ("publishing", "published") or not way.visible()
    for path in small_disk.glob("*.journal"):
        Journal(FolderFiles(path.parent), path.name).read()
    (small_disk / "filler").unlink(missing_ok=True)
    way.convert(resume=True)
    assert way.found() == EXPECTED


@at_s3
def test_f22_what_has_arrived_is_kept_where_it_cannot_be_noted_that_it_is_published(way: Way) -> None:
    note = Journal.note

    def noted(self: Journal, event: str, **facts: Any) -> None:
        if event == "publishing":
            raise DestinationError("E-JOURNAL-WRITE", "Cannot write the journal.")
        note(self, event, **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "note", noted)
        with raises(DestinationError, "E-JOURNAL-WRITE", "0 of 4"):
            way.convert()
    way.finish()
    assert len(way.server.calls_of("send")) == PARTS


@at_s3
def test_f24_a_run_that_is_killed_for_its_memory_is_resumed(way: Way) -> None:
    def resident(process: subprocess.Popen[str]) -> int:
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()
        return int(pages[1]) * resource.getpagesize() if pages else 0

    rows = 500_000
    noise = os.urandom(20 * rows).hex()
    way.run.write("id,a\n" + "".join(f"{number},{noise[40 * number : 40 * number + 40]}\n" for number in range(rows)))
    process = started(way, "--progress", "off", output={"max_part_raw_bytes": 2_000_000})
    # As the kernel does: once more is taken than there is room for, here 10 MB from when the run begins.
    room = sys.maxsize
    while process.poll() is None and (size := resident(process)) <= room:
        if room == sys.maxsize and list((way.run.folder / "reports").glob("*.journal")):
            room = size + 10_000_000
        time.sleep(0.001)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    assert not way.visible()
    way.convert(resume=True, output={"max_part_raw_bytes": 2_000_000})
    assert len(way.found()) == way.found().total() == rows
    assert way.hidden() == set()


@at_s3
def test_f25_two_runs_at_once_send_everything_once(way: Way) -> None:
    way.set(delay=0.01)
    runs = [started(way, "--progress", "off") for _ in range(2)]
    results = sorted(ended(process) for process in runs)
    assert [code for code, _ in results] == [0, 1], results
    assert any(f"[{code}]" in results[1][1] for code in ("E-LOCKED", "E-NAME-TAKEN", "E-NAME-IN-USE")), results
    way.check_done()


@everywhere
def test_f26_an_input_that_changes_while_it_is_read_is_an_error(way: Way) -> None:
    path = way.run.folder / "in.csv"
    with (
        at_event("arrived", lambda: path.write_text(CONTENT + "3000,more\n")),
        raises(InputError, "E-INPUT-CHANGED", "in.csv"),
    ):
        way.convert()
    way.check_nothing()


@everywhere
def test_f26_an_input_that_changed_is_not_resumed(way: Way) -> None:
    die(way, "arrived", 2)
    way.run.write(CONTENT + "3000,more\n")
    with raises(ResumeError, "E-RESUME-INPUT"):
        way.convert(resume=True)
    assert not way.visible()


@at_s3
def test_f36_a_run_over_midnight_has_one_date(way: Way) -> None:
    before_midnight = 1_790_035_199  # 2026-09-21, 23:59:59 UTC
    anew: dict[str, Any] = {"output": {"timestamp": None}}
    die(way, "published", 2, now=before_midnight, **anew)
    way.convert(resume=True, now=before_midnight + 5, **anew)
    assert {key.rpartition("/")[0] for key in way.server.objects} == {"inbound/date=2026-09-21"}
    assert {f"_{before_midnight}." in key for key in way.server.objects} == {True}
    way.check_done()


@at_s3
def test_f37_many_small_parts(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    way.run.write("id,a\n" + "".join(f"{number},{number}\n" for number in range(3000)))
    tiny = {"output": {"max_part_raw_bytes": "500B", "uploads": 8}}
    die(way, "arrived", 30, **tiny)
    way.convert(resume=True, **tiny)
    assert len(way.visible()) > 80
    assert way.found() == Counter(f'{number}\t"a"="{number}"'.encode() for number in range(3000))
    assert way.hidden() == set()


def test_f37_thousands_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which is nearly all of the time
    run = Run(tmp_path)
    run.write("id,a\n" + "".join(f"{number},{'x' * 60}\n" for number in range(3000)))
    convert(run.make_job(output={"max_part_raw_bytes": "100B"}))
    assert len(run.files) == 3000
    assert len(set(run.lines)) == 3000


@everywhere
def test_f37_names_that_are_too_long_are_an_error_before_anything_is_read(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["converter.commands.conversion"], "convert_sources", lambda *_: pytest.fail("the input was read")
    )
    way.sections.setdefault("ftp", {})["partial_suffix"] = "." + "p" * 250
    way.sections.setdefault("sftp", {})["partial_suffix"] = "." + "p" * 250
    if "s3" in way.sections:
        way.server.always["begin"] = Act(400, "KeyTooLongError")
    with pytest.raises(DestinationError):
        way.convert()
    assert not way.visible()


# --- secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["ftp", "sftp"])
@pytest.mark.parametrize("right, debug", [(True, ["--debug"]), (False, []), (False, ["--debug"])])
def test_f35_a_password_is_seen_nowhere(
    way: Way, monkeypatch: pytest.MonkeyPatch, right: bool, debug: list[str]
) -> None:
    password = "p%40ss%2Fw%C3%B6rd" if right else "wr0ng%2Fs3cret"
    monkeypatch.setenv("INBOUND_PASSWORD", password)
    to = way.job()["output"]["to"].replace("p%40ss%2Fw%C3%B6rd", "${INBOUND_PASSWORD}")
    way.set(delay=0.005)
    process = started(way, *debug, output={"to": to})
    shown = ""
    while process.poll() is None:
        with contextlib.suppress(OSError):
            shown += "".join(
                path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_below(path, process)
            )
            shown += "".join(path.read_text() for path in (way.run.folder / "reports").glob("*.journal*"))
        time.sleep(0.02)
    code, said = ended(process)
    assert code == (0 if right else 1), said
    assert "job.toml" in shown
    shown += said + "".join(
        path.read_bytes().decode("latin-1") for path in (way.run.folder / "reports").glob("*") if path.is_file()
    )
    for secret in (password, "p@ss", "wörd", "wr0ng/s3cret"):
        assert secret not in shown


def _is_below(path: Path, process: subprocess.Popen[str]) -> bool:
    """Say whether this is the process or a child of it."""
    pid = int(path.parent.name)
    return pid == process.pid or f"PPid:\t{process.pid}\n" in (path.parent / "status").read_text()
