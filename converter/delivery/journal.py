"""What is known of a run, so that another process can finish it: a JSON object for each event.

An event is on the disk, or in the bucket of `report.dir`, before what follows from it happens. The events, in the order
of a run:

- `run`: the version of the format and what the run is, with the fingerprint of its input;
- `began`: a part is under way, with the `state` by which it can be removed;
- `made`: all bytes of a part are known, so its range of the text is fixed;
- `arrived`: a part has arrived whole, and is not visible yet;
- `publishing`: every row is accounted for, and all parts become visible, then the `artifacts`, files beside the
  journal, in this order; `report` is what the report will say;
- `published`: a part is visible;
- `done`: the artifacts are published too.

The journal of a run that was abandoned and left nothing is removed. That of a finished run is cut down to its first and
last lines, which is all that the next run needs.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias

import orjson

from converter.delivery.destinations.base import Arrived
from converter.delivery.run_files import RunFiles
from converter.errors import DestinationError, ResumeError
from converter.parts.part import Part, PlannedPart

VERSION = 4

Attempt: TypeAlias = "tuple[str, Mapping[str, Any]]"
"""The name of a part that was begun, and the state by which the destination finds what is there of it."""


@dataclass(frozen=True)
class RunRecord:
    """What a run is: its name, and what must be the same for another process to finish it.

    `names` are those of its sets of files, without split and extension; the first one names the run, and the parts of
    all sets are numbered in turns. `timestamp` is in UNIX seconds; `sent` is the day of sending in UTC, as in ISO 8601;
    `compressor` is what makes the bytes of parts; `input` are the files, with what shows that they changed; `key` is
    the fingerprint of the key that parts are encrypted for, if any; `engine` is what made the parts, where that was not
    the process itself.
    """

    names: list[str]
    timestamp: int
    sent: str
    compressor: str
    input: list[dict[str, Any]]
    key: str | None = None
    engine: str = ""

    @property
    def name(self) -> str:
        """The name of the run; empty where it sends files that have names already."""
        return self.names[0] if self.names else ""

    @property
    def label(self) -> str:
        """What messages call the run."""
        return self.name or f"of {self.sent}"


@dataclass
class PastRun:
    """An earlier run, as its journal describes it."""

    run: RunRecord
    attempts: dict[int, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    """The attempts to send each part, by number; the last one counts, if there is one."""
    made: dict[int, tuple[Part, int]] = field(default_factory=dict)
    """Parts that were made, by number, with the CRC-32 of their text."""
    arrived: dict[int, Arrived] = field(default_factory=dict)
    published: set[int] = field(default_factory=set)
    report: dict[str, Any] | None = None
    """The report of a run that began to publish."""
    artifacts: list[str] = field(default_factory=list)
    """The names of the files that such a run publishes after its parts, in order."""
    is_done: bool = False

    def planned(self, held: set[int]) -> list[list[PlannedPart]]:
        """Return how the text of each set was cut, as far as it was; `held` are the numbers of parts still there."""
        sets = len(self.run.names)
        plan: list[list[PlannedPart]] = [[] for _ in range(sets)]
        for number in sorted(self.made):
            part, text_crc32 = self.made[number]
            plan[(number - 1) % sets].append(PlannedPart(part, text_crc32, arrived=number in held))
        return plan

    def add(self, event: str, facts: dict[str, Any]) -> None:
        """Apply the next line of the journal."""
        number = facts.pop("number", 0)
        match event:
            case "began":
                # A part that had arrived has disappeared since; when it is encrypted again it has other bytes.
                self.arrived.pop(number, None)
                self.published.discard(number)
                self.attempts[number].append((facts["name"], facts["state"]))
            case "made":
                text_crc32 = facts.pop("text_crc32")
                self.made[number] = Part(**facts), text_crc32
            case "arrived":
                self.arrived[number] = Arrived(**facts)
            case "publishing":
                self.report, self.artifacts = facts["report"], facts["artifacts"]
            case "published":
                self.published.add(number)
            case "done":
                self.is_done = True


class Notes(Protocol):
    """What a delivery notes its events in. Threads may share it."""

    def note(self, event: str, *, flush: bool = True, **facts: Any) -> None:
        """Note an event; see `Journal.note`."""
        ...

    def confirm(self) -> None:
        """Raise where another run has taken over; see `Journal.confirm`."""
        ...


class Journal:
    """The journal of a job's last run. Threads may share it."""

    def __init__(self, files: RunFiles, name: str) -> None:
        self.files = files
        self.name = name
        self._log = files.log(name)

    def read(self, *, resume: bool = True) -> PastRun | None:
        """Return the run that the journal describes; None without a journal, or where its run died before it began.

        Without `resume`, a finished run in another version's format counts as none. Raises `ResumeError` where the
        journal cannot be read.
        """
        try:
            return self._past([orjson.loads(line) for line in self._log.read()], resume=resume)
        except OSError as error:
            raise self._error("read", error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResumeError(
                "E-JOURNAL-DAMAGED",
                f"The journal '{self._log.url}' is damaged.",
                "Check what its run has delivered, remove the journal, and run without --resume.",
            ) from error

    def _past(self, events: list[dict[str, Any]], *, resume: bool) -> PastRun | None:
        if not events:
            return None
        version = events[0].pop("version")
        if version != VERSION:
            if not resume and events[-1]["event"] == "done":
                return None
            raise ResumeError(
                "E-JOURNAL-VERSION",
                f"The journal '{self._log.url}' is of version {version}, but this program writes and reads {VERSION}.",
                "Finish its run with the program that began it; or check what it has delivered, remove the journal, "
                "and run without --resume.",
            )
        past: PastRun | None = None
        for facts in events:
            event = facts.pop("event")
            if past is None:
                past = PastRun(RunRecord(**facts))
            else:
                past.add(event, facts)
        return past

    def begin(self, run: RunRecord) -> None:
        """Begin the journal of a new run, in place of that of an earlier one."""
        self.note("run", **_facts_of(run))

    def resume(self) -> None:
        """Continue the journal of an earlier run."""
        with self._mapped_errors():
            self._log.resume()

    def note(self, event: str, *, flush: bool = True, **facts: Any) -> None:
        """Add an event, which stays once this returns. After a failure every call fails.

        Without `flush`, it need not stay where the power fails before the next one, so nothing may follow from it yet.
        """
        line = _line(event, **facts)
        with self._mapped_errors():
            if event == "run":
                self._log.begin(line)
            elif event == "done":
                self._log.end(line)
            else:
                self._log.append(line, flush=flush)

    def confirm(self) -> None:
        """Raise `DestinationError` where another run has taken the job over, since this one was paused."""
        self.files.confirm()

    def finish(self, run: RunRecord) -> None:
        """Note that the run is done, and drop all that only matters until then."""
        self.note("done")
        self._log.cut(_line("run", **_facts_of(run)), _line("done"))

    def remove(self) -> None:
        """Remove the journal: nothing is left of its run."""
        self._log.remove()

    def close(self) -> None:
        """Close the journal; what is noted afterwards is dropped."""
        self._log.close()

    @contextlib.contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error("write", error) from error

    def _error(self, what: str, error: OSError) -> DestinationError:
        return DestinationError(
            "E-JOURNAL-WRITE",
            f"Cannot {what} the journal '{self._log.url}': {error.strerror or error}.",
            "Free some space, or choose another folder with report.dir.",
        )


def _facts_of(run: RunRecord) -> dict[str, Any]:
    return {"version": VERSION, **asdict(run)}


def _line(event: str, **facts: Any) -> bytes:
    return orjson.dumps({"event": event, **facts})
