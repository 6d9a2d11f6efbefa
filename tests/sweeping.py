"""What sweeps have in common: small commands in folders of their own, and what must be true of them, however they end."""

from __future__ import annotations

import argparse
import atexit
import functools
import gzip
import queue
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from .forked import Ended, Forks
from .kill import PART_BYTES, PARTIAL, SERVERS, Server, check_done, events_of, whole
from .kill_jobs import PLAIN, changes_of, lines_of, second_day, table_of, toml
from .kill_states import RunState, first_state

ROWS = 9_000
REJECTED = 90
SIDE_BY_SIDE = 2
BUG = "E-INTERNAL"
_SHOWN = 12  # failures; more of a kind tell nothing new
_Case = TypeVar("_Case")


# What is run. Each has a folder of its own for all that it reads and writes, but for what goes to a server.


@dataclass
class Command:
    """A command in a folder; `again` is what finishes it."""

    folder: Path
    server: Server
    arguments: list[str] = field(init=False)
    again: list[str] = field(init=False)

    @property
    def place(self) -> str:
        """Its folder at the server; where that is this machine, it is in the command's own."""
        return f"{self.folder.name}/in"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    def prepare(self) -> None:
        """Make what the command reads."""
        self.temporary.mkdir(parents=True)

    def visible(self) -> dict[str, bytes]:
        """What has come of it, by its final name."""
        return dict(self.server.visible(self.place))

    def hidden(self) -> set[str]:
        """What is left of what has not come of it, anywhere."""
        found = [path for path in self.folder.rglob("*") if path.suffix in (PARTIAL, ".new") and path.is_file()]
        names = {str(path.relative_to(self.folder)) for path in found} | set(self.server.hidden(self.place))
        return {name for name in names if not (self.stays and name.endswith(self.stays))}

    before: Collection[str] = frozenset()
    """What an earlier run had made visible."""
    stays = ""
    """What ends the name of a file that may stay, since it could not be removed."""

    def check_left(self) -> None:
        """Fail where something is half, or is left behind with nothing that would finish or remove it."""
        self.check_visible()
        events = events_of(self.reports)
        for path in self.reports.glob("*.report.json"):
            assert orjson.loads(path.read_bytes())["job"], f"{path.name} is half"
        for path in self.reports.glob("*.report.html"):
            assert path.read_bytes().endswith(b"</html>"), f"{path.name} is half"
        for path in self.reports.glob("*rejects*.gz"):
            rejects_in(path)
        if not events or events[-1] == "done":
            hidden = self.hidden()
            assert not hidden, f"left behind: {sorted(hidden)}"

    def check_visible(self) -> None:
        """Fail unless all that is visible is whole, and meant to be there."""
        raise NotImplementedError

    def check_done(self) -> None:
        """Fail unless all is there, and nothing else is."""
        raise NotImplementedError


class Convert(Command):
    """A job with several parts, some rejects and a report."""

    given = PLAIN.rows(1, ROWS)
    expected = lines_of(given)

    read, written = ROWS + REJECTED, ROWS
    """How many rows its report tells of."""

    def table(self) -> list[str]:
        """The rows that are written, or skipped."""
        return [f"{id_},{value},{trait}\n" for id_, value, trait in self.given]

    def prepare(self) -> None:
        super().prepare()
        self.write_table(self.table())
        job = self.folder / "job.toml"
        job.write_text(toml(self.sections()))
        self.arguments = ["convert", str(job), "--progress", "off"]
        self.again = [*self.arguments, "--resume"]

    def write_table(self, text: list[str]) -> None:
        """Write rows, with others between them that are rejected."""
        step = len(text) // REJECTED
        for number in range(REJECTED):
            text.insert(number * (step + 1), f"someone{number}@example.com,x,1\n")
        (self.folder / "crm.csv").write_text("id,a,t\n" + "".join(text))

    def sections(self) -> dict[str, Mapping[str, Any]]:
        return {
            "input": {"path": str(self.folder / "crm.csv")},
            "id": {"column": "id"},
            "record": {"signals": ["a"], "traits": ["t"]},
            "output": {"to": self.server.url(self.place), "dpid": 1234, "max_part_raw_bytes": PART_BYTES},
            "report": {"dir": str(self.reports)},
            **self.server.settings,
        }

    def lines(self) -> Counter[bytes]:
        """All lines that are visible; fail where a part is half."""
        return Counter(line for name, content in self.visible().items() for line in whole(name, content))

    def check_visible(self) -> None:
        extra = self.lines() - self.expected
        assert not extra, f"{extra.total():,} lines are visible twice, or ought not to be"

    def check_done(self) -> None:
        check_done(self.visible(), self.hidden(), self.expected)
        assert events_of(self.reports)[-1] == "done"
        (report,) = (path for path in self.reports.glob("*.report.json") if ".failed-" not in path.name)
        records = orjson.loads(report.read_bytes())["records"]
        assert (records["read"], records["written"]) == (self.read, self.written), f"the report tells of {records}"
        (rejects,) = self.reports.glob("*rejects*.gz")
        assert len(rejects_in(rejects)) == REJECTED, f"{rejects.name} is not whole"


