"""What is known of a run, on disk, so that another process can finish it: one JSON object a line.

A line is on the disk before what follows from it happens. The events, in the order of a run:

- `run`: what the run is, with the fingerprint of its input;
- `began`: a part is on its way, and `state` is what removes it;
- `made`: a part is made, so that its range of the text is fixed;
- `arrived`: a part is there whole, and not visible yet;
- `publishing`: every row is accounted for, and all parts become visible, with the report that will tell of it;
- `published`: a part is visible;
- `done`: the report is written.

The journal of a run that was given up, and of which nothing is left, is removed. That of a finished one is cut down to
its first and its last line: what the next run needs to know.

A lock beside the journal, which goes with its process, keeps two runs of one job apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from converter.delivery.atomic import AtomicFile, make_folder, sync_folder
from converter.delivery.destinations.base import Arrived
from converter.errors import DestinationError, JobError
from converter.parts.packer import Part, Planned

VERSION = 1
_LOCK = ".lock"
_NEW = ".new"

Try: TypeAlias = "tuple[str, Mapping[str, Any]]"
"""The name of a part that was begun, and the state by which the destination finds what is there of it."""


@dataclass(frozen=True)
class RunRecord:
    """What a run is: its name, and what must be the same for another to finish it.

    `names` are those of its sets of files, without split and extension, of which the first names the run; the parts of
    all sets are numbered in turns. `sent` is the day of sending in UTC, as in ISO 8601; `compressor` is what makes the
    bytes of parts; `input` are the files, with what tells that they changed; `key` is the fingerprint of the key that
    parts are encrypted for, if any.
    """

    names: list[str]
    timestamp: int
    sent: str
    compressor: str
    input: list[dict[str, Any]]
    key: str | None = None

    @property
    def name(self) -> str:
        """What the run is called; nothing where it sends what has names already."""
        return self.names[0] if self.names else ""

    @property
    def called(self) -> str:
        """What messages call the run."""
        return self.name or f"of {self.sent}"


@dataclass
class Past:
    """What a journal tells of a run."""

    run: RunRecord
    tries: dict[int, list[Try]] = field(default_factory=lambda: defaultdict(list))
    """What was begun of parts, by number; the last of each counts, if any."""
    made: dict[int, tuple[Part, int]] = field(default_factory=dict)
    """Parts that were made, by number, with the CRC-32 of their text."""
    arrived: dict[int, Arrived] = field(default_factory=dict)
    published: set[int] = field(default_factory=set)
    report: dict[str, Any] | None = None
    """The report of a run that began to publish."""
    is_done: bool = False

    def planned(self, held: set[int]) -> list[list[Planned]]:
        """Return how the text of each set was cut, as far as it was; `held` are the numbers of parts still there."""
        sets = len(self.run.names)
        plan: list[list[Planned]] = [[] for _ in range(sets)]
        for number in sorted(self.made):
            part, text_crc32 = self.made[number]
            plan[(number - 1) % sets].append(Planned(part, text_crc32, arrived=number in held))
        return plan

    def add(self, event: str, facts: dict[str, Any]) -> None:
        """Take the next line in."""
        number = facts.pop("number", 0)
        match event:
            case "began":
                # What had arrived is not there any more; encrypted anew, a part has other bytes.
                self.arrived.pop(number, None)
                self.published.discard(number)
                self.tries[number].append((facts["name"], facts["state"]))
            case "made":
                text_crc32 = facts.pop("text_crc32")
                self.made[number] = Part(**facts), text_crc32
            case "arrived":
                self.arrived[number] = Arrived(**facts)
            case "publishing":
                self.report = facts["report"]
            case "published":
                self.published.add(number)
            case "done":
                self.is_done = True


class Journal:
    """The journal of a run, while it grows. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._failure: OSError | None = None

    def read(self, *, resume: bool = True) -> Past | None:
        """Return what the journal tells; nothing where there is none, or where its run died before it began.

        Without `resume`, that a run is finished is all that matters of one that another version began. Raises
        `JobError` where the journal cannot be understood.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]  # the last one is torn, or empty
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot("read", error) from error
        try:
            return self._past([orjson.loads(line) for line in lines], resume=resume)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobError(
                "E-JOURNAL-DAMAGED",
                f"The journal '{self.path}' is damaged.",
                "Look at what its run has delivered, remove it, and run without --resume.",
            ) from error

    def _past(self, events: list[dict[str, Any]], *, resume: bool) -> Past | None:
        if not events:
            return None
        version = events[0].pop("version")
        if version != VERSION:
            if not resume and events[-1]["event"] == "done":
                return None
            raise JobError(
                "E-JOURNAL-VERSION",
                f"The journal '{self.path}' is of version {version}, but this program writes and reads {VERSION}.",
                "Finish its run with the program that began it; or look at what it has delivered, remove the journal, "
                "and run without --resume.",
            )
        past: Past | None = None
        for facts in events:
            event = facts.pop("event")
            if past is None:
                past = Past(RunRecord(**facts))
            else:
                past.add(event, facts)
        return past

    def begin(self, run: RunRecord) -> None:
        """Begin the journal of a new run, in place of that of an earlier one."""
        partial = self.path.with_name(self.path.name + _NEW)
        try:
            partial.unlink(missing_ok=True)
            self._descriptor = os.open(partial, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            self.note("run", version=VERSION, **asdict(run))
            os.replace(partial, self.path)  # noqa: PTH105 - as the tests look for it
            self._keep_name()
        except OSError as error:
            raise self._cannot("write", error) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _keep_name(self) -> None:
        try:
            sync_folder(self.path.parent)
        except OSError:
            self.remove()  # nothing was begun yet
            raise

    def go_on(self) -> None:
        """Open the journal to add to it, without a line that is torn."""
        try:
            whole = self.path.read_bytes().rfind(b"\n") + 1
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            os.ftruncate(self._descriptor, whole)
        except OSError as error:
            raise self._cannot("write", error) from error

    def note(self, event: str, **facts: Any) -> None:
        """Add a line, and bring it to the disk.

        Once that has failed it always does: a line that is torn can only be the last one.
        """
        line = _line(event, **facts)
        with self._lock:
            if self._descriptor is None:  # given up already
                return
            try:
                if self._failure:
                    raise self._failure
                while line:  # a full disk takes a part of a line
                    line = line[os.write(self._descriptor, line) :]
                os.fsync(self._descriptor)
            except OSError as error:
                self._failure = error
                raise self._cannot("write", error) from error

    def finish(self, run: RunRecord) -> None:
        """Note that the run is done, and let go of all that only matters until then."""
        self.note("done")
        self.close()
        file = AtomicFile(self.path, _NEW, 0o600)
        with contextlib.suppress(OSError):  # what is there tells the same
            file.write(_line("run", version=VERSION, **asdict(run)) + _line("done"))
            file.publish()
        file.discard()

    def remove(self) -> None:
        """Remove the journal: nothing is left of its run."""
        self.close()
        with contextlib.suppress(OSError):  # then it tells of what is not there any more, which does no harm
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _cannot(self, what: str, error: OSError) -> DestinationError:
        return DestinationError(
            "E-JOURNAL-WRITE",
            f"Cannot {what} the journal '{self.path}': {error.strerror or error}.",
            "Free some space, or choose another folder with report.dir.",
        )


def _line(event: str, **facts: Any) -> bytes:
    return orjson.dumps({"event": event, **facts}) + b"\n"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a journal. Raises `DestinationError` where another process has it.

    The lock is the system's, so it goes with its process, whatever becomes of the file.
    """
    lock = path.with_name(path.name + _LOCK)
    is_new = not os.access(lock.parent, os.F_OK)
    descriptor = _taken(lock)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
            if is_new:  # and nothing came of the run
                lock.parent.rmdir()
        os.close(descriptor)


def _taken(lock: Path) -> int:
    while True:
        try:
            make_folder(lock.parent)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DestinationError(
                "E-REPORT-FOLDER",
                f"Cannot write the report to '{lock.parent}': {error.strerror or error}.",
                "Choose another folder with report.dir.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DestinationError(
                "E-LOCKED",
                f"This job is locked by process {holder or 'unknown'}, which runs it ('{lock}').",
                "Wait until it is done; two runs of one job would send everything twice.",
            ) from error
        if _is_at(descriptor, lock):
            with contextlib.suppress(OSError):  # a full disk; the number is for people alone
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its process removed the file just now


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
