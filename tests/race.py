"""Two feeds of one data source, begun in the same second: nothing is lost or mixed, and every outcome is told.

    python -m tests.race folder|ftp|vsftpd|sftp|openssh|s3|localstack|rclone [--rounds 50] [--seed N]

Each round starts two processes with two jobs at once, both with the same clock. Rounds go through all ways to share:

- one folder for reports, or one each;
- one folder for temporary files, so that locks of this machine tell them apart, or one each, so that only the place can;
- a free timestamp, so that both must come through, or one that is fixed, so that at least one does not.

After a round, who ended with 0 has every row at the place, under one stem that is its own; who did not says why, by a
code, and has nothing there.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.spec.names import FileName

from .kill import SERVERS as KILL_SERVERS
from .kill import Server, on_disk, whole
from .kill_jobs import PLAIN, lines_of, toml
from .servers.process import stop_all

ROWS = 3_000
PART_BYTES = "20KB"  # so that a run has several parts
NOW = 1_766_545_717
RUN_SECONDS = 120
LOST = {"E-NAME-IN-USE", "E-NAME-TAKEN", "E-PUBLISHED-OTHER"}


@contextlib.contextmanager
def _vsftpd(folder: Path) -> Iterator[Server]:
    from .servers.vsftpd import LOGIN, vsftpd_server

    server = vsftpd_server()
    name = f"race-{os.getpid()}"
    yield on_disk(
        server.folder / "root" / name, lambda round_: f"ftp://{LOGIN}@localhost:{server.port}/{name}/{round_}"
    )


@contextlib.contextmanager
def _openssh(folder: Path) -> Iterator[Server]:
    from .servers.openssh import USER, openssh_server

    server = openssh_server()
    root = server.folder / "root" / f"race-{os.getpid()}"
    settings = {"known_hosts": str(server.folder / "known_hosts"), "key_file": str(server.folder / "user")}
    yield on_disk(root, lambda round_: f"sftp://{USER}@localhost:{server.port}{root}/{round_}", sftp=settings)


@contextlib.contextmanager
def _bucket(place: AbstractContextManager[Any]) -> Iterator[Server]:
    from .kill import on_bucket

    with place as made:
        yield on_bucket(made)


def _localstack(folder: Path) -> AbstractContextManager[Server]:
    from .servers.localstack import localstack_place

    return _bucket(localstack_place())


def _rclone(folder: Path) -> AbstractContextManager[Server]:
    from .servers.s3 import rclone_place

    return _bucket(rclone_place())


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    **KILL_SERVERS,
    "vsftpd": _vsftpd,
    "openssh": _openssh,
    "localstack": _localstack,
    "rclone": _rclone,
}


@dataclass(frozen=True)
class Way:
    """How two runs share what they could share."""

    one_report_folder: bool
    one_temporary_folder: bool
    is_fixed: bool

    def __str__(self) -> str:
        return ", ".join(
            [
                "one report folder" if self.one_report_folder else "two report folders",
                "one machine" if self.one_temporary_folder else "two machines",
                "fixed timestamp" if self.is_fixed else "free timestamp",
            ]
        )


WAYS = [Way(*each) for each in itertools.product((True, False), repeat=3)]


@dataclass(frozen=True)
class Feed:
    """One of two feeds: its job, and the lines that its rows become."""

    job: Path
    reports: Path
    temporary: Path
    lines: Counter[bytes]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code, and what it said."""

    code: int
    said: dict[str, Any]


