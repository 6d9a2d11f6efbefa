"""Commands of which one call to the system fails once: it is told in a sentence, nothing is half, and --resume finishes.

    python -m tests.sweep_faults [folder|s3|ftp|sftp] [--share 0.1] [--seed N]

A first run notes each use that a command makes of its files (`faults.c`). Then open, write, fsync, rename, link, unlink
and mkdir fail in turn, at the first, the middle and the last use of each kind of file: for lack of permission or space,
for an I/O error, and interrupted. After each, what is left must be sound and told; and the same command again, without
a fault, must finish with every row there once.
"""

from __future__ import annotations

import atexit
import errno
import functools
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .doomed import Moment
from .forked import Ended, Fault, Forks
from .kill import Server
from .sweeping import (
    Asked,
    Changes,
    Command,
    Convert,
    Gathered,
    Match,
    Send,
    SyncUrls,
    asked_of,
    check_told,
    play_all,
    serving,
    share_of,
)

CALLS = ("open", "write", "fsync", "rename", "link", "unlink", "mkdir")
ERRORS = (errno.EACCES, errno.ENOSPC, errno.EIO, errno.EINTR)
CLAIM = ".claim.partial"
_SOURCE = Path(__file__).with_name("faults.c")


@dataclass(frozen=True)
class Case:
    """A use of a kind of file that fails, and in which way what comes of it is told."""

    call: str
    pattern: str
    nth: int
    error: int
    as_json: bool

    def __str__(self) -> str:
        return f"{self.call} {self.pattern} ({self.nth}) {errno.errorcode[self.error]}{' --json' * self.as_json}"


@dataclass(frozen=True)
class Kind:
    """A kind of command; with `killed`, it goes on with a run that was killed at that moment.

    Where the calls are mostly those of another kind, not all of them fail in each way, but in one after the other. Of a
    slow kind, `drawn` is the part of a share of all cases that is played; a whole sweep plays all of them.
    """

    name: str
    command: type[Command]
    killed: Moment | None = None
    in_turns: bool = False
    drawn: float = 1


ELSEWHERE = Kind("convert", Convert, in_turns=True)
KINDS = {
    "folder": (
        Kind("convert", Convert),
        Kind("convert, resumed", Convert, Moment(event="publishing", how="before"), in_turns=True),
        Kind("convert, resumed while published", Convert, Moment(event="published"), in_turns=True),
        Kind("convert, gathered", Gathered, in_turns=True),
        Kind("convert, changes", Changes, in_turns=True),
        Kind("convert, changes, resumed", Changes, Moment(event="publishing"), in_turns=True),
        Kind("send", Send, in_turns=True),
        Kind("sync-urls", SyncUrls),
        Kind("match", Match, in_turns=True),
    ),
    "s3": (ELSEWHERE, Kind("convert, changes", Changes, in_turns=True, drawn=0.1)),
    "ftp": (
        ELSEWHERE,
        Kind("convert, resumed", Convert, Moment(event="arrived", times=2), in_turns=True),
        Kind("send", Send, in_turns=True),
    ),
    "sftp": (ELSEWHERE,),
}


@functools.cache
def library() -> Path | None:
    """Compile what makes calls fail; nothing where there is no compiler, or another system."""
    compiler = shutil.which("cc")
    if not compiler or sys.platform != "linux":
        return None
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, _SOURCE, "-ldl"], check=True)
    return made


