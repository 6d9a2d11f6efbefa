"""Runs that are killed at any moment and resumed until they are done: no row is lost, none is there twice.

    python -m tests.kill folder|s3|ftp|sftp|machines [--job plain|pgp|route|gathered|delta] [--rounds 50]
        [--side-by-side 2] [--seed N]

A round converts a small file into a folder of its own. Its process is killed (SIGKILL) at a moment drawn from the time
that a run takes, or from that in which it works, or right before or after it notes an event in its journal; then the
same command goes on, and may be killed again. After each kill, what is visible must be whole, and nothing may be
visible that was not about to be published. Of 50 rounds or more, each phase in which something may go wrong must have
seen a kill.

At `machines`, `report.dir` is on S3 as well, and each process runs on a machine of its own: with another host name, and
a working folder and temporary files that are gone once it has ended.

Runs of `delta` are those of a second day, and send what has changed since the first one. Each round has a state of its
own, in the bucket where there is one, which must be the old or the new one after each kill, and the new one in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import orjson

from converter.spec.names import FileName

from .doomed import HOWS, KILLED, How, Machine, Moment, start
from .kill_jobs import KINDS, PLAIN, Kind, set_of, toml
from .kill_states import RunState, first_state

ROWS = 20_000
PART_BYTES = "105KB"
ENOUGH_ROUNDS = 50
RUN_SECONDS = 120  # a run that takes longer hangs
LONGER = 1.5  # than alone takes a run, at most, beside others
EVENTS = ("run", "began", "made", "arrived", "publishing", "published", "done")
PHASES = EVENTS[1:-1]
PARTIAL = ".partial"


@dataclass(frozen=True)
class Server:
    """Where rounds send to: the URL of a round's folder, sections of the job, and what is to be seen there."""

    url: Callable[[str], str]
    visible: Callable[[str], Mapping[str, bytes]]
    hidden: Callable[[str], set[str]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reports: Callable[[Path, str], str] = lambda folder, round_: str(folder / f"{round_}-reports")
    events: Callable[[str], list[str]] = lambda reports: events_of(Path(reports))
    read_reports: Callable[[str], list[bytes]] = lambda reports: [
        path.read_bytes() for path in Path(reports).glob("*.report.json")
    ]
    keep_input: Callable[[Path], str] = str
    """Where the input is read, by where it was written."""
    has_machines: bool = False
    """Whether each process runs on a machine of its own."""
    bucket: Any = None
    """Where states are, if not in folders."""


def on_disk(root: Path, url: Callable[[str], str], **settings: Mapping[str, Any]) -> Server:
    def files(round_: str) -> dict[str, Path]:
        return {path.name: path for path in (root / round_).iterdir()} if (root / round_).exists() else {}

    return Server(
        url,
        lambda round_: {name: path.read_bytes() for name, path in files(round_).items() if not name.endswith(PARTIAL)},
        lambda round_: {name for name in files(round_) if name.endswith(PARTIAL)},
        settings,
    )


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[Server]:
    yield on_disk(folder, lambda round_: str(folder / round_))


# The servers of other tests, as a child process has to be told of them.


@contextlib.contextmanager
def _ftp(folder: Path) -> Iterator[Server]:
    from .servers.ftp import ftp_server

    with ftp_server(folder) as server:
        yield on_disk(server.root, lambda round_: server.url(f"/{round_}"))


@contextlib.contextmanager
def _sftp(folder: Path) -> Iterator[Server]:
    from .servers.sftp import sftp_server

    with sftp_server(folder) as server:
        yield on_disk(
            server.root, lambda round_: server.url(f"/{round_}"), sftp={"known_hosts": str(server.known_hosts)}
        )


def on_bucket(place: Any, **more: Any) -> Server:
    def keys(round_: str, found: Mapping[str, Any], what: str) -> list[str]:
        return [each["Key"] for each in found.get(what, []) if each["Key"].startswith(f"{round_}/")]

    def visible(round_: str) -> dict[str, bytes]:
        found = keys(round_, place.client.list_objects_v2(Bucket=place.bucket, Prefix=f"{round_}/"), "Contents")
        return {
            key.rpartition("/")[2]: place.client.get_object(Bucket=place.bucket, Key=key)["Body"].read()
            for key in found
        }

    def hidden(round_: str) -> set[str]:
        return set(keys(round_, place.client.list_multipart_uploads(Bucket=place.bucket), "Uploads"))

    settings = {"endpoint_url": place.endpoint, "addressing_style": "path"}
    return Server(
        lambda round_: f"s3://{place.bucket}/{round_}",
        visible,
        hidden,
        {"s3": settings, **more.pop("settings", {})},
        bucket=place,
        **more,
    )


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Server]:
    from .servers.s3 import s3_place

    with s3_place() as place:
        yield on_bucket(place)


