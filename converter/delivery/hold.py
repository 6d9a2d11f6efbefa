"""The names of a run, held from when they are fixed until its parts are published: no other run gets them meanwhile.

1. On this machine, by a lock for each place and stem, which goes with the process: whatever folder reports are in.
2. At the destination, by a claim out of sight: for other machines, and those with another folder for temporary files.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import stat
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from types import TracebackType

from converter.delivery.delivery import run_in_thread, warnings_of
from converter.delivery.destinations import Destination
from converter.delivery.destinations.claims import is_at
from converter.delivery.retry import Patience
from converter.errors import DestinationError, Finding, StoppedError, codes_of, has_errors
from converter.spec.names import FileName

_FOLDER = "aam-inbound-locks"
_MOST_TRIES = 5  # for a name that cannot be another: two runs that see each other both let go
PAUSE = 0.2  # seconds, at most, before the next try
_RELEASE_SECONDS = 4.0


class _OverError(Exception):
    """The run is over, and what works for it aside is to let go."""


class Hold:
    """Names that this process holds. As a context, it gives them back in the end, unless they are to be kept."""

    def __init__(self, retry_seconds: float) -> None:
        self._over = threading.Event()
        self._patience = Patience(retry_seconds, self._sleep)
        self._locks: list[MachineLock] = []
        self._claimed: tuple[Destination, Sequence[FileName]] | None = None

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def take(
        self, destination: Destination, names: Sequence[FileName], *, own: bool = False, visible: bool = False
    ) -> list[Finding]:
        """Hold names, and return what was found; where there is an error among that, none is held.

        What `own` and `visible` mean says `Destination.claim`. Raises `TransientError` where that does not pass.
        """
        findings: list[Finding] = []
        self._claimed = destination, names
        try:
            for stem in sorted({name.stem for name in names}):
                lock = MachineLock.of(destination.identity, stem)
                if lock is None:
                    findings.append(_locked(stem))
                    break
                self._locks.append(lock)
            else:
                findings += self._claimed_aside(destination, names, own=own, visible=visible)
        except BaseException:
            self._over.set()  # a signal: what goes on aside ends
            self.release()
            raise
        if has_errors(findings):  # every claim is released, then
            self._unlock()
            self._claimed = None
        return list(dict.fromkeys(findings))

    def _claimed_aside(
        self, destination: Destination, names: Sequence[FileName], *, own: bool, visible: bool
    ) -> list[Finding]:
        task = run_in_thread(lambda: self._claim(destination, names, own=own, visible=visible))
        try:
            return task.result()
        except StoppedError:
            self._over.set()
            wait([task], _RELEASE_SECONDS)  # it removes what it has begun, unless the server hangs
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
        """Leave the claims where they are, for whoever resumes the run; in a folder, its partial files show enough."""
        if self._claimed and not self._claimed[0].direct:
            self._claimed = None

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise _OverError

    def release(self) -> None:
        """Give everything back, as far as that can be done soon."""
        claimed, self._claimed = self._claimed, None
        if claimed:
            destination, names = claimed

            def give_back() -> None:
                for name in names:
                    destination.release(name)
                with contextlib.suppress(DestinationError):
                    destination.close()

            if destination.direct:
                give_back()
            else:
                wait([run_in_thread(give_back)], _RELEASE_SECONDS)
        self._unlock()

    def _unlock(self) -> None:
        while self._locks:
            self._locks.pop().release()


def held(
    destination: Destination, names: Sequence[FileName], hold: Hold, *, own: bool = False, visible: bool = False
) -> list[Finding]:
    """Hold names that are given, and return warnings. Raises `DestinationError` where they cannot be had.

    Two runs that see each other both let go: so it is tried more than once.
    """
    for tries in range(1, _MOST_TRIES + 1):
        findings = hold.take(destination, names, own=own, visible=visible)
        if codes_of(findings) != {"E-NAME-IN-USE"} or tries == _MOST_TRIES:
            break
        time.sleep(random.uniform(0, PAUSE * tries))  # noqa: S311
    return warnings_of(findings)


def _locked(stem: str) -> Finding:
    return Finding(
        "E-NAME-IN-USE",
        f"Another process of this machine sends files named '{stem}' to the same place.",
        "Wait until it is done, leave output.timestamp out, or use another one (N2).",
    )


class MachineLock:
    """A lock for a name at a place, for all processes of this machine that share a folder for temporary files."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor

    @classmethod
    def of(cls, identity: str, stem: str) -> MachineLock | None:
        """Lock a name at a place; nothing where another process has.

        Where the folder cannot be used, say since somebody else made it, there is no lock: then claims alone tell.
        """
        folder = Path(tempfile.gettempdir()) / _FOLDER
        path = folder / hashlib.sha256(f"{identity}\n{stem}".encode()).hexdigest()
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o1777)  # for all users, each of whom removes files of their own alone
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return cls(path, None)
            while True:
                descriptor = _opened(path)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    return None
                if is_at(descriptor, path):
                    return cls(path, descriptor)
                os.close(descriptor)  # its process removed the file just now
        except OSError:
            return cls(path, None)

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # another user's file stays
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _opened(path: Path) -> int:
    """Open the file of a lock, to read alone: that is enough for a lock, and what other users' files allow."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
