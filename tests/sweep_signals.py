"""Runs that get a signal at any moment of their lives: exit code and last words are true, and --resume finishes.

    python -m tests.sweep_signals [folder|s3|ftp|sftp] [--share 0.1] [--seed N]

At each place SIGINT, SIGTERM and SIGHUP are sent in turns at 200 moments: every other one is drawn from the whole life
of a process of its own, from its start to its end; the others are right before, right after or soon after an event is
noted in the journal. What the run said is compared with what is at the destination once it has ended; then the same
command with --resume must finish, with every row there once. In a folder, runs that gather users and that send changes
only get as many; on S3, where their state is, too, so do the latter.
"""

from __future__ import annotations

import functools
import itertools
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .doomed import ROOT, Moment
from .forked import Ended, Forks
from .kill import EVENTS, Server
from .sweeping import Asked, Changes, Convert, Gathered, asked_of, check_told, play_all, serving, share_of, told

MOMENTS = 200


class Kind(NamedTuple):
    """A kind of run. Of a slow one, `drawn` is the part of a share of all cases that is played; a whole sweep plays all."""

    command: type[Convert]
    drawn: float = 1


PLAIN = {"convert": Kind(Convert)}
KINDS = {
    "folder": {**PLAIN, "gathered": Kind(Gathered), "changes": Kind(Changes)},
    "s3": {**PLAIN, "changes": Kind(Changes, 0.2)},
}
"""What is run at places; at others, only `PLAIN`."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SOON = 0.05  # seconds
_AFTER = 1.05  # of a run's seconds, up to which moments are drawn
_RUN_SECONDS = 120
_STARTING_UP = 3  # times what that takes: a busy machine is not a fault


@dataclass(frozen=True)
class Case:
    """A signal at a moment: so long after the start of a process, or at an event."""

    moment: Moment
    as_json: bool

    def __str__(self) -> str:
        moment = self.moment
        at = f"{moment.how} {moment.event} ({moment.times})" if moment.event else "after the start"
        return f"{signal.Signals(moment.signal).name} {at} +{moment.seconds:.4f} s{' --json' * self.as_json}"


class Sweep:
    """The signals that runs to a place get."""

    def __init__(self, name: str, kind: type[Convert], server: Server, folder: Path) -> None:
        self._name, self._kind, self._server, self._folder = name, kind, server, folder

    def play(self, share: float, seed: int) -> tuple[Counter[str], list[str]]:
        """Play a share of all cases."""
        self._alone("warming-up")
        begun = time.monotonic()
        command = self._alone("unharmed")
        seconds = time.monotonic() - begun
        self._bare = max(_bare_seconds() for _ in range(3))
        return play_all(share_of(cases_of(seed, seconds, len(command.visible())), share, seed), self._case)

    def _alone(self, name: str) -> Convert:
        """Run to the end, in a process of its own."""
        command = self._command(name)
        ended = _in_own_process(command.arguments, _said(command), None)
        assert ended.code == 0, f"exit code {ended.code}: {ended.errors}"
        command.check_done()
        return command

    def _command(self, name: str) -> Convert:
        command = self._kind(self._folder / f"signals-{self._name}-{name}", self._server)
        command.prepare()
        _said(command).mkdir(parents=True)
        return command

    def _case(self, forks: Forks, number: int, case: Case) -> str:
        command = self._command(str(number))
        arguments = [*command.arguments, *(["--json"] if case.as_json else [])]
        if case.moment.event:
            ended = forks.run(arguments, _said(command), moment=case.moment)
        else:
            ended = _in_own_process(arguments, _said(command), case.moment)
        try:
            outcome = self._judged(case, command, ended)
            again = forks.run(command.again, _said(command))
            assert again.code == 0, f"again, exit code {again.code}: {again.errors}"
            command.check_done()
        except Exception as error:
            said = f"{ended.errors.strip()} {ended.output.strip()[-500:]}"
            raise AssertionError(f"{type(error).__name__}: {error}\n        exit code {ended.code}: {said}") from error
        shutil.rmtree(command.folder)
        return outcome

    def _judged(self, case: Case, command: Convert, ended: Ended) -> str:
        # Python itself exits with 1 where SIGINT comes before it can run any module.
        in_python = ended.code == 1 and "Could not import runpy" in ended.errors
        if (ended.code == -case.moment.signal or in_python) and not case.moment.event:
            assert case.moment.seconds < _STARTING_UP * self._bare, "killed by the signal, long after the start"
            assert not command.reports.exists(), "killed by the signal, when something had been begun"
            assert not ended.output, "killed by the signal, when something had been said"
            return "killed before main()"
        assert ended.code in (0, 128 + case.moment.signal), "not the right exit code"
        command.check_left()
        visible = command.visible()
        check_told(ended, visible, as_json=case.as_json)
        if case.as_json:
            outcome = told(ended)["outcome"]
            assert outcome == ("stopped" if ended.code else "done"), f"the outcome is {outcome}"
        if ended.code == 0:
            command.check_done()
            return "done"
        assert Counter(command.lines()) != command.expected, "all parts are out"
        return f"stopped, {'some parts out' if visible else 'nothing out'}"


def _said(command: Convert) -> Path:
    return command.folder.parent / "said" / command.folder.name


_STARTING = threading.Lock()


def _in_own_process(arguments: list[str], said: Path, moment: Moment | None) -> Ended:
    """Run the command as users do, and send the signal so long after the start."""
    with (said / "stdout").open("wb") as output, (said / "stderr").open("wb") as errors:
        with _STARTING:
            process = subprocess.Popen(
                [sys.executable, "-m", "converter", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=ROOT,
                start_new_session=True,
            )
        try:
            if moment:
                time.sleep(moment.seconds)
                process.send_signal(moment.signal)  # none where it has ended
            code = process.wait(_RUN_SECONDS)
        finally:
            process.kill()
            process.wait()
    return Ended(code, *((said / name).read_text(errors="replace") for name in ("stdout", "stderr")))


def _bare_seconds() -> float:
    """How long Python takes to start, and end, with nothing but the first module of the command."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import converter.cli"], check=True, cwd=ROOT)
    return time.monotonic() - begun


def cases_of(seed: int, seconds: float, parts: int) -> list[Case]:
    """All cases for runs that take so many seconds and make so many parts."""
    drawn = random.Random(seed)
    signals = itertools.cycle(SIGNALS)
    moments = []
    for number in range(MOMENTS // 2):
        at = (number + drawn.random()) / (MOMENTS // 2) * _AFTER * seconds
        moments.append(Moment(at, signal=next(signals)))
        event = EVENTS[number % len(EVENTS)]
        times = 1 if event in ("run", "publishing", "done") else drawn.randint(1, parts)
        how = drawn.choice(("before", "after"))
        soon = drawn.choice((0, drawn.uniform(0, _SOON)))
        moments.append(Moment(soon, event, times, how, next(signals)))
    return [Case(moment, as_json=place % 4 < 2) for place, moment in enumerate(moments)]


def sweep(
    place: str, share: float, seed: int, server: Server, folder: Path
) -> Iterator[tuple[str, Counter[str], list[str]]]:
    """Play a share of all cases at a place, for each kind of run."""
    for name, kind in KINDS.get(place, PLAIN).items():
        played = share * kind.drawn if share < 1 else 1
        yield name, *Sweep(name, kind.command, server, folder).play(played, seed)


def main(asked: Asked) -> None:
    sound = [
        serving(place, functools.partial(sweep, place, asked.share, asked.seed), asked.seed) for place in asked.places
    ]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main(asked_of("tests.sweep_signals", __doc__))
