"""The command `state`: what a state of changes-only runs is of, and whether it is whole."""

from __future__ import annotations

import datetime
import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.delivery.state import NAME, State, StateRecord
from converter.errors import Finding, JobError, StateError
from converter.rows.delta.past import FIRST_DAY


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


def check_state(folder: str | os.PathLike[str]) -> StateReport:
    """Read a whole state and check it. Raises `JobError` where there is none, `StateError` where it is damaged."""
    path = Path(folder)
    state = _read(path)
    while True:
        record = state.record
        assert record is not None  # noqa: S101 - for the type checker: `_read` raises where there is none
        try:
            sent = _days(state)
            break
        except StateError:
            state = _read(path)
            if state.record == record:  # else a run has replaced the state meanwhile
                raise
    size = sum(file.bytes for file in record.files)
    return StateReport(os.fspath(folder), record, size, sent, _findings(path, record))


def _read(path: Path) -> State:
    state = State.read(path)
    if state.record is None:
        raise JobError(
            "E-STATE-MISSING",
            f"There is no state in '{path}'.",
            f"Give the folder of delta.state, which has a file '{NAME}' once a run was delivered.",
        )
    return state


def _days(state: State) -> dict[str, int]:
    """Return how many users were last sent on each day, after reading all files."""
    days: Counter[int] = Counter()
    for file in state.record.files if state.record else ():
        users = state.load(file.set, file.number)
        days.update(dict(users.frame["day"].value_counts().rows()))
    return {(FIRST_DAY + datetime.timedelta(day)).isoformat(): count for day, count in sorted(days.items())}


def _findings(path: Path, record: StateRecord) -> list[Finding]:
    """Return warnings about a state."""
    findings = []
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        what = "user IDs as they are sent" if record.ids else "hashes of user IDs, and the salt that they are made with"
        findings.append(
            Finding(
                "W-STATE-OPEN",
                f"Other users of this machine can open the state '{path}', which has {what}.",
                f"chmod 700 {path}",
            )
        )
    return findings
