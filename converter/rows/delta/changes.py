"""Changes only: which users are new or changed since the last run, and what their lines become (`delta.state`).

1. A user's lines stand together. Their keyed hash is compared with that of the lines that were last sent.
2. New and changed users are written, and those whose lines were last sent too long ago; others are left out.
3. Where the job says so, lines of changed users remove the traits that they lost, and lines of their own remove the
   traits of users who are gone.
4. What is known of all users of the input becomes the next state.

Everything works on the users of one file of the state (`past`), many at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter import kernel
from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions
from converter.rows.delta.keyed import keyed_hashes
from converter.rows.delta.lines import Users
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import PastUsers
from converter.rows.delta.removals import (
    Signals,
    distinct_traits,
    hash_lists,
    lost_signals,
    removal_lines,
    with_removals,
)
from converter.rows.lookup import NONE
from converter.rows.users.lines import SIGNAL

NEW, CHANGED, REFRESHED, UNCHANGED = range(4)
"""What became of a user of the input."""
OF_GONE = "id", "traits", "keys"
"""The columns of the state by which the traits of users who are gone are removed."""
Outcomes = npt.NDArray[np.uint8]


class ChangeCounts(NamedTuple):
    """Users of the input that are `new`, `changed`, `refreshed` and `unchanged`, and users of the state who are gone.

    Of the latter, `removed` are those whose traits a line removes, and `gone` the others. `traits` is how many traits
    are removed, and `keys` how many keys (and integration codes) were lost, which cannot be taken back.
    `signals` is how many are written.
    """

    new: int = 0
    changed: int = 0
    refreshed: int = 0
    unchanged: int = 0
    gone: int = 0
    removed: int = 0
    traits: int = 0
    keys: int = 0
    signals: int = 0

    def plus(self, other: ChangeCounts) -> ChangeCounts:
        """Return the sums of both."""
        return ChangeCounts(*map(sum, zip(self, other, strict=True)))

    @property
    def users(self) -> int:
        """How many users the input has."""
        return self.new + self.changed + self.refreshed + self.unchanged

    @property
    def known(self) -> int:
        """How many users the state had."""
        return self.changed + self.refreshed + self.unchanged + self.gone + self.removed


class Compared(NamedTuple):
    """Users after a comparison: those to write, what became of each one, and their rows of the next state."""

    sent: Users
    outcomes: Outcomes
    rows: pl.DataFrame
    counts: ChangeCounts


def compare(users: Users, past: PastUsers, options: DeltaOptions) -> Compared:
    """Compare users with what was last sent for them. Threads may compare different users at the same time."""
    starts, ends, lasts = users.starts, users.ends, users.firsts[1:] - 1
    of_users = starts[users.firsts[:-1]], ends[lasts]
    hashes = keyed_hashes(users.lines, *of_users, options.key, options.skipped)
    lines = keyed_hashes(users.lines, *of_users, options.key)[:, 0]
    found = past.find(hashes)
    outcomes = _judged(found, lines, hashes[:, 1], past, options)
    is_sent = outcomes != UNCHANGED
    days = np.full(len(found), options.today, np.int32)
    days[~is_sent] = past.days[found[~is_sent]]
    rows = pl.DataFrame({"first": hashes[:, 0], "second": hashes[:, 1], "lines": lines, "day": days})
    sent = users.take(np.flatnonzero(is_sent))
    counts = ChangeCounts(*np.bincount(outcomes, minlength=UNCHANGED + 1).tolist())
    if options.keeps_traits:
        signals = Signals.of(users, options)
        rows = rows.with_columns(signals.traits, signals.keys, *([signals.ids] if options.removes_gone else []))
        changed = np.flatnonzero(outcomes == CHANGED)
        if options.removals and len(changed) and "traits" in past.others().columns:
            lost = lost_signals(past.others()[found[changed]], signals.take(changed))
            sent = with_removals(sent, np.flatnonzero(outcomes[is_sent] == CHANGED), lost, options)
            counts = counts._replace(traits=lost.trait_count, keys=lost.key_count)
    counts = counts._replace(signals=signal_count(sent, options))
    return Compared(sent, outcomes, rows, counts)


def gone(past: PastUsers, options: DeltaOptions) -> tuple[Users, ChangeCounts]:
    """Return users who are gone with lines that remove their traits, and count them; all others have been found."""
    are_gone = ~past.are_found
    count = int(are_gone.sum())
    if not (options.removes_gone and count and "id" in past.others().columns):
        return Users.joined([]), ChangeCounts(gone=count)
    left = past.rows(are_gone, list(OF_GONE)).with_columns(distinct_traits("traits"))
    with_traits = left.filter(pl.col("traits").list.len() > 0)
    counts = ChangeCounts(
        gone=count - with_traits.height,
        removed=with_traits.height,
        traits=int(with_traits["traits"].list.len().sum()),
        keys=int(hash_lists(left["keys"]).list.n_unique().sum()),
    )
    users = removal_lines(with_traits, options)
    return users, counts._replace(signals=signal_count(users, options))


def signal_count(users: Users, options: DeltaOptions) -> int:
    """Return how many signals are in the lines of users."""
    if loops := kernel.load():
        return loops.count_signals(users.lines, users.ends, options.skipped)
    return int(users.signals().str.count_matches(SIGNAL).sum())


def _judged(found: Positions, lines: Hashes, random: Hashes, past: PastUsers, options: DeltaOptions) -> Outcomes:
    """Return what becomes of users; `random` is a word of the keyed hash of each ID."""
    outcomes = np.full(len(found), NEW, np.uint8)
    known = np.flatnonzero(found != NONE)
    before = found[known]
    is_changed = past.lines[before] != lines[known]
    is_due = options.today - past.days[before] >= due_days(random[known], options.refresh_days)
    outcomes[known] = np.where(is_changed, CHANGED, np.where(is_due | options.full, REFRESHED, UNCHANGED))
    return outcomes


def due_days(random: Hashes, refresh_days: int) -> npt.NDArray[np.int64]:
    """Return after how many days each user is sent again: from half of `refresh_days` on, evenly distributed."""
    spread = np.uint64(refresh_days // 2 + 1)
    days: npt.NDArray[np.int64] = refresh_days - (random % spread).astype(np.int64)
    return days