@contextlib.contextmanager
def _machines(folder: Path) -> Iterator[Server]:
    from .machines import events_in, keep_input, reports_in
    from .servers.s3 import s3_place

    with s3_place() as place:
        yield on_bucket(
            place,
            settings={"report": {"lease_seconds": 1}},
            reports=lambda _, round_: f"s3://{place.bucket}/reports/{round_}",
            events=lambda reports: events_in(place, reports),
            read_reports=lambda reports: reports_in(place, reports),
            keep_input=lambda path: keep_input(place, path),
            has_machines=True,
        )


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "folder": _folder,
    "s3": _s3,
    "ftp": _ftp,
    "sftp": _sftp,
}
PLACES = {**SERVERS, "machines": _machines}


# What is sent, and what must be true of it.


Text = Callable[[bytes], bytes]


def whole(name: str, content: bytes, text_of: Text = gzip.decompress) -> list[bytes]:
    """Return the lines of a visible part; fail where it is not whole."""
    FileName.parse(name)
    text = text_of(content)
    assert text.endswith(b"\n"), f"'{name}' is visible, and its last line is cut off"
    return text.split(b"\n")[:-1]


def check_killed(visible: Mapping[str, bytes], events: list[str], text_of: Text = gzip.decompress) -> None:
    """Fail unless what a killed run left is all right."""
    # Of a finished run, its journal tells no more than that.
    assert {"publishing", "done"} & set(events) or not visible, (
        f"{sorted(visible)} are visible, but not about to be published"
    )
    for name, content in visible.items():
        whole(name, content, text_of)


def check_done(
    visible: Mapping[str, bytes], hidden: set[str], expected: Counter[bytes], text_of: Text = gzip.decompress
) -> None:
    """Fail unless every line is there once, in parts of one run, and nothing else is."""
    names = [FileName.parse(name) for name in visible]
    assert len({name.stem for name in names}) == 1, f"not the parts of one run: {sorted(visible)}"
    assert sorted(name.split or 0 for name in names) == list(range(1, len(names) + 1)), f"gaps: {sorted(visible)}"
    found = Counter(line for name, content in visible.items() for line in whole(name, content, text_of))
    lost, extra = expected - found, found - expected
    assert found == expected, f"{lost.total():,} lines are lost, {extra.total():,} are too many"
    assert not hidden, f"left behind: {sorted(hidden)}"


