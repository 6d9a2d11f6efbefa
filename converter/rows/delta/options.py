"""How users are compared, and what is written of them."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from converter.jobs.job import Job
from converter.kernel.calls import Hashes
from converter.rows.delta.keyed import key_of
from converter.rows.delta.past import FIRST_DAY
from converter.rows.records import Records


class DeltaOptions(NamedTuple):
    """How users are compared, and what is written.

    `key` is that of the hashes, `today` in days since 1970-01-01. `skipped` is the number of fields before the ID of a
    line, which are `lead`. With `full`, all users are written; `removals` says whether lost traits are removed, and
    `removes_gone` whether those of users who are gone are, for which the state has IDs.
    """

    key: Hashes
    today: int
    refresh_days: int
    full: bool
    removals: bool
    removes_gone: bool
    lead: str
    most_line_bytes: int

    @property
    def skipped(self) -> int:
        """The number of fields before the ID of a line."""
        return self.lead.count("\t")

    @property
    def keeps_traits(self) -> bool:
        """Whether the next state has the traits of users."""
        return self.removals or self.removes_gone

    @classmethod
    def of(cls, job: Job, records: Records, salt: bytes, sent: datetime.date) -> DeltaOptions:
        """Return the options of a job for a run of this day."""
        delta = job.delta
        return cls(
            key_of(salt),
            (sent - FIRST_DAY).days,
            delta.refresh_days,
            delta.full,
            delta.removals,
            delta.gone == "remove",
            "".join(f"{each}\t" for each in records.leads),
            records.most_line_bytes,
        )
