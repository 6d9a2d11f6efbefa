"""The stage that leaves out lines because of earlier ones: repeated ones, and those beyond the limit of a user.

Workers make keys, lines are judged in their order, and workers leave out those that are not written.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import Text
from converter.jobs.job import Job
from converter.kernel.calls import Loops
from converter.kernel.gather import CUT, REPEATED, WRITTEN
from converter.kernel.sink import Positions
from converter.ledger import Ledger
from converter.rows.batches import Converted, Numbered
from converter.rows.earlier.held import HeldLines, Stored
from converter.rows.earlier.judge import Judge, Outcomes, OutcomesInOrder
from converter.rows.earlier.keys import KeyedLines, KeyMaker
from converter.rows.records import Records
from converter.rows.skipped import MOST_SKIPPED, SkippedRows
from converter.rows.stages.base import StageResults
from converter.rows.users.lines import SIGNAL, RowsOfLines, UserLines, ids_of, signals_in
from converter.sources.malformed import NONE
from converter.spec import rules
from converter.spec.limits import USER_LINES

_HELD_SHARE = 4  # of the budget: for lines in memory


@dataclass
class _Entry:
    """Lines of a set of files that wait for the end: `held` once they are there.

    `first` is their first row among those of which it is not known what becomes of them; `None` where these lines are
    rejected, and have to be described.
    """

    block: Numbered
    set: int
    count: int
    first: int | None
    held: UserLines | Stored | None = None


class JudgedLines(NamedTuple):
    """A batch, and for each set of files what becomes of its lines, or where they wait."""

    batch: Converted
    outcomes: Sequence[Outcomes | None]
    entries: Sequence[_Entry | None]


class LineLimits:
    """Leaves out lines, or only counts the users who have too many of them: where whole users are gathered, too.

    Workers call `keyed` and `settle`, several at once; `judge`, in the order of the input, and then `waiting`, which
    completes the `results`, run in a thread of their own.
    """

    def __init__(self, records: Records, loops: Loops | None, results: StageResults) -> None:
        record, run = records.job.record, records.job.run
        self._records = records
        self._loops = loops
        self._results = results
        self._only_counts = records.job.gathers or not record.limits
        self._skipped = len(records.leads)
        drops, counts = record.repeated == "drop", record.user_lines != "off"
        self._keys = KeyMaker(self._skipped, of_lines=drops, of_users=counts)
        self._judge = Judge(
            loops,
            run.memory,
            run.spill_dir,
            drops_repeated=drops,
            most_lines=USER_LINES.value if counts else None,
            cuts=record.user_lines == "enforce",
        )
        self._held = HeldLines(run.memory // _HELD_SHARE, run.spill_dir)
        self._entries = deque[_Entry]()
        self._counts = record.user_lines == "count"

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether a job needs it. Where whole users are gathered, their lines are limited there."""
        return job.record.user_lines == "count" or (job.record.limits and not job.gathers)

    def close(self) -> None:
        """Release memory and disk."""
        self._judge.close()
        self._held.close()
        self._entries.clear()

    def keyed(self, texts: Sequence[Sequence[Text]], rows: Sequence[RowsOfLines]) -> KeyedLines:
        """Return the lines of a block with their keys."""
        return self._keys.keyed(texts, rows)

    def judge(self, batch: Converted) -> JudgedLines:
        """Say what becomes of the lines of a batch."""
        assert batch.keyed is not None  # noqa: S101 - for the type checker: all batches are
        outcomes: list[Outcomes | None] = []
        entries: list[_Entry | None] = []
        for number, (lines, keys) in enumerate(zip(batch.keyed.lines, batch.keyed.keys, strict=True)):
            count, first = len(lines.ends), self._judge.rows
            found = self._judge.judge(keys, count) if count else np.zeros(0, np.uint8)
            outcomes.append(found)
            entry = None
            if found is None or CUT in found:
                cut = 0 if found is None else int(np.count_nonzero(found == CUT))
                entry = _Entry(batch.block, number, cut or count, None if cut else first)
                if not self._only_counts:
                    self._entries.append(entry)
            entries.append(entry)
        return JudgedLines(batch, outcomes, entries)

    def settle(self, judged: JudgedLines) -> Converted:
        """Return a batch without the lines that are left out, or have to wait."""
        batch = judged.batch
        keyed, texts, ledger, skipped = batch.keyed, list(batch.texts), batch.ledger, list(batch.skipped)
        assert keyed is not None  # noqa: S101 - for the type checker: all batches are
        each_set = [] if self._only_counts else zip(keyed.lines, judged.outcomes, judged.entries, strict=True)
        for number, (lines, outcomes, entry) in enumerate(each_set):
            if outcomes is None:
                ledger += self._counted(lines, -1)
                texts[number] = []
            elif outcomes.any():
                kept, left_out = self._without(lines, outcomes)
                ledger += left_out
                texts[number] = kept.as_texts()
                skipped += self._repeated(lines, outcomes)
            if entry:
                some = lines if outcomes is None else lines.taken(np.flatnonzero(outcomes == CUT), self._loops)
                entry.held = self._held.hold(some)
        return batch._replace(texts=texts, ledger=ledger, keyed=None, skipped=skipped)

    def waiting(self) -> Iterator[tuple[_Entry, Outcomes]]:
        """Yield the lines that waited, in order, and what becomes of them, once all batches are settled."""
        outcomes = OutcomesInOrder(self._judge.finish())
        while self._entries:
            entry = self._entries.popleft()
            if entry.first is None:
                yield entry, np.full(entry.count, CUT, np.uint8)
            else:
                yield entry, outcomes.take(entry.first, entry.count)
        outcomes.end()
        if self._counts and self._judge.over:
            self._results.over_limit[rules.USER_OVER_LIMIT.name] = self._judge.over

    def release(self, entry: _Entry, outcomes: Outcomes) -> list[Converted]:
        """Return lines that waited, without those that are left out, and the rows that are rejected."""
        assert entry.held is not None  # noqa: S101 - for the type checker: all batches are settled
        lines = self._held.take(entry.held)
        others = self._rejected(entry, lines, np.flatnonzero(outcomes == CUT))
        if entry.first is None:
            return others
        if repeated := self._repeated(lines, outcomes):
            others.append(self._without_lines(entry, skipped=repeated))
        kept, ledger = self._without(lines, outcomes)
        return [*others, self._batch(entry, kept.as_texts(), ledger + self._counted(lines, 1))]

    def _counted(self, lines: UserLines, sign: int) -> Ledger:
        """Return what lines count as, or with a negative `sign`, what they do not count as."""
        count = sign * len(lines.ends)
        return Ledger(written=count, lines=count, signals_written=sign * self._signals(lines))

    def _without(self, lines: UserLines, outcomes: Outcomes) -> tuple[UserLines, Ledger]:
        """Return the lines that are written, and what is counted of the others."""
        left_out = Ledger()
        for outcome, why in ((CUT, rules.USER_OVER_LIMIT), (REPEATED, rules.ROW_REPEATED)):
            rows = np.flatnonzero(outcomes == outcome)
            if len(rows):
                ledger = self._counted(lines.taken(rows, self._loops), -1)
                count, signals = Counter({why.name: len(rows)}), -ledger.signals_written
                if outcome == CUT:
                    ledger.rejected, ledger.signals_dropped = count, +Counter({rules.SIGNAL_CUT.name: signals})
                else:
                    ledger.skipped, ledger.signals_dropped = count, +Counter({rules.SIGNAL_REPEATED.name: signals})
                left_out += ledger
        written = np.flatnonzero(outcomes == WRITTEN)
        return lines if len(written) == len(outcomes) else lines.taken(written, self._loops), left_out

    def _signals(self, lines: UserLines) -> int:
        """Return how many signals lines have."""
        if self._loops:
            return self._loops.count_signals(lines.text, lines.ends, self._skipped)
        counts = lines.texts().to_frame("line").select(signals_in(pl.col("line")).str.count_matches(SIGNAL))
        return int(counts.to_series().sum())

    def _rejected(self, entry: _Entry, lines: UserLines, rows: Positions) -> list[Converted]:
        """Return rejected rows. They have the ID in place of all columns, which are not kept."""
        if not len(rows):
            return []
        ids = ids_of(lines.texts().gather(pl.Series(rows)), self._skipped)
        reasons = np.full(len(rows), self._records.index_of(rules.USER_OVER_LIMIT), np.uint16)
        rejected, numbers = self._records.described_by_ids(ids, reasons), lines.at[rows].astype(np.int64)
        return [self._without_lines(entry)._replace(rejected=rejected, rows=numbers)]

    def _repeated(self, lines: UserLines, outcomes: Outcomes) -> list[SkippedRows]:
        """Return the first of the lines that repeat earlier ones."""
        rows = np.flatnonzero(outcomes == REPEATED)[:MOST_SKIPPED]
        if not len(rows):
            return []
        ids = ids_of(lines.taken(rows, self._loops).texts(), self._skipped).to_frame(self._records.job.ids[0].column)
        return [SkippedRows.of(rules.ROW_REPEATED.name, lines.at[rows].astype(np.int64), ids)]

    def _without_lines(self, entry: _Entry, skipped: Sequence[SkippedRows] = ()) -> Converted:
        """Return a batch for rows of a block that come later."""
        block = Numbered([piece._replace(size=0) for piece in entry.block.pieces], entry.block.firsts)
        texts: list[list[Text]] = [[] for _ in range(self._records.sets)]
        nothing = self._records.none_described
        return Converted(block, texts, nothing, np.zeros(0, np.int64), NONE, Ledger(), skipped=skipped)

    def _batch(self, entry: _Entry, texts: list[Text], ledger: Ledger) -> Converted:
        """Return lines as a batch that has no rows of its own."""
        sets = [texts if number == entry.set else [] for number in range(self._records.sets)]
        nothing = self._records.none_described
        return Converted(Numbered([], []), sets, nothing, np.zeros(0, np.int64), NONE, ledger)