class Gathered(Convert):
    """The same users in twice as many rows, which do not fit into memory."""

    read, written = 2 * ROWS + REJECTED, 2 * ROWS

    def table(self) -> list[str]:
        return [
            *(f"{id_},{value},\n" for id_, value, _ in self.given),
            *(f"{id_},,{trait}\n" for id_, _, trait in self.given),
        ]

    def sections(self) -> dict[str, Mapping[str, Any]]:
        sections = super().sections()
        record = {**sections["record"], "rows": "signal"}
        return {**sections, "record": record, "run": {"memory": "1MB", "spill_dir": str(self.spill)}}

    @property
    def spill(self) -> Path:
        return self.folder / "spill"

    def prepare(self) -> None:
        super().prepare()
        self.spill.mkdir()

    def check_left(self) -> None:
        super().check_left()
        left = [path.name for path in self.spill.iterdir()]
        assert not left, f"temporary files are left: {left}"


class Changes(Convert):
    """The second day of a feed that sends changes only: most users have another trait, and some are new or gone."""

    given = second_day(Convert.given)
    expected = changes_of(Convert.given)
    read, written = ROWS + REJECTED, ROWS - ROWS // 10

    @property
    def state(self) -> RunState:
        return RunState(self.server, self.folder / "state", _first_state())

    def sections(self) -> dict[str, Mapping[str, Any]]:
        sections, more = super().sections(), self.state.sections
        return {**sections, **{name: {**sections.get(name, {}), **section} for name, section in more.items()}}

    def prepare(self) -> None:
        super().prepare()
        self.state.begin()

    def check_left(self) -> None:
        super().check_left()
        self.state.check_left(events_of(self.reports))

    def check_done(self) -> None:
        super().check_done()
        self.state.check_done()


