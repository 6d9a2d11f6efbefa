"""The command `state`: what a state of changes-only runs is of, and whether it is whole."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converter.delivery.state import State
from converter.delivery.state_places import RECORD, StatePlace, state_place_at
from converter.delivery.state_record import StateRecord
from converter.errors import Finding, JobError, StateError
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.rows.delta.past import FIRST_DAY

_PATIENCE = 10.0  # seconds: the user is waiting


@dataclass(frozen=True)
class StateReport:
    """What a state is of: its `record`, its size in `bytes`, and how many users were last `sent` on which day.

    `findings` are warnings about it.
    """

    folder: str
    record: StateRecord
    bytes: int
    sent: Mapping[str, int]
    findings: list[Finding]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        record = self.record
        names = ("run", "day", "generation", "kind", "sources", "mode", "users", "traits", "ids", "counts")
        facts = {name: getattr(record, name) for name in names}
        return {
            "folder": self.folder,
            **facts,
            "files": len(record.files),
            "bytes": self.bytes,
            "sent": dict(self.sent),
        }


def check_state(folder: str | os.PathLike[str], s3: S3 | None = None) -> StateReport:
    """Read a whole state and check it, in a folder or below an `s3://` URL, with settings for that.

    Raises `JobError` where there is none, `StateError` where it is damaged, and `DestinationError` where S3 fails.
    """
    with contextlib.closing(state_place_at(os.fspath(folder), s3 or S3(), Patience(_PATIENCE))) as place:
        return _checked(place)


def _checked(place: StatePlace) -> StateReport:
    state = _read(place)
    while True:
        record = state.record
        assert record is not None  # noqa: S101 - for the type checker: `_read` raises where there is none
        try:
            sent = _days(state)
            break
        except StateError:
            state = _read(place)
            if state.record == record:  # else a run has replaced the state meanwhile
                raise
    size = sum(file.bytes for file in record.files)
    return StateReport(place.url, record, size, sent, _findings(place, record))


def _read(place: StatePlace) -> State:
    state = State.read(place)
    if state.record is None:
        raise JobError(
            "E-STATE-MISSING",
            f"There is no state in '{place.url}'.",
            f"Give the place of delta.state, which has a file '{RECORD}' once a run was delivered.",
        )
    return state


def _days(state: State) -> dict[str, int]:
    """Return how many users were last sent on each day, after reading all files."""
    days: Counter[int] = Counter()
    for file in state.record.files if state.record else ():
        users = state.load(file.set, file.number)
        days.update(dict(users.frame["day"].value_counts().rows()))
    return {(FIRST_DAY + datetime.timedelta(day)).isoformat(): count for day, count in sorted(days.items())}


def _findings(place: StatePlace, record: StateRecord) -> list[Finding]:
    """Return warnings about a state."""
    findings = []
    if place.is_open():
        what = "user IDs as they are sent" if record.ids else "hashes of user IDs, and the salt that they are made with"
        findings.append(
            Finding(
                "W-STATE-OPEN",
                f"Other users of this machine can open the state '{place.url}', which has {what}.",
                f"chmod 700 {place.url}",
            )
        )
    return findings