class Sweep:
    """The faults of one kind of command at a server."""

    def __init__(self, kind: Kind, server: Server, folder: Path) -> None:
        self._kind, self._server, self._folder = kind, server, folder

    def play(self, share: float, seed: int) -> tuple[Counter[str], list[str]]:
        """Play a share of all cases."""
        made = library()
        assert made, "there is no C compiler"
        with Forks(made) as forks:
            command, ended = self._run(forks, "unharmed")
        assert ended.code == 0, f"exit code {ended.code}: {ended.errors}"
        command.check_done()
        cases = cases_of(_log_of(command), in_turns=self._kind.in_turns)
        drawn = share * self._kind.drawn if share < 1 else share
        return play_all(share_of(cases, drawn, seed), self._case, made)

    def _run(self, forks: Forks, name: str, case: Case | None = None) -> tuple[Command, Ended]:
        command = self._kind.command(
            self._folder / f"{self._kind.name.replace(', ', '-').replace(' ', '-')}-{name}", self._server
        )
        command.prepare()
        said = _said(command)
        said.mkdir(parents=True)
        if self._kind.killed:
            killed = forks.run(command.arguments, said, temporary=command.temporary, moment=self._kind.killed)
            assert killed.code < 0, f"not killed: {killed}"
            command.before = set(command.visible())
        arguments = [
            *(command.again if self._kind.killed else command.arguments),
            *(["--json"] if case and case.as_json else []),
        ]
        fault = Fault(f"{command.folder}/", str(said / "log"))
        if case:
            fault = Fault(fault.root, fault.log, case.call, case.pattern, case.nth, case.error)
        return command, forks.run(arguments, said, temporary=command.temporary, fault=fault)

    def _case(self, forks: Forks, number: int, case: Case) -> str:
        command, ended = self._run(forks, str(number), case)
        happened = any(line.startswith("! ") for line in _log_of(command))
        try:
            return self._judged(forks, case, command, ended, happened)
        except Exception as error:
            said = f"{ended.errors.strip()} {ended.output.strip()[-500:]}"
            raise AssertionError(f"{type(error).__name__}: {error}\n        exit code {ended.code}: {said}") from error

    def _judged(self, forks: Forks, case: Case, command: Command, ended: Ended, happened: bool) -> str:
        if case.call == "unlink" and case.pattern.endswith(CLAIM):
            command.stays = CLAIM  # nobody holds it, so that whoever wants the name takes it over
        codes = (0, 2) if case.pattern == "job.toml" else (0, 1)
        assert ended.code in (codes if happened else (0,)), "not the right exit code"
        check_told(ended, command.visible(), as_json=case.as_json, before=command.before)
        command.check_left()
        if ended.code == 0:
            command.check_done()
        was_there = command.visible()
        again = forks.run(command.again, _said(command), temporary=command.temporary)
        if not (again.code == 0 or (command.again == command.arguments and was_there)):
            raise AssertionError(f"again, exit code {again.code}: {again.errors}")
        command.check_done()
        shutil.rmtree(command.folder)
        if not happened:
            return "did not happen"
        return "told, and finished with --resume" if ended.code else "did not matter"


def _said(command: Command) -> Path:
    return command.folder.parent / "said" / command.folder.name


def _log_of(command: Command) -> list[str]:
    root = f"{command.folder}/"
    return [line.replace(root, "") for line in (_said(command) / "log").read_text().splitlines()]


def cases_of(log: Sequence[str], *, in_turns: bool) -> list[Case]:
    """All cases for the uses in a log; `in_turns` draws one error for each use."""
    counts = Counter((call, pattern_of(path)) for call, _, path in (line.partition(" ") for line in log))
    uses = [
        (call, pattern, nth)
        for call in CALLS
        for (used, pattern), count in sorted(counts.items())
        for nth in sorted({1, (count + 1) // 2, count})
        if used == call
    ]
    turn = itertools.cycle(ERRORS)
    cases = [(*use, error) for use in uses for error in ([next(turn)] if in_turns else ERRORS)]
    return [Case(*case, as_json=place % 2 == 1) for place, case in enumerate(cases)]


def pattern_of(path: str) -> str:
    """A path as a pattern for all of its kind, whatever run and part they are of."""
    path = re.sub(r"(?<=^temporary/)\w{8}$", "????????", path)  # what `tempfile` tries a folder with
    return re.sub(r"(?<![0-9a-z])[0-9a-f]{8,}(?![0-9a-z])|#?\d+", "*", path)


def sweep(
    place: str, share: float, seed: int, server: Server, folder: Path
) -> Iterator[tuple[str, Counter[str], list[str]]]:
    """Play a share of all cases at a place, and tell what became of them for each kind of command."""
    for kind in KINDS[place]:
        yield kind.name, *Sweep(kind, server, folder).play(share, seed)


def main(asked: Asked) -> None:
    sound = [
        serving(place, functools.partial(sweep, place, asked.share, asked.seed), asked.seed) for place in asked.places
    ]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main(asked_of("tests.sweep_faults", __doc__))