class Races:
    """Rounds at one place, and how they ended."""

    def __init__(self, server: Server, folder: Path, seed: int) -> None:
        self._server, self._folder = server, folder
        self._inputs = []
        for number, name in enumerate("ab"):
            given = PLAIN.rows(seed + number, ROWS + number * 500)
            path = folder / f"{name}.csv"
            path.write_text("id,a,t\n" + "".join(f"{id_},{value},{trait}\n" for id_, value, trait in given) + ",,\n")
            self._inputs.append((path, lines_of(given)))
        self.ends: Counter[str] = Counter()

    def play(self, round_: str, way: Way) -> None:
        """Run both feeds, and see what became of them."""
        feeds = [self._feed(round_, name, way) for name in "ab"]
        outcomes = self._raced(feeds)
        try:
            self._check(round_, way, feeds, outcomes)
        except AssertionError as error:
            raise AssertionError(f"{round_} ({way}): {error}; the runs said {outcomes}") from error
        self.ends[" and ".join(sorted("done" if each.code == 0 else each.said["code"] for each in outcomes))] += 1

    def _feed(self, round_: str, name: str, way: Way) -> Feed:
        path, lines = self._inputs["ab".index(name)]
        folder = self._folder / f"{round_}-jobs"
        reports = folder / ("reports" if way.one_report_folder else f"reports-{name}")
        temporary = folder / ("tmp" if way.one_temporary_folder else f"tmp-{name}")
        temporary.mkdir(parents=True, exist_ok=True)
        sections: dict[str, Mapping[str, Any]] = {
            "input": {"path": str(path)},
            "id": {"column": "id"},
            "record": {"signals": ["a"], "traits": ["t"]},
            "output": {
                "to": self._server.url(round_),
                "dpid": 1234,
                "max_part_raw_bytes": PART_BYTES,
                "retry_seconds": 30,
                **({"timestamp": NOW} if way.is_fixed else {}),
            },
            "report": {"dir": str(reports), "max_rejects": "1%"},
            **self._server.settings,
        }
        job = folder / f"{name}.toml"
        job.write_text(toml(sections))
        return Feed(job, reports, temporary, lines)

    def _raced(self, feeds: list[Feed]) -> list[Outcome]:
        """Start a process for each feed, let them go at once, and wait for both."""
        start = feeds[0].job.with_name("start")
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.racer", str(feed.job), str(NOW), str(start)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(feed.temporary)},
            )
            for feed in feeds
        ]
        try:
            until = time.monotonic() + RUN_SECONDS
            while not all(Path(f"{start}.{process.pid}").exists() for process in processes):
                assert time.monotonic() < until, "a process does not get ready"
                assert all(process.poll() is None for process in processes), processes[0].stderr
                time.sleep(0.005)
            start.touch()
            ends = [process.communicate(timeout=RUN_SECONDS) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        for process, (said, complained) in zip(processes, ends, strict=True):
            assert said, f"exit code {process.returncode} and not a word: {complained.decode()[-2000:]}"
        return [
            Outcome(process.returncode, json.loads(said)) for process, (said, _) in zip(processes, ends, strict=True)
        ]

    def _check(self, round_: str, way: Way, feeds: list[Feed], outcomes: list[Outcome]) -> None:
        visible = self._server.visible(round_)
        told: set[str] = set()
        for feed, outcome in zip(feeds, outcomes, strict=True):
            if outcome.code:
                assert outcome.said["code"] in LOST, "an error that is not a lost race"
                continue
            names = outcome.said["parts"]
            assert {FileName.parse(name).stem for name in names} == {outcome.said["name"]}
            found = Counter(line for name in names for line in whole(name, visible[name]))
            assert found == feed.lines, f"{(feed.lines - found).total()} lines are lost"
            assert not told & set(names), "two runs tell of one part"
            told |= set(names)
        assert set(visible) == told, f"of nobody who was done: {sorted(set(visible) - told)}"
        assert not self._server.hidden(round_), f"left behind: {sorted(self._server.hidden(round_))}"
        done = [outcome for outcome in outcomes if outcome.code == 0]
        assert done or way.is_fixed, "nobody was done, though every second was free"
        assert len(done) == (1 if way.is_fixed else 2), f"{len(done)} were done"
        self._check_reports(feeds, done)

    def _check_reports(self, feeds: list[Feed], done: list[Outcome]) -> None:
        """Fail unless each run that was done has a report and rejects of its own, which can be read."""
        folders = {feed.reports for feed in feeds}
        reports = [json.loads(path.read_bytes()) for folder in folders for path in folder.glob("*.report.json")]
        reports = [report for report in reports if report["outcome"] == "done"]
        assert sorted(report["name"] for report in reports) == sorted(each.said["name"] for each in done)
        rejects = [path for folder in folders for path in folder.glob("*.rejects.ndjson.gz")]
        assert len(rejects) == len(done)
        for path in rejects:
            assert len(gzip.decompress(path.read_bytes()).splitlines()) == 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.race", description=__doc__)
    parser.add_argument("place", choices=SERVERS)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    print(f"{asked.place}: {asked.rounds} rounds, --seed {asked.seed}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, SERVERS[asked.place](Path(folder)) as server:
        races = Races(server, Path(folder), asked.seed)
        for number in range(asked.rounds):
            races.play(f"round-{number}", WAYS[number % len(WAYS)])
            if number % 10 == 9:
                print(f"{asked.place}: {number + 1} rounds are well", flush=True)
    ends = ", ".join(f"{count} times {end}" for end, count in races.ends.most_common())
    print(f"{asked.place}: {asked.rounds} rounds in {time.monotonic() - begun:.0f} seconds: {ends}")


if __name__ == "__main__":
    try:
        main()
    finally:
        stop_all()