@functools.cache
def _first_state() -> Path:
    """The state that the first day of a feed leaves."""
    folder = Path(tempfile.mkdtemp(prefix="first-day-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return first_state(folder, table_of(Convert.given))


class Send(Command):
    """Inbound files that exist already."""

    def prepare(self) -> None:
        super().prepare()
        self.files = {
            f"ftp_dpm_1234_1366545717.sync.{split}.gz": gzip.compress(
                "".join(f'user{split}-{line}\t"a"="b"\n' for line in range(20_000)).encode(), 1, mtime=0
            )
            for split in range(1, 4)
        }
        for name, content in self.files.items():
            (self.folder / name).write_bytes(content)
        job = self.folder / "job.toml"
        job.write_text(
            toml(
                {
                    "output": {"to": self.server.url(self.place)},
                    "report": {"dir": str(self.reports)},
                    **self.server.settings,
                }
            )
        )
        self.arguments = ["send", *(str(self.folder / name) for name in self.files), "--job", str(job)]
        self.again = [*self.arguments, "--resume"]

    def check_visible(self) -> None:
        for name, content in self.visible().items():
            assert self.files.get(name) == content, f"{name} is not what was sent"

    def check_done(self) -> None:
        assert self.visible().keys() == self.files.keys(), f"visible are {sorted(self.visible())}"
        assert not self.hidden(), f"left behind: {sorted(self.hidden())}"
        assert events_of(self.reports)[-1] == "done"


class _Local(Command):
    """A command that writes one file in its folder."""

    file: str

    def visible(self) -> dict[str, bytes]:
        path = self.folder / self.file
        return {self.file: path.read_bytes()} if path.exists() else {}

    def check_done(self) -> None:
        assert self.visible(), "nothing is there"
        self.check_visible()
        assert not self.hidden(), f"left behind: {sorted(self.hidden())}"


class SyncUrls(_Local):
    """Addresses in a file."""

    file = "urls.csv"

    def prepare(self) -> None:
        super().prepare()
        table = self.folder / "ids.csv"
        table.write_text("id\n" + "".join(f"user{number:07d}\n" for number in range(ROWS)))
        self.arguments = ["sync-urls", str(table), "--id", "id", "--dpid", "1234", "-o", str(self.folder / self.file)]
        self.again = self.arguments

    def check_visible(self) -> None:
        for content in self.visible().values():
            lines = content.split(b"\n")
            assert (len(lines), lines[-1]) == (ROWS + 2, b""), f"{self.file} has {len(lines)} lines"


class Match(_Local):
    """A page about two tables that do not fit into the memory they may have."""

    file = "page.html"

    def prepare(self) -> None:
        super().prepare()
        for name, first in (("crm.csv", 0), ("site.csv", ROWS)):
            (self.folder / name).write_text(
                "id\n" + "".join(f"user{n:0240d}\n" for n in range(first, first + ROWS // 3))
            )
        self.arguments = ["match", *(str(self.folder / name) for name in ("crm.csv", "site.csv"))]
        self.arguments += ["--html", str(self.folder / self.file), "--set", "run.memory=1000000"]
        self.again = self.arguments

    def check_visible(self) -> None:
        for content in self.visible().values():
            assert content.rstrip().endswith(b"</html>"), f"{self.file} is half"


def rejects_in(path: Path) -> list[dict[str, Any]]:
    """The rejects of a run; fail where their file is half."""
    text = gzip.decompress(path.read_bytes())
    assert not text or text.endswith(b"\n"), f"{path.name} is half"
    return [orjson.loads(line) for line in text.splitlines()]


_ERROR = re.compile(r"Error \[(E-[A-Z0-9-]+)\]: .")


def told(ended: Ended) -> dict[str, Any]:
    """What a command with --json says of itself; fail unless that is one object, and true of the exit code."""
    assert "Traceback" not in ended.errors, "a traceback"
    try:
        (line,) = ended.output.splitlines()
        said: dict[str, Any] = orjson.loads(line)
    except ValueError as error:
        raise AssertionError("not one object is on standard output") from error
    assert said["exit_code"] == ended.code, f"it says exit code {said['exit_code']}"
    assert (said["error"] is None) == (ended.code == 0), f"exit code {ended.code}, with the error {said['error']}"
    assert ended.code == 0 or said["error"]["code"] != BUG, "an error that nobody had thought of"
    return said


def sentence(ended: Ended) -> str:
    """The one error that a command tells on standard error; fail unless there is one where the exit code says so."""
    assert "Traceback" not in ended.errors, "a traceback"
    errors = [line for line in ended.errors.splitlines() if _ERROR.match(line)]
    assert len(errors) == (ended.code != 0), f"exit code {ended.code}, with {len(errors)} errors"
    assert not any(f"[{BUG}]" in line for line in errors), "an error that nobody had thought of"
    return "".join(errors)


def check_told(
    ended: Ended, visible: Mapping[str, bytes], *, as_json: bool, before: Collection[str] = frozenset()
) -> None:
    """Fail unless a command says in one sentence, and in one object, what it has left visible where it failed.

    What was visible `before` need not be named: nobody knows of it where the journal cannot be read.
    """
    new = visible.keys() - before
    error = sentence(ended)
    if as_json:
        said = told(ended)["error"]
        names = {url.rpartition("/")[2] for url in said.get("visible", ())} if said else visible.keys()
        assert new <= names <= visible.keys(), f"visible are {sorted(visible)}, but it says {sorted(names)}"
    elif error:
        assert all(name in error for name in new), f"visible are {sorted(visible)}, and it does not say so"
    assert not (error and visible) or "othing was published" not in error, "it says that nothing was published"


# How cases are drawn and played.


def share_of(cases: Sequence[_Case], share: float, seed: int) -> list[_Case]:
    """A share of all cases, drawn evenly from their order."""
    drawn = random.Random(seed)
    count = max(round(len(cases) * share), 1)
    width = len(cases) / count
    places = {min(int((place + drawn.random()) * width), len(cases) - 1) for place in range(count)}
    return [cases[place] for place in sorted(places)]


def play_all(
    cases: Sequence[_Case], play: Callable[[Forks, int, _Case], str], library: Path | None = None
) -> tuple[Counter[str], list[str]]:
    """Play cases side by side; return how often each outcome was, and what failed."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with ExitStack() as stack:
        free: queue.SimpleQueue[Forks] = queue.SimpleQueue()
        for _ in range(SIDE_BY_SIDE):
            free.put(stack.enter_context(Forks(library)))

        def one(number: int) -> None:
            forks = free.get()
            try:
                outcomes[play(forks, number, cases[number])] += 1
            except Exception as error:  # a part that is cut off is not a gzip file, say
                failures.append(f"{cases[number]}: {type(error).__name__}: {error}")
            finally:
                free.put(forks)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            list(threads.map(one, range(len(cases))))
    return outcomes, failures


@dataclass(frozen=True)
class Asked:
    """What a sweep is asked for."""

    places: Sequence[str]
    share: float
    seed: int


def asked_of(program: str, description: str | None) -> Asked:
    """Parse the command line of a sweep."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("place", nargs="?", choices=SERVERS, help="where to; all, when left out")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    return Asked([given.place] if given.place else list(SERVERS), given.share, given.seed)


def serving(
    place: str, run: Callable[[Server, Path], Iterator[tuple[str, Counter[str], list[str]]]], seed: int
) -> bool:
    """Start a server, run, and print a line for each kind of command; say whether all was right."""
    sound = True
    with tempfile.TemporaryDirectory() as folder, SERVERS[place](Path(folder)) as server:
        begun = time.monotonic()
        for what, outcomes, failures in run(server, Path(folder).resolve()):
            counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
            wrong = f", {len(failures)} WRONG" if failures else ""
            print(f"{place}, {what}: {counts}{wrong}; {time.monotonic() - begun:.0f} s, --seed {seed}", flush=True)
            for failure in failures[:_SHOWN]:
                print(f"    {failure}", file=sys.stderr, flush=True)
            sound = sound and not failures
            begun = time.monotonic()
    return sound
