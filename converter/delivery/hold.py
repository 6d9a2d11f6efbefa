"""The names of a run, held from when they are chosen until its parts are published: no other run gets them meanwhile.

1. On this machine, by a lock for each destination and name, whatever folder reports are in.
2. At the destination, by an invisible claim: for other machines, and for those with another temporary folder.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any

from converter.delivery.destinations import Destination
from converter.delivery.destinations.base import warnings_of
from converter.delivery.locks import NameLock
from converter.delivery.threads import run_in_thread
from converter.errors import DestinationError, Finding, StoppedError, codes_of, has_errors
from converter.remote.pauses import RunEndedError
from converter.remote.retry import Patience, Retries
from converter.spec.names import FileName

_MOST_TRIES = 5  # for given names: two runs that see each other's claims both withdraw
PAUSE = 0.2  # seconds, at most, before the next try
_RELEASE_SECONDS = 4.0
_TICK_SECONDS = 0.5


class Hold:
    """Names that this process holds. As a context manager, it releases them at the end, unless they are to be kept."""

    def __init__(self, retry_seconds: float, retries: Retries | None = None) -> None:
        self._ended = threading.Event()
        self._retries = retries or Retries()
        self._patience = Patience(retry_seconds, self._sleep, self._retries)
        self.on_wait: Callable[[], None] = lambda: None
        """Called now and then while names are claimed, in the thread that waits for it."""
        self._locks: list[NameLock] = []
        self._claimed: tuple[Destination, Sequence[FileName]] | None = None

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(
        self, destination: Destination, names: Sequence[FileName], *, own: bool = False, visible: bool = False
    ) -> list[Finding]:
        """Hold names, and return the findings; with an error among them, no name is held.

        `own` and `visible` are those of `Destination.claim`. Raises `TransientError` where retries do not help.
        """
        findings: list[Finding] = []
        destination.on_retry = self._retries.count
        self._claimed = destination, names
        try:
            for stem in sorted({name.stem for name in names}):
                lock = NameLock.acquire(destination.identity, stem)
                if lock is None:
                    findings.append(_locked(stem))
                    break
                self._locks.append(lock)
            else:
                findings += self._claim_in_thread(destination, names, own=own, visible=visible)
        except BaseException:
            self._ended.set()  # a signal: the thread that claims stops
            self.release()
            raise
        if has_errors(findings):  # every claim is released then
            self._unlock()
            self._claimed = None
        return list(dict.fromkeys(findings))

    def _claim_in_thread(
        self, destination: Destination, names: Sequence[FileName], *, own: bool, visible: bool
    ) -> list[Finding]:
        tasks: list[Future[Any]] = []
        try:
            task = run_in_thread(lambda: self._claim(destination, names, own=own, visible=visible), tasks)
            while wait([task], _TICK_SECONDS).not_done:
                self.on_wait()
            return task.result()
        except StoppedError:
            self._ended.set()
            wait(tasks, _RELEASE_SECONDS)  # it removes the claims that it has begun, unless the server hangs
            raise

    def _claim(self, destination: Destination, names: Sequence[FileName], *, own: bool, visible: bool) -> list[Finding]:
        findings: list[Finding] = []
        for name in names:
            findings += (
                destination.claim(name, own=own, visible=visible)
                if destination.direct
                else self._patience.retrying(lambda name=name: destination.claim(name, own=own, visible=visible))
            )
            if has_errors(findings):
                for each in names:
                    destination.release(each)
                break
        return findings

    def keep(self) -> None:
        """Leave the claims for the run that resumes this one; in a folder, partial files are enough."""
        if self._claimed and not self._claimed[0].direct:
            self._claimed = None

    def release(self) -> None:
        """Release all names, and wait for that a few seconds at most."""
        claimed, self._claimed = self._claimed, None
        if claimed:
            destination, names = claimed

            def release_claims() -> None:
                for name in names:
                    destination.release(name)
                with contextlib.suppress(DestinationError):
                    destination.close()

            if destination.direct:
                release_claims()
            else:
                wait([run_in_thread(release_claims)], _RELEASE_SECONDS)
        self._unlock()

    def _unlock(self) -> None:
        while self._locks:
            self._locks.pop().release()

    def _sleep(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise RunEndedError


def hold_names(
    destination: Destination, names: Sequence[FileName], hold: Hold, *, own: bool = False, visible: bool = False
) -> list[Finding]:
    """Hold given names, and return warnings. Raises `DestinationError` where another run has them.

    Two runs that see each other's claims both withdraw: so it is tried more than once.
    """
    for tries in range(1, _MOST_TRIES + 1):
        findings = hold.take(destination, names, own=own, visible=visible)
        if codes_of(findings) != {"E-NAME-IN-USE"} or tries == _MOST_TRIES:
            break
        time.sleep(random.uniform(0, PAUSE * tries))  # noqa: S311 - nothing secret
    return warnings_of(findings)


def _locked(stem: str) -> Finding:
    return Finding(
        "E-NAME-IN-USE",
        f"Another process of this machine sends files named '{stem}' to the same destination.",
        "Wait until it is done, leave output.timestamp out, or use another one (N2).",
    )