def events_of(reports: Path) -> list[str]:
    """The events in the journal of a round, in order; a line that is torn is none."""
    found = []
    for path in reports.glob("*.journal"):
        with contextlib.suppress(FileNotFoundError):
            found += [orjson.loads(line)["event"] for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def draw(drawn: random.Random, seconds: float, working: float, parts: int) -> Moment:
    """Draw a moment of a run that takes so many seconds, and works, after it has begun, for so many of them."""
    return drawn.choice(
        (
            Moment(drawn.uniform(0, LONGER * seconds)),
            Moment(drawn.uniform(0, LONGER * working), "run"),
            aim(drawn, drawn.choice(EVENTS), drawn.choice(HOWS), parts),
        )
    )


def aim(drawn: random.Random, event: str, how: How, parts: int) -> Moment:
    """Draw the moment of an event, of which there is one for each part, or one alone."""
    once = event in ("run", "publishing", "done")
    return Moment(0, event, 1 if once else drawn.randint(1, parts), how)


# Whoever starts a process asks after all others as well, and of two threads that ask after one that has ended, one takes
# it for lost, with exit code 255.
_PROCESSES = threading.Lock()


class Rounds:
    """Rounds of one kind, and how often a run was killed in which phase: the last event in its journal."""

    def __init__(self, server: Server, folder: Path, seed: int, count: int = ROWS, kind: Kind = PLAIN) -> None:
        self._server, self._folder, self._kind = server, folder, kind
        self._drawn = random.Random(seed)
        self._aims: list[tuple[str, How]] = []
        given = kind.rows(seed, count)
        self._expected = kind.lines(given)
        written = folder / "crm.csv"
        written.write_text("id,a,t\n" + kind.table(given))
        self._input = server.keep_input(written)
        self._first = first_state(folder / "first-day", kind.first_table(given)) if kind.first_table else None
        self._lock = threading.Lock()
        self.kills: Counter[str] = Counter()
        self.play("warming-up")  # what is loaded once is loaded now
        begun = time.monotonic()
        self.play("unharmed")
        self._seconds = time.monotonic() - begun
        (report,) = server.read_reports(server.reports(folder, "unharmed"))
        self._working = orjson.loads(report)["seconds"]
        self._parts = len(server.visible("unharmed"))

    def draw(self, number: int) -> list[Moment]:
        """Draw when the runs of a round are killed; the last run is not. Every other round is aimed at a phase."""
        moments = [self._any() if number % 2 else self._aimed()]
        while self._drawn.random() < 1 / 3:
            moments.append(self._any())
        return moments

    def _any(self) -> Moment:
        return draw(self._drawn, self._seconds, self._working, self._parts)

    def _aimed(self) -> Moment:
        """Aim at all phases, in all ways, before at one of them again."""
        if not self._aims:
            self._aims = [(event, how) for event in PHASES for how in HOWS]
            self._drawn.shuffle(self._aims)
        return aim(self._drawn, *self._aims.pop(), self._parts)

    def play(self, round_: str, *moments: Moment) -> None:
        """Run, kill and run again until all is done; fail where something is wrong then, or on the way."""
        reports = self._server.reports(self._folder, round_)
        ran: list[str] = []
        state = self._state(round_)
        if state:
            state.begin()
        for number, moment in enumerate((*moments, None), 1):
            machine = Machine(self._folder / round_, f"machine-{number}") if self._server.has_machines else None
            ran += [machine.host] if machine else []
            if self._ended(round_, reports, moment, machine):
                break
            events = self._server.events(reports)
            with self._lock:
                self.kills[events[-1] if events else "nothing yet"] += 1
            check_killed(self._server.visible(round_), events, self._kind.text)
            if state:
                state.check_left(events)
        visible, hidden = self._server.visible(round_), self._server.hidden(round_)
        assert {set_of(name) for name in visible} == self._expected.keys(), f"not all sets: {sorted(visible)}"
        for set_, expected in self._expected.items():
            parts = {name: content for name, content in visible.items() if set_of(name) == set_}
            check_done(parts, hidden, expected, self._kind.text)
        assert self._server.events(reports)[-1] == "done", "the journal does not end with 'done'"
        if state:
            state.check_done()
        if machine:
            hosts = [orjson.loads(report)["host"] for report in self._server.read_reports(reports)]
            # Killed after its report was there, a run is finished by a machine that finds it.
            assert len(hosts) == 1, f"{len(hosts)} reports"
            assert set(hosts) <= set(ran), f"the report is of '{hosts[0]}', not of {ran}"

    def _state(self, round_: str) -> RunState | None:
        """The state of a round, if it has one."""
        return RunState(self._server, self._folder / f"{round_}-state", self._first) if self._first else None

    def _ended(self, round_: str, reports: str, moment: Moment | None, machine: Machine | None) -> bool:
        """Run, and kill at a moment. Return whether the run came to its end before that."""
        said = self._folder / f"{round_}.said"
        with machine.running() if machine else contextlib.nullcontext(self._folder) as folder:
            job = folder / f"{round_}.toml"
            job.write_text(self._job(round_, reports))
            return self._has_ended(job, said, moment, machine)

    def _has_ended(self, job: Path, said: Path, moment: Moment | None, machine: Machine | None) -> bool:
        with _PROCESSES:
            process = start(["convert", str(job), "--resume", "--progress", "off"], said, moment, machine)
        try:
            wait_for([process.sentinel], RUN_SECONDS if moment is None or moment.event else moment.seconds)
            with _PROCESSES:
                code = process.exitcode
        finally:
            process.kill()
            with _PROCESSES:
                process.join()
            with contextlib.suppress(ProcessLookupError):  # its children, if it has any left
                os.killpg(process.pid, signal.SIGKILL)
        allowed = KILLED if moment and moment.event else (None,) if moment else ()
        assert code in (0, *allowed), f"exit code {code}: {said.read_text(errors='replace')}"
        return code == 0

    def _job(self, round_: str, reports: str) -> str:
        sections: dict[str, dict[str, Any]] = {
            "input": {"path": self._input},
            "id": {"column": "id"},
            "record": {"signals": ["a"], "traits": ["t"]},
            "output": {"to": self._server.url(round_), "max_part_raw_bytes": PART_BYTES, **self._kind.output},
            "report": {"dir": reports},
        }
        state = self._state(round_)
        for more in (self._server.settings, self._kind.sections, state.sections if state else {}):
            for name, section in more.items():
                sections[name] = {**sections.get(name, {}), **section}
        return toml(sections)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("place", choices=PLACES)
    parser.add_argument("--job", choices=KINDS, default="plain")
    parser.add_argument("--rounds", type=int, default=ENOUGH_ROUNDS)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    title = f"{asked.place}, {asked.job}"
    print(f"{title}: {asked.rounds} rounds, --seed {asked.seed}", flush=True)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        PLACES[asked.place](Path(folder)) as server,
        KINDS[asked.job](Path(folder)) as kind,
    ):
        rounds = Rounds(server, Path(folder), asked.seed, kind=kind)
        drawn = [rounds.draw(number) for number in range(asked.rounds)]

        def play(number: int) -> None:
            try:
                rounds.play(f"round-{number}", *drawn[number])
            except Exception as error:  # a part that is cut off is not a gzip file, say
                why = (
                    f"{title}, round {number} of --seed {asked.seed}, {drawn[number]}: {type(error).__name__}: {error}"
                )
                raise SystemExit(why) from None

        with ThreadPoolExecutor(asked.side_by_side) as side_by_side:
            playing = [side_by_side.submit(play, number) for number in range(asked.rounds)]
            wait(playing, return_when=FIRST_EXCEPTION)
            side_by_side.shutdown(cancel_futures=True)
    for each in playing:
        if not each.cancelled():
            each.result()
    phases = ", ".join(f"{rounds.kills[event]} after {event}" for event in ("nothing yet", *EVENTS))
    print(
        f"{title}: {asked.rounds} rounds were finished after {rounds.kills.total()} kills, "
        f"in {time.monotonic() - begun:.0f} seconds: {phases}"
    )
    missed = [event for event in PHASES if not rounds.kills[event]]
    if missed and asked.rounds >= ENOUGH_ROUNDS:
        sys.exit(f"{title}: no run was killed after {', '.join(missed)}")


if __name__ == "__main__":
    main()
